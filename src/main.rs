//! The `lemma-gpu` command.

fn main() -> std::process::ExitCode {
    eprintln!("lemma-gpu {}: no command is built in", env!("CARGO_PKG_VERSION"));
    std::process::ExitCode::from(2)
}
