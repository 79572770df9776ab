//! `lemma-gpu convert`: PyTorch checkpoints to safetensors.

use super::{Global, Outcome, print};
use crate::data::checkpoint::{ConvertOptions, Dtype, convert};
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
    let dtype = args.dtype.map(|p| match p {
        Precision::F32 => Dtype::F32,
        Precision::F16 => Dtype::F16,
        Precision::Bf16 => Dtype::Bf16,
    });
    let options = ConvertOptions { dtype, only: args.only.clone(), overwrite: args.overwrite };
    let there = !args.overwrite && args.output.exists();
    let report = convert(&args.input, &args.output, &options).map_err(|e| match e.kind() {
        ErrorKind::Argument if there => e.hint("--overwrite writes over it"),
        _ => e,
    })?;
    if global.quiet { Ok(Outcome::Done) } else { print(&report.to_string()) }
}
