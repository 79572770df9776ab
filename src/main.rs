//! The `lemma-gpu` command.

fn main() -> std::process::ExitCode {
    lemma_gpu::cli::main()
}
