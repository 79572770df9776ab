//! `lemma-gpu kernels`: the catalogue, a kernel's text in each shading language, an operation against its oracle, its time.

use crate::gpu::{Gpu, GpuOptions, Target, Translation, Variant, translate};
use crate::ops::catalogue::{Entry, entries};
use crate::ops::check::{Checker, agrees};
use crate::ops::measure::measure;
use crate::ops::{Case, Row, TABLE, copy_bandwidth, fma_peak};
use crate::{Error, ErrorKind, Result};
use std::io::Write;
use std::path::PathBuf;

/// What to do with kernels.
#[derive(Debug, clap::Subcommand)]
pub enum KernelsCommand {
    /// List every kernel with its operation, family and number of variants
    List {
        /// List each variant
        #[arg(long)]
        variants: bool,
    },
    /// Print a kernel in a shading language
    Show(Show),
    /// Compare an operation with its f64 oracle on an adapter
    Check(Check),
    /// Time an operation at the models' shapes
    Time(Time),
}

/// Arguments of `kernels show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The kernel's name, the stem of its file
    kernel: String,
    /// Values that the variant must have, "A=1 B=2"; default: the first variant
    #[arg(long, default_value = "", hide_default_value = true)]
    variant: String,
    /// The language
    #[arg(long, value_enum, default_value_t = Language::Wgsl)]
    target: Language,
    /// Write to a file; SPIR-V then as binary
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    Wgsl,
    Msl,
    Hlsl,
    Spirv,
}

/// Arguments of `kernels check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// An operation or a kernel; default: all
    name: Option<String>,
    /// Only cases whose label holds this
    #[arg(long, default_value = "", hide_default_value = true)]
    case: String,
}

/// Arguments of `kernels time`.
#[derive(Debug, clap::Args)]
pub struct Time {
    /// An operation or a kernel; default: all
    name: Option<String>,
    /// Only cases whose label holds this
    #[arg(long, default_value = "", hide_default_value = true)]
    case: String,
    /// Timed runs of each case, of which the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// List the dispatches of each
    #[arg(long)]
    dispatches: bool,
}

impl KernelsCommand {
    /// Runs the command on `adapter` (as in [`GpuOptions::adapter`]); what it finds goes to `out`.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for a name that does not exist, [`ErrorKind::Result`] when a case differs from its oracle,
    /// [`ErrorKind::NoAdapter`] and [`ErrorKind::Io`].
    pub fn run(&self, adapter: Option<String>, out: &mut impl Write) -> Result<()> {
        match self {
            KernelsCommand::List { variants } => list(*variants, out),
            KernelsCommand::Show(args) => show(args, out),
            KernelsCommand::Check(args) => check(args, adapter, out),
            KernelsCommand::Time(args) => time(args, adapter, out),
        }
    }
}

/// `writeln!` with this crate's error. A reader that closed the pipe has had enough, which is no failure.
macro_rules! say {
    ($out:expr, $($arg:tt)*) => {
        match writeln!($out, $($arg)*) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::io("output", "writing", e))
            }
            _ => Ok(()),
        }
    };
}

fn list(each_variant: bool, out: &mut impl Write) -> Result<()> {
    let row = |e: &Entry| {
        let ops: Vec<&str> = e.ops.iter().copied().collect();
        let family = e.kernel.path.split('/').next().unwrap_or_default();
        [e.kernel.name(), family, &if ops.is_empty() { "-".into() } else { ops.join(",") }]
            .map(str::to_string)
    };
    let all = entries();
    let rows: Vec<[String; 3]> = all.iter().map(row).collect();
    let head = ["KERNEL", "FAMILY", "OPERATION"];
    let width = |i: usize| rows.iter().map(|r| r[i].len()).chain([head[i].len()]).max();
    let [a, b, c] = [0, 1, 2].map(|i| width(i).unwrap_or_default());
    say!(out, "{:a$}  {:b$}  {:c$}  VARIANTS", head[0], head[1], head[2])?;
    for (entry, [kernel, family, ops]) in all.iter().zip(&rows) {
        say!(out, "{kernel:a$}  {family:b$}  {ops:c$}  {}", entry.variants.len())?;
        if each_variant {
            for variant in &entry.variants {
                say!(out, "    {variant}")?;
            }
        }
    }
    Ok(())
}

fn show(args: &Show, out: &mut impl Write) -> Result<()> {
    let all = entries();
    let entry = all.iter().find(|e| e.kernel.name() == args.kernel).ok_or_else(|| {
        Error::new(ErrorKind::Argument, "kernels show", "no such kernel")
            .got(&args.kernel)
            .hint("lemma-gpu kernels list")
    })?;
    let variant = choose(entry, &args.variant)?;
    let target = match args.target {
        Language::Wgsl => Target::Wgsl,
        Language::Msl => Target::Msl,
        Language::Hlsl => Target::Hlsl,
        Language::Spirv => Target::SpirV,
    };
    let translation = translate(entry.kernel, variant, target)?;
    match (&args.output, translation) {
        (Some(path), translation) => std::fs::write(path, translation.into_bytes())
            .map_err(|e| Error::io(path.display(), "writing", e)),
        (None, Translation::Text(text)) => say!(out, "{}", text.trim_end()),
        (None, words) => say!(out, "{}", words.listing().trim_end()),
    }
}

/// The variant that `wanted` names whole, else the first that has every value of it.
fn choose<'a>(entry: &'a Entry, wanted: &str) -> Result<&'a Variant> {
    let has = |variant: &Variant| {
        let text = variant.to_string();
        wanted.split_whitespace().all(|w| text.split_whitespace().any(|v| v == w))
    };
    let named = |variant: &&Variant| variant.to_string() == wanted.trim();
    let mut all = entry.variants.iter();
    all.clone().find(named).or_else(|| all.find(|v| has(v))).ok_or_else(|| {
        let place = format!("kernels show {}", entry.kernel.name());
        let listed: Vec<String> = entry.variants.iter().map(Variant::to_string).collect();
        Error::new(ErrorKind::Argument, place, "no variant in use has these values")
            .got(wanted)
            .detail(listed.join("\n"))
    })
}

/// The rows that `name` means: an operation, or all operations that use a kernel.
fn rows(name: Option<&str>) -> Result<Vec<&'static Row>> {
    let Some(name) = name else { return Ok(TABLE.to_vec()) };
    let uses = |r: &Row| r.op == name || r.kernels.iter().any(|k| k.kernel.name() == name);
    let found: Vec<&Row> = TABLE.iter().copied().filter(|r| uses(r)).collect();
    if found.is_empty() {
        let ops: Vec<&str> = TABLE.iter().map(|r| r.op).collect();
        return Err(Error::new(ErrorKind::Argument, "kernels", "no such operation or kernel")
            .expected(ops.join(", "))
            .got(name));
    }
    Ok(found)
}

fn check(args: &Check, adapter: Option<String>, out: &mut impl Write) -> Result<()> {
    let rows = rows(args.name.as_deref())?;
    let checker = Checker::open(adapter)?;
    let cases = |row: &Row| -> Vec<Case> {
        (row.cases)().into_iter().filter(|c| c.label.contains(&args.case)).collect()
    };
    if checker.halves.is_none() {
        say!(out, "f16: not checked, the adapter has no shader-f16")?;
    }
    compare_all(&checker.plain, &rows, cases, |row, case| checker.check(row, case), out)
}

/// Every operation against its oracle on `gpu` as it was opened; a line for each goes to `out`.
///
/// # Errors
/// [`ErrorKind::Result`] when a case differs, after all have been run.
pub fn selftest(gpu: &Gpu, out: &mut impl Write) -> Result<()> {
    compare_all(gpu, TABLE, |row| (row.cases)(), |row, case| agrees(gpu, row, case), out)
}

fn compare_all(
    gpu: &Gpu,
    rows: &[&'static Row],
    cases: impl Fn(&Row) -> Vec<Case>,
    check: impl Fn(&Row, &Case) -> Result<()>,
    out: &mut impl Write,
) -> Result<()> {
    say!(out, "{}", title(gpu))?;
    let width = rows.iter().map(|r| r.op.len()).max().unwrap_or_default();
    let (mut total, mut failed) = (0, 0);
    for row in rows {
        let cases = cases(row);
        let failures: Vec<Error> = cases.iter().filter_map(|case| check(row, case).err()).collect();
        let verdict = if failures.is_empty() { "ok" } else { "DIFFERS" };
        say!(out, "{:width$}  {:3} cases  {verdict}", row.op, cases.len())?;
        for failure in &failures {
            say!(out, "    {failure}")?;
        }
        total += cases.len();
        failed += failures.len();
    }
    if failed > 0 {
        return Err(Error::new(ErrorKind::Result, "kernels", "cases differ from the oracle")
            .got(format!("{failed} of {total}")));
    }
    if total == 0 {
        return Err(Error::new(ErrorKind::Argument, "kernels", "no case has such a label"));
    }
    say!(out, "{total} cases agree with their oracles")
}

fn time(args: &Time, adapter: Option<String>, out: &mut impl Write) -> Result<()> {
    let rows = rows(args.name.as_deref())?;
    let gpu = Gpu::new(GpuOptions { adapter, profile: true, ..Default::default() })?;
    say!(out, "{}", title(&gpu))?;
    let peaks = if gpu.summary().features.contains(&"timestamp-query") {
        Some((fma_peak(&gpu)?, copy_bandwidth(&gpu)?))
    } else {
        None
    };
    match peaks {
        Some((flops, bandwidth)) => say!(
            out,
            "peak {:.1} GFLOP/s of multiply-adds, {:.1} GB/s of copying (read + write)",
            flops / 1e9,
            bandwidth / 1e9
        )?,
        None => say!(out, "no timestamps here: times are the host's, from submission to the end")?,
    }
    say!(out, "       time     GB/s  GFLOP/s  share  operation")?;
    for row in rows {
        for case in (row.cases)().iter().filter(|c| c.bench && c.label.contains(&args.case)) {
            let m = measure(&gpu, case, args.rounds)?;
            let share = peaks.map_or("-".into(), |(f, b)| format!("{:.0}%", 100.0 * m.share(f, b)));
            say!(
                out,
                "{:8.3} ms  {:7.2}  {:7.2}  {share:>5}  {} {}",
                m.seconds * 1e3,
                m.bandwidth() / 1e9,
                m.flops() / 1e9,
                row.op,
                case.label
            )?;
            for part in m.dispatches.iter().filter(|_| args.dispatches) {
                say!(out, "{:8.3} ms  {:31}{}", part.seconds * 1e3, "", part.kernel)?;
            }
        }
    }
    Ok(())
}

/// The adapter behind a device, with backend and driver.
pub fn title(gpu: &Gpu) -> String {
    let s = gpu.summary();
    format!("{} ({}, {})", s.name, s.backend, s.driver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Top {
        #[command(subcommand)]
        command: KernelsCommand,
    }

    fn run(words: &[&str]) -> Result<String> {
        let mut out = Vec::new();
        Top::parse_from(["kernels"].iter().chain(words)).command.run(None, &mut out)?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn list_and_show_need_no_adapter() {
        let list = run(&["list", "--variants"]).unwrap();
        assert!(list.contains("layer_norm_fwd"), "{list}");
        assert!(list.contains("\n    HAS_RESIDUAL=1 LANES=1 UNBIASED=1 WG=64 VEC=1\n"), "{list}");
        for (target, word) in [
            ("wgsl", "@workgroup_size(WG)"),
            ("msl", "kernel void main_"),
            ("hlsl", "[numthreads(64, 1, 1)]"),
            ("spirv", "OpEntryPoint 5 "),
        ] {
            let both = "HAS_RESIDUAL=1 UNBIASED=1 WG=64";
            let text = run(&["show", "layer_norm_fwd", "--variant", both, "--target", target]);
            let text = text.unwrap();
            assert!(text.contains(word), "{target}: {text}");
        }
    }

    #[test]
    fn unknown_names_are_refused_with_what_there_is() {
        assert!(run(&["show", "nothing"]).unwrap_err().to_string().contains("kernels list"));
        let e = run(&["show", "layer_norm_fwd", "--variant", "HAS_RESIDUAL=7"])
            .unwrap_err()
            .to_string();
        assert!(e.contains("HAS_RESIDUAL=0 LANES=1 UNBIASED=0"), "{e}");
        let e = run(&["check", "nothing"]).unwrap_err().to_string();
        assert!(e.contains("expected ") && e.contains("layer_norm"), "{e}");
    }

    #[test]
    fn a_kernel_means_the_operations_that_use_it() {
        let ops = |name| rows(Some(name)).unwrap().iter().map(|r| r.op).collect::<Vec<_>>();
        assert_eq!(ops("layer_norm_fwd"), ops("layer_norm"));
    }
}
