//! `lemma-gpu convert`: PyTorch checkpoints to safetensors.

use super::weights::WeightsArgs;
use super::{Global, Outcome, print};
use crate::cli::say::say;
use crate::data::checkpoint::{ConvertOptions, Dtype, StateDict, convert_with};
use crate::{ErrorKind, Result};
use std::path::PathBuf;

/// Arguments of `convert`.
#[derive(Debug, clap::Args)]
pub struct ConvertArgs {
    /// Checkpoint: either of PyTorch's containers, or safetensors
    input: PathBuf,
    /// Safetensors file to write
    output: PathBuf,
    /// Type of the floating-point tensors; as they are by default
    #[arg(long, value_enum)]
    dtype: Option<Precision>,
    /// Only of these tensors: a part of their names, * for anything
    #[arg(long, value_name = "PATTERN", requires = "dtype")]
    only: Vec<String>,
    #[command(flatten)]
    weights: WeightsArgs,
    /// Write over a file that is there
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Precision {
    F32,
    F16,
    Bf16,
}

/// Converts, and prints a table of what was found.
pub fn run(global: &Global, args: &ConvertArgs) -> Result<Outcome> {
    let say = |notes: &[String]| {
        for note in notes.iter().filter(|_| !global.quiet) {
            say!("note: {}: {note}", args.input.display());
        }
    };
    let dtype = args.dtype.map(|p| match p {
        Precision::F32 => Dtype::F32,
        Precision::F16 => Dtype::F16,
        Precision::Bf16 => Dtype::Bf16,
    });
    let options = ConvertOptions {
        key: args.weights.key.clone(),
        dtype,
        only: args.only.clone(),
        overwrite: args.overwrite,
    };
    // What cannot be known is left out; what was given must fit.
    let given = args.weights.config.is_some() || args.weights.charset.is_some();
    let settle = |state: &mut StateDict| match args.weights.settle(state) {
        Err(e) if given => Err(e.within(args.input.display())),
        Ok(notes) => {
            say(&notes);
            Ok(())
        }
        Err(e) => {
            say(&[e.to_string()]);
            Ok(())
        }
    };
    let there = !args.overwrite && args.output.exists();
    let report =
        convert_with(&args.input, &args.output, &options, settle).map_err(|e| match e.kind() {
            ErrorKind::Argument if there => e.hint("--overwrite writes over it"),
            _ => e,
        })?;
    if global.quiet { Ok(Outcome::Done) } else { print(&report.to_string()) }
}
