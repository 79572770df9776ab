//! `lemma-gpu tune`: measures which tiles are the fastest on this adapter, for all later runs.

use super::kernels::title;
use super::{Global, Outcome, cache, print};
use crate::bench::{Graph, Size, Tuned, tune};
use crate::cli::say::say;
use crate::data::report::Table;
use crate::gpu::{Gpu, GpuOptions};
use crate::{Error, ErrorKind, Result};

/// Arguments of `tune`.
#[derive(Debug, clap::Args)]
pub struct TuneArgs {
    /// Images of the passes to measure with, several with commas
    #[arg(short, long, value_name = "N", default_value = "1,8", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: Vec<u16>,
    /// With the networks at the official sizes too
    #[arg(long)]
    official: bool,
    /// With a training step of the small LEMMA over so many images too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    step: Option<u16>,
    /// Measure anew what was measured before
    #[arg(long)]
    anew: bool,
}

/// Measures and keeps the choices.
pub fn run(global: &Global, args: &TuneArgs) -> Result<Outcome> {
    let folder = cache::folder(global.cache.as_deref()).ok_or_else(|| {
        Error::new(ErrorKind::Argument, "--cache", "a folder to keep the choices in")
            .expected("a folder")
            .got("off")
    })?;
    let engine = global.engine_with(GpuOptions { profile: true, ..Default::default() })?;
    let gpu = engine.gpu();
    if args.anew {
        gpu.set_choices(Default::default());
    }
    let graphs = [Graph::Lemma, Graph::Abinet];
    let passes =
        Size::measured(args.official).iter().flat_map(|size| graphs.map(|graph| (*size, graph)));
    let passes = passes.flat_map(|(size, graph)| {
        args.batch.iter().map(move |n| Tuned::Pass(graph, size, (*n).into()))
    });
    // A folder that cannot be written is told before the work.
    let file = engine.keep_choices(&folder)?;
    for what in passes.chain(args.step.map(|n| Tuned::Step(n.into()))) {
        if !global.quiet {
            say!("measuring the products of {what}");
        }
        tune(gpu, what)?;
        // What was measured so far is kept, whatever becomes of the rest.
        engine.keep_choices(&folder)?;
    }
    print(&format!("{}kept in {}\n", text(gpu), file.display()))
}

/// The choices of a device, a line each.
pub fn text(gpu: &Gpu) -> String {
    let numbers = ["rows up to", "depth", "columns", "batch up to"];
    let mut table = Table::new("fastest tiles", &["product", "tile"], &numbers);
    for (class, tile) in gpu.choices() {
        let (kind, sizes) = class.split_once(' ').unwrap_or((&class, ""));
        table.row([kind, &tile].into_iter().chain(sizes.split(' ')));
    }
    let title = title(gpu) + "\n";
    match table.is_empty() {
        true => title + "nothing was measured: tiles are chosen by rule (lemma-gpu tune)\n",
        false => title + &table.plain(),
    }
}
