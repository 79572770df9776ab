//! `lemma-gpu trace`: a graph on raw tensors, its activations by name, and how they compare with a reference.

use super::tables::confusion_table;
use super::weights::WeightsArgs;
use super::weights_file::WeightsFile;
use super::{Global, Outcome, StorageArgs, Stored, print};
use crate::cli::say::say;
use crate::data::checkpoint::StateDict;
use crate::engine::ModelKind;
use crate::engine::trace::{
    Activation, Comparison, Detail, GradMode, Subject, TextFocusModel, compare, compare_packed,
    gradients, run_guided, to_state_dict,
};
use crate::gpu::Gpu;
use crate::models::procedural::Procedural;
use crate::tensor::Host;
use crate::{Error, ErrorKind, Result};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `trace`.
#[derive(Debug, clap::Args)]
pub struct TraceArgs {
    /// Weights: a checkpoint of any network, or `procedural:MODEL:SEED` with MODEL lemma, abinet, text-focus, …
    #[arg(short, long, value_name = "FILE")]
    model: String,
    #[command(flatten)]
    weights: WeightsArgs,
    /// Raw tensors in safetensors: `input.lr_u8` for LEMMA, `input.u8` for ABINet, `input.lr` for the networks that LEMMA is
    /// compared with
    #[arg(short, long, value_name = "FILE")]
    input: PathBuf,
    /// Safetensors file for the named activations
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    overwrite: bool,
    /// Write the output of every submodule too, under its official name
    #[arg(long)]
    all: bool,
    /// Compare with reference activations, in the order of the graph
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Losses and gradients too, of the labels in the input: `lab.ids`, `lab.input` and `lab.lengths`, or `target.ids` and
    /// `target.lengths` for ABINet, or `labels` of its `info`
    #[arg(long, value_enum, value_name = "MODE")]
    grad: Option<GradArg>,
    /// Look at the pass as it runs in production: at those values alone that fusion leaves
    #[arg(long)]
    as_run: bool,
    /// Weights of the recognizer that supplies the attention of LEMMA's, TBSRN's or Text Gestalt's loss, or that guides TATT and
    /// C3-STISR: a checkpoint or `procedural:text-focus:SEED`, stroke-focus or crnn; without it there is no text-focus loss, and
    /// nobody guides
    #[arg(long, value_name = "FILE")]
    recognizer: Option<String>,
    /// Table for the text-focus cross entropy: safetensors with `weight37` or `matrix62`, the reference's file of distances,
    /// or distances as text; default: one in the input, else the built-in one
    #[arg(long, value_name = "FILE", requires = "grad")]
    confusion: Option<PathBuf>,
    #[command(flatten)]
    storage: StorageArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum GradArg {
    /// As in evaluation: running statistics, no spatial transformer
    #[value(name = "eval", alias = "frozen")]
    Frozen,
    /// As in training, without dropout: batch statistics, and one step of the optimizer
    Train,
}

impl TraceArgs {
    fn detail(&self) -> Detail {
        if self.as_run { Detail::AsRun } else { Detail::EveryModule }
    }
}

/// Runs the graph; with `--against`, ends with a failure when an activation misses its bound.
pub fn run(global: &Global, args: &TraceArgs) -> Result<Outcome> {
    if args.output.is_none() && args.against.is_none() {
        return Err(Error::new(ErrorKind::Argument, "trace", "nothing to do")
            .expected("-o FILE to write activations, --against FILE to compare them, or both"));
    }
    if let Some(path) = args.output.as_ref().filter(|p| !args.overwrite && p.exists()) {
        return Err(Error::new(ErrorKind::Argument, path.display(), "the file is there already")
            .hint("another name, or --overwrite"));
    }
    if let (Some(_), Stored::F16) = (args.grad, args.storage.precision) {
        return Err(Error::new(ErrorKind::Argument, "--grad", "precision of gradients")
            .expected("f32")
            .got("f16, which is for inference"));
    }
    let inputs = StateDict::read(&args.input)?;
    let weights = Weights::open(global, "--model", &args.model, &args.weights)?;
    let recognizer = args
        .recognizer
        .as_ref()
        .map(|text| Weights::open(global, "--recognizer", text, &WeightsArgs::default()));
    let recognizer = recognizer.transpose()?;
    if recognizer.is_some() && args.grad.is_none() && !weights.subject().kind()?.is_guided() {
        return Err(Error::new(ErrorKind::Argument, "--recognizer", "a use for it")
            .expected("--grad, or a network that it guides")
            .got("neither"));
    }
    let reference = args.against.as_ref().map(StateDict::read).transpose()?;
    let engine = global.engine_with(args.storage.options())?;
    let activations = match args.grad {
        None => {
            let reader = recognizer.as_ref().map(Weights::subject);
            let (subject, detail) = (weights.subject(), args.detail());
            run_guided(engine.gpu(), &subject, &inputs, detail, reader.as_ref())
        }
        Some(mode) => {
            differentiate(global, args, engine.gpu(), &inputs, &weights, recognizer, mode)
        }
    };
    let activations = activations.map_err(|e| match e.kind() {
        ErrorKind::Argument => e,
        _ => e.within(args.input.display()),
    })?;
    if let Some(path) = &args.output {
        let kept: Vec<_> =
            activations.iter().filter(|a| args.all || a.is_value()).cloned().collect();
        to_state_dict(&kept)?.write_safetensors(path)?;
        if !global.quiet {
            say!("{}: {} activations", path.display(), kept.len());
        }
    }
    let Some(reference) = reference else { return Ok(Outcome::Done) };
    let mut comparisons = match args.grad {
        None => compare(&activations, &reference)?,
        Some(_) => compare_packed(&activations, &reference)?,
    };
    if args.grad.is_some() {
        match compare(&activations, &reference) {
            Ok(whole) => drop(comparisons.splice(..0, whole)),
            // A file of tables alone has nothing else to compare.
            Err(e) if e.kind() == ErrorKind::Format && !comparisons.is_empty() => {}
            Err(e) => return Err(e),
        }
    }
    let failed = comparisons.iter().filter(|c| !c.passes()).count();
    print(&report(&comparisons, global.verbose))?;
    Ok(if failed == 0 { Outcome::Done } else { Outcome::SomeFailed })
}

/// Weights named on the command line.
enum Weights {
    File(StateDict),
    Procedural(Procedural),
}

impl Weights {
    fn open(global: &Global, option: &'static str, text: &str, said: &WeightsArgs) -> Result<Self> {
        Ok(match procedural(option, text)? {
            Some(p) => Weights::Procedural(p),
            None => {
                let file: WeightsFile = text.parse().map_err(|e: Error| e.within(option))?;
                Weights::File(file.and(said).open(global)?)
            }
        })
    }

    fn subject(&self) -> Subject<'_> {
        match self {
            Weights::File(state) => Subject::State(state),
            Weights::Procedural(p) => Subject::Procedural(*p),
        }
    }
}

/// Losses, gradients and what a step changes.
fn differentiate(
    global: &Global,
    args: &TraceArgs,
    gpu: &Gpu,
    inputs: &StateDict,
    weights: &Weights,
    recognizer: Option<Weights>,
    mode: GradArg,
) -> Result<Vec<Activation>> {
    let subject = weights.subject();
    let note = |text: &str| {
        if !global.quiet {
            say!("note: {text}");
        }
    };
    let mode = match mode {
        GradArg::Frozen => GradMode::Frozen,
        GradArg::Train => GradMode::Train,
    };
    let kind = subject.kind()?;
    let focus = match (kind.critic(), recognizer.as_ref()) {
        // The recognizer by itself is read through the same table, and is its own recognizer.
        _ if kind == ModelKind::TextFocus => Some(weights.subject()),
        (Some(critic), Some(recognizer)) => match recognizer.subject().kind()? {
            found if found == critic => Some(recognizer.subject()),
            other => {
                return Err(Error::new(ErrorKind::Argument, "--recognizer", "weights")
                    .expected(critic.name())
                    .got(other.name()));
            }
        },
        (Some(_), None) => {
            note("no text-focus loss without --recognizer");
            None
        }
        (None, _) => None,
    };
    let focus = match focus {
        None => None,
        Some(recognizer) => {
            let table = confusion_table(args.confusion.as_deref(), Some(inputs))?;
            note(&format!("cross entropy weighted by {}", table.from));
            let table = Host::new([37, 37], table.weights.into_iter().map(f64::from).collect());
            Some(TextFocusModel { recognizer, table })
        }
    };
    gradients(gpu, &subject, inputs, mode, focus.as_ref(), args.detail())
}

/// The first difference in graph order, and the counts; every line with `verbose`.
fn report(comparisons: &[Comparison], verbose: bool) -> String {
    let mut text = String::new();
    let line = |text: &mut String, c: &Comparison| {
        let mark = if c.passes() { "ok  " } else { "FAIL" };
        writeln!(text, "{mark} {c}").expect("a string takes any text");
    };
    for c in comparisons.iter().filter(|_| verbose) {
        line(&mut text, c);
    }
    let failed: Vec<&Comparison> = comparisons.iter().filter(|c| !c.passes()).collect();
    match failed.first() {
        None => {
            let worst = comparisons.iter().max_by(|a, b| {
                (a.error / a.bound.max(f64::MIN_POSITIVE))
                    .total_cmp(&(b.error / b.bound.max(f64::MIN_POSITIVE)))
            });
            text += &format!("all {} within their bounds", comparisons.len());
            if let Some(worst) = worst {
                text += &format!("; nearest to its bound: {worst}");
            }
            text.push('\n');
        }
        Some(first) => {
            text += &format!(
                "{} of {} differ; the first in graph order:\n",
                failed.len(),
                comparisons.len()
            );
            line(&mut text, first);
        }
    }
    text
}

/// The seed and model of `procedural:MODEL:SEED`.
fn procedural(option: &'static str, text: &str) -> Result<Option<Procedural>> {
    let Some(rest) = text.strip_prefix("procedural:") else { return Ok(None) };
    let parsed = rest.split_once(':').and_then(|(model, seed)| {
        let model = ModelKind::named(model)?;
        Some(Procedural { model, seed: seed.parse().ok()? })
    });
    parsed.map(Some).ok_or_else(|| {
        let words: Vec<&str> = ModelKind::words().collect();
        Error::new(ErrorKind::Argument, option, "procedural weights")
            .expected(format!("procedural:MODEL:SEED with MODEL one of {}", words.join(", ")))
            .got(text)
    })
}
