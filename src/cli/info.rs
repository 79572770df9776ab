//! `lemma-gpu info`: adapters, weights files, memory.

use super::weights::WeightsArgs;
use super::weights_file::WeightsFile;
use super::{Global, Outcome, StorageArgs, bytes, print};
use crate::Result;
use crate::bench::numerics;
use crate::data::checkpoint::{Report, StateDict, inspect};
use crate::engine::{MemoryPlan, ModelKind, configuration};
use crate::error::visible;
use crate::gpu::{AdapterSummary, GpuOptions};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `info`.
#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// Weights file to describe; without one, the adapters
    #[arg(conflicts_with_all = ["selftest", "tuning"])]
    file: Option<PathBuf>,
    /// Bytes by part for a pass over the network, before anything is allocated
    #[arg(long, conflicts_with_all = ["selftest", "tuning"])]
    memory: bool,
    /// Images in that pass
    #[arg(short, long, default_value_t = 1, requires = "memory", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Check every kernel against its oracle on the adapter
    #[arg(long)]
    selftest: bool,
    /// What the adapter's arithmetic does with NaN, subnormals and conversions, and how exact its functions are
    #[arg(long, conflicts_with_all = ["file", "memory", "tuning"])]
    numerics: bool,
    /// Tiles of matrix kernels that `tune` found to be the fastest on the adapter
    #[arg(long, conflicts_with = "selftest")]
    tuning: bool,
    /// Describe every tensor of the file
    #[arg(long, requires = "file")]
    tensors: bool,
    /// Print the configuration alone, in JSON: what --config takes
    #[arg(long, requires = "file", conflicts_with_all = ["memory", "tensors"])]
    configuration: bool,
    #[command(flatten)]
    weights: WeightsArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Prints what was asked for.
pub fn run(global: &Global, args: &InfoArgs) -> Result<Outcome> {
    if args.selftest || args.numerics {
        let engine = global.engine()?;
        if args.numerics {
            let rows = numerics::numerics(engine.gpu())?;
            print(&format!("{}\n{}", super::kernels::title(engine.gpu()), numerics::text(&rows)))?;
        }
        if args.selftest {
            super::kernels::selftest(engine.gpu(), &mut std::io::stdout().lock())?;
        }
        return Ok(Outcome::Done);
    }
    if args.tuning {
        return print(&super::tune::text(global.engine()?.gpu()));
    }
    if args.memory {
        return print(&memory(global, args)?);
    }
    match &args.file {
        None => super::list_adapters(),
        Some(path) => {
            let (mut state, report) = inspect(path, args.weights.key.as_deref())?;
            let said = state.metadata.contains_key("config");
            let settled = args.weights.settle(&mut state).map_err(|e| e.within(path.display()));
            if args.configuration {
                settled?;
                let config = configuration(&state).map_err(|e| e.within(path.display()))?;
                return print(&format!("{config:#}\n"));
            }
            // What a file does not tell is no reason to say nothing of it, unless the user's own words do not fit it.
            let notes = match settled {
                Ok(notes) => notes,
                Err(e) if args.weights.config.is_some() || args.weights.charset.is_some() => {
                    return Err(e);
                }
                Err(e) => vec![e.to_string()],
            };
            print(&weights(&state, &report, said, &notes, args.tensors))
        }
    }
}

/// The adapters, each with driver, limits and features.
pub fn adapters(all: &[AdapterSummary]) -> String {
    let mut text = String::new();
    for a in all {
        let software = if a.software { ", computes on the CPU" } else { "" };
        text += &format!("{}: {} ({}, {}{software})\n", a.index, a.name, a.kind, a.backend);
        if !a.pci.is_empty() {
            text += &format!("    address   pci:{}\n", a.pci);
        }
        text += &format!("    driver    {}\n", a.driver);
        text += &format!("    features  {}\n", a.features.join(", "));
        text += &format!("    subgroup  {} to {} lanes\n", a.subgroup.0, a.subgroup.1);
        for (name, value) in &a.limits {
            text += &format!("    {name} {value}\n");
        }
    }
    text
}

/// Metadata that other lines tell already.
const SHOWN: [&str; 3] = ["config", "model", "format"];

/// Model, configuration, tensors, parameters, character set, history and hash of a weights file.
fn weights(state: &StateDict, report: &Report, said: bool, notes: &[String], all: bool) -> String {
    let mut text = format!("{}\n", visible(&report.place));
    let mut line = |key: &str, value: String| {
        let (key, value) = (visible(key), visible(&value));
        writeln!(text, "    {key:<14}{value}").expect("a string takes any text");
    };
    let kind = ModelKind::of(state);
    line("model", kind.map_or("unknown".into(), |k| k.name().into()));
    line("format", report.container.to_string());
    line("size", format!("{} ({} bytes)", bytes(report.bytes as u64), report.bytes));
    line("sha256", report.sha256.clone());
    line("tensors", report.rows.len().to_string());
    let buffers = [".running_mean", ".running_var", ".pe", "num_batches_tracked"];
    let is_buffer = |n: &str| buffers.iter().any(|b| n.ends_with(b)) || n.starts_with("tps.");
    let parameters: usize =
        state.tensors.iter().filter(|(n, _)| !is_buffer(n)).map(|(_, t)| t.len()).sum();
    line("parameters", format!("{parameters} of {} values", report.elements));
    let mut types: BTreeMap<String, usize> = BTreeMap::new();
    for row in &report.rows {
        *types.entry(row.dtype.to_string()).or_default() += 1;
    }
    let types: Vec<String> = types.iter().map(|(t, n)| format!("{n} {t}")).collect();
    line("types", types.join(", "));
    if let Ok(config) = configuration(state) {
        let from = if said { "metadata" } else { "note" };
        line("configuration", format!("(from {from}) {config}"));
        let recognizer = config.get("position_prior").unwrap_or(&config);
        line("characters", recognizer["charset_chars"].as_str().unwrap_or_default().into());
    }
    for note in notes {
        line("note", note.clone());
    }
    for wrapper in &report.wrappers {
        line("inside", wrapper.clone());
    }
    for (key, value) in &report.others {
        line("left out", format!("{key} = {value}"));
    }
    for (key, value) in state.metadata.iter().filter(|(k, _)| !SHOWN.contains(&k.as_str())) {
        line(key, value.clone());
    }
    if all {
        text += &report.to_string();
    }
    text
}

fn memory(global: &Global, args: &InfoArgs) -> Result<String> {
    let options = GpuOptions { planning: true, ..args.storage.options() };
    let engine = global.engine_with(options)?;
    let file = args.file.as_deref().map(WeightsFile::from);
    let network = args.weights.network(global, &engine, file.as_ref())?;
    let title = format!("a pass over {} images on {}", args.batch, engine.adapter().name);
    Ok(plan(&title, &network.plan_memory(args.batch as usize)?))
}

/// Bytes by part, a line each.
pub fn plan(title: &str, plan: &MemoryPlan) -> String {
    let mut text = format!("{title}\n");
    for (part, n) in &plan.parts {
        text += &format!("    {part:<36}{:>12}\n", bytes(*n));
    }
    text += &format!("    {:<36}{:>12}\n", "together", bytes(plan.total()));
    let largest = format!("{:<36}{:>12}", "the largest buffer among them", bytes(plan.largest));
    let most = bytes(plan.most);
    text += &match plan.binds() {
        true => format!("    {largest}  of at most {most}\n"),
        false => format!("    {largest}  DOES NOT FIT: the adapter takes at most {most}\n"),
    };
    text
}
