//! `lemma-gpu trace`: a graph on raw tensors, its activations by name, and how they compare with a reference.

use super::{Global, Outcome, print};
use crate::data::checkpoint::StateDict;
use crate::engine::trace::{Comparison, Subject, compare, run as run_graph, to_state_dict};
use crate::models::procedural::{Model, Procedural};
use crate::{Error, ErrorKind, Result};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `trace`.
#[derive(Debug, clap::Args)]
pub struct TraceArgs {
    /// Weights: a checkpoint of LEMMA, ABINet or the text-focus recogniser, or `procedural:MODEL:SEED` with MODEL lemma,
    /// abinet or text-focus
    #[arg(short, long, value_name = "FILE")]
    model: String,
    /// Raw tensors in safetensors: `input.lr_u8` for LEMMA, `input.u8` for ABINet
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
    let inputs = StateDict::read(&args.input)?;
    let state;
    let subject = match procedural(&args.model)? {
        Some(p) => Subject::Procedural(p),
        None => {
            state = StateDict::read(&args.model)?;
            Subject::State(&state)
        }
    };
    let reference = args.against.as_ref().map(StateDict::read).transpose()?;
    let engine = global.engine()?;
    let activations =
        run_graph(engine.gpu(), &subject, &inputs).map_err(|e| e.within(args.input.display()))?;
    if let Some(path) = &args.output {
        let kept: Vec<_> =
            activations.iter().filter(|a| args.all || a.is_value()).cloned().collect();
        to_state_dict(&kept)?.write_safetensors(path)?;
        if !global.quiet {
            eprintln!("{}: {} activations", path.display(), kept.len());
        }
    }
    let Some(reference) = reference else { return Ok(Outcome::Done) };
    let comparisons = compare(&activations, &reference)?;
    let failed = comparisons.iter().filter(|c| !c.passes()).count();
    print(&report(&comparisons, global.verbose))?;
    Ok(if failed == 0 { Outcome::Done } else { Outcome::SomeFailed })
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
fn procedural(text: &str) -> Result<Option<Procedural>> {
    let Some(rest) = text.strip_prefix("procedural:") else { return Ok(None) };
    let parsed = rest.split_once(':').and_then(|(model, seed)| {
        let model = match model {
            "lemma" => Model::Lemma,
            "abinet" => Model::Abinet,
            "text-focus" => Model::TextFocus,
            _ => return None,
        };
        Some(Procedural { model, seed: seed.parse().ok()? })
    });
    parsed.map(Some).ok_or_else(|| {
        Error::new(ErrorKind::Argument, "--model", "procedural weights")
            .expected("procedural:MODEL:SEED with MODEL lemma, abinet or text-focus")
            .got(text)
    })
}
