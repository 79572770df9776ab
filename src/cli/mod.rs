//! The command: arguments to a run to an exit code. Results go to standard output, everything else to standard error.

mod bench;
mod cache;
mod convert;
mod eval;
mod few;
mod files;
mod habits;
mod infer;
mod info;
mod kept;
mod kernels;
mod launched;
mod left;
mod listed;
mod names;
mod pack;
mod paths;
mod progress;
mod read;
mod reproduce;
mod results;
mod say;
mod shard;
mod stop;
mod synth;
mod tables;
mod trace;
mod train;
mod tune;
mod weights;
mod weights_file;

use crate::engine::Engine;
use crate::error::visible_lines;
use crate::gpu::{GpuOptions, Precision, panic_is_caught};
use crate::{Error, ErrorKind, Result};
use clap::{CommandFactory, Parser, Subcommand};
use say::say;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Super-resolve photographs of words so that they can be read, and read them, on any GPU.
#[derive(Debug, Parser)]
#[command(name = "lemma-gpu", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 all good · 1 some failed · 2 usage, nothing done · 3 no usable adapter · 4 device lost or out of memory · 130 or 143 interrupted"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EVERYWHERE: &str = "Options of every command";

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Adapter: an index, a part of its name, its address as in `pci:0000:3b:00.0`, `rank` for the one that a launcher's local
    /// rank points to, or `list`
    #[arg(short = 'g', long, alias = "gpu", global = true, value_name = "WHICH")]
    #[arg(help_heading = EVERYWHERE)]
    adapter: Option<String>,
    /// Say nothing but errors
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = EVERYWHERE)]
    verbose: bool,
    /// Where the driver's compiled kernels are kept between runs, or `off` [default: this user's folder for caches]
    #[arg(long, global = true, value_name = "DIR", help_heading = EVERYWHERE)]
    cache: Option<String>,
    /// Choose tiles of matrix kernels by rule, not by what `tune` measured on this adapter
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    no_tune: bool,
}

/// How the networks of a run are stored.
#[derive(Debug, Clone, Copy, clap::Args)]
struct StorageArgs {
    /// How weights and activations are stored; f16 takes half the memory, and an adapter with shader-f16
    #[arg(long, value_enum, default_value = "f32")]
    precision: Stored,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Stored {
    F32,
    F16,
}

impl StorageArgs {
    fn options(self) -> GpuOptions {
        let precision = match self.precision {
            Stored::F32 => Precision::F32,
            Stored::F16 => Precision::F16,
        };
        GpuOptions { precision, ..Default::default() }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Super-resolve images of words and read them
    Infer(Box<infer::InferArgs>),
    /// Read images of words as they are
    Read(read::ReadArgs),
    /// Measure methods on pairs of images: PSNR, SSIM, words read right, beside published figures
    Eval(eval::EvalArgs),
    /// Fill in the tables of the paper, with whatever weights are there
    Reproduce(reproduce::ReproduceArgs),
    /// Show adapters, or what a weights file holds
    Info(info::InfoArgs),
    /// Convert a PyTorch checkpoint to safetensors
    Convert(convert::ConvertArgs),
    /// Measure how fast this adapter is
    Bench(bench::BenchArgs),
    /// Measure which tiles are the fastest on this adapter, for all later runs
    Tune(tune::TuneArgs),
    /// List, show, check and time the kernels
    #[command(subcommand)]
    Kernels(kernels::KernelsCommand),
    /// Train LEMMA, ABINet or the text-focus recognizer
    Train(Box<train::TrainArgs>),
    /// Run a graph on raw tensors and write what happens inside
    Trace(trace::TraceArgs),
    /// Draw words to train on
    Synth(synth::SynthArgs),
    /// Turn sets of words into one another: LMDBs, folders, tar files
    Pack(pack::PackArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or that of a command
    Man {
        /// The command
        command: Option<String>,
    },
}

/// How a run that did not break off ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All good.
    Done,
    /// Some inputs failed; they were reported.
    SomeFailed,
    /// The user interrupted it; the exit code.
    Interrupted(u8),
}

impl Global {
    /// Opens the adapter asked for, and names it where it computes on the CPU.
    fn engine(&self) -> Result<Engine> {
        self.engine_with(GpuOptions::default())
    }

    fn engine_with(&self, options: GpuOptions) -> Result<Engine> {
        let mut engine = Engine::new(GpuOptions { adapter: self.adapter.clone(), ..options })?;
        if let Some(folder) = cache::folder(self.cache.as_deref()) {
            engine = engine.keep_pipelines(&folder);
            if !self.no_tune {
                engine.recall_choices(&folder);
            }
        }
        let adapter = engine.adapter();
        if let Some(remark) = adapter.remark.as_ref().filter(|_| !self.quiet) {
            say!("note: {remark}; -g pci:ADDRESS names an adapter");
        }
        if adapter.software && !self.quiet {
            say!("note: {} computes on the CPU; a GPU is many times faster", adapter.name);
        } else if self.verbose {
            say!("adapter: {} ({})", adapter.name, adapter.backend);
        }
        Ok(engine)
    }
}

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    leave_displays_alone();
    ExitCode::from(command(std::env::args_os().collect()))
}

/// Runs the command of `given`, the name of the program and its arguments; its exit code. Where these ask for help, or make no
/// sense, the process ends here.
pub fn command(given: Vec<OsString>) -> u8 {
    report_what_is_not_caught();
    let result = match Cli::try_parse_from(&given) {
        Ok(cli) => {
            let given: Vec<String> =
                given.iter().map(|a| a.to_string_lossy().into_owned()).collect();
            if !cli.global.quiet {
                habits::old_names(&given).iter().for_each(|note| say!("note: {note}"));
            }
            run(&cli)
        }
        Err(_) if asks_for_adapters(&given) => list_adapters(),
        Err(e) => habits::explained(e).exit(),
    };
    match result {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::SomeFailed) => 1,
        Ok(Outcome::Interrupted(code)) => code,
        Err(e) => {
            say!("error: {e}");
            match e.kind() {
                ErrorKind::NoAdapter if Engine::adapters().is_empty() => {
                    say!("{}", DRIVERS.trim_end());
                    3
                }
                ErrorKind::NoAdapter => 3,
                ErrorKind::Argument => 2,
                ErrorKind::Device | ErrorKind::Memory => 4,
                _ => 1,
            }
        }
    }
}

const DRIVERS: &str = "
    To install a driver (Mesa's Vulkan drivers compute on the CPU where there is no GPU):
      Debian, Ubuntu: sudo apt install mesa-vulkan-drivers
      Fedora:         sudo dnf install mesa-vulkan-drivers
      macOS:          Metal comes with the system, from 10.13 on
      Windows:        DX12 comes with the system; update the driver of the GPU
    lemma-gpu -g list shows the adapters that are there.
";

/// Mesa's Vulkan layer that sorts adapters asks a display for its favorite and complains where there is none. Adapters are
/// chosen here, so the layer is left out, as it documents.
fn leave_displays_alone() {
    // SAFETY: the process has no other thread yet.
    unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
}

/// Keeps quiet of panics that come back as errors, which are told once.
fn report_what_is_not_caught() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic_is_caught() {
            report(panic);
        }
    }));
}

/// Whether the arguments ask for the list of adapters, and may lack whatever their command needs.
fn asks_for_adapters(given: &[OsString]) -> bool {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(given);
    let mut level = matches.as_ref().ok();
    while let Some(matches) = level {
        if matches.try_get_one::<String>("adapter").ok().flatten().is_some_and(|g| g == "list") {
            return true;
        }
        level = matches.subcommand().map(|(_, below)| below);
    }
    false
}

fn list_adapters() -> Result<Outcome> {
    let all = Engine::adapters();
    if all.is_empty() {
        return Err(Error::new(ErrorKind::NoAdapter, "gpu", "adapters")
            .expected("a Vulkan, Metal or DX12 adapter")
            .got("none"));
    }
    print(&info::adapters(&all))
}

fn run(cli: &Cli) -> Result<Outcome> {
    if cli.global.adapter.as_deref() == Some("list") {
        return list_adapters();
    }
    match &cli.command {
        Command::Infer(args) => infer::run(&cli.global, args),
        Command::Read(args) => read::run(&cli.global, args),
        Command::Eval(args) => eval::run(&cli.global, args),
        Command::Reproduce(args) => reproduce::run(&cli.global, args),
        Command::Info(args) => info::run(&cli.global, args),
        Command::Convert(args) => convert::run(&cli.global, args),
        Command::Bench(args) => bench::run(&cli.global, args),
        Command::Tune(args) => tune::run(&cli.global, args),
        Command::Kernels(command) => {
            command.run(cli.global.adapter.clone(), &mut std::io::stdout().lock())?;
            Ok(Outcome::Done)
        }
        Command::Train(args) => train::run(&cli.global, args),
        Command::Trace(args) => trace::run(&cli.global, args),
        Command::Synth(args) => synth::run(&cli.global, args),
        Command::Pack(args) => pack::run(&cli.global, args),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "lemma-gpu", &mut out);
            print(&String::from_utf8_lossy(&out))
        }
        Command::Man { command } => print(&manual(command.as_deref())?),
    }
}

/// The manual page of the program or of one of its commands.
fn manual(command: Option<&str>) -> Result<String> {
    let mut page = Cli::command();
    page.build();
    if let Some(name) = command {
        page = page.find_subcommand(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = page.get_subcommands().map(|c| c.get_name()).collect();
            Error::new(ErrorKind::Argument, "man", "a command").expected(known.join(", ")).got(name)
        })?;
    }
    let mut out = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut out)
        .map_err(|e| Error::io("manual page", "cannot be made", e))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Writes a result to standard output. A reader that closed the pipe has had enough, which is no failure.
fn print(text: &str) -> Result<Outcome> {
    let mut out = std::io::stdout().lock();
    match out.write_all(visible_lines(text).as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("standard output", "cannot be written", e))
        }
        _ => Ok(Outcome::Done),
    }
}

/// Bytes in the unit a person would use.
fn bytes(n: u64) -> String {
    let n = n as f64;
    match n {
        _ if n < 1024.0 => format!("{n} B"),
        _ if n < 1024.0 * 1024.0 => format!("{:.1} KiB", n / 1024.0),
        _ if n < 1024.0 * 1024.0 * 1024.0 => format!("{:.1} MiB", n / 1024.0 / 1024.0),
        _ => format!("{:.2} GiB", n / 1024.0 / 1024.0 / 1024.0),
    }
}
