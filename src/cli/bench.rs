//! `lemma-gpu bench`: how fast this adapter is, and where the time goes.

use super::paths::{is_dash, make_parent, refuse_existing};
use super::{Global, Outcome, StorageArgs, print};
use crate::bench::{
    Clock, Graph, Peak, Report, Size, each_work, fewest_in_step, forward_name, measure_model,
    model_name, profile_forward, profile_step, step_name,
};
use crate::cli::say::say;
use crate::data::picture::write_file;
use crate::engine::ModelKind;
use crate::gpu::{Gpu, GpuOptions, Precision};
use crate::{Error, ErrorKind, Result};
use std::path::PathBuf;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Only what has this in its name, as it is printed; `model` and `profile` are names too. TSRN, PCAN and the other networks
    /// that LEMMA is compared with, and CRNN, ASTER, MORAN, PARSeq and MATRN, are measured only where they are named
    #[arg(short, long, value_name = "NAME", default_value = "", hide_default_value = true)]
    filter: String,
    /// Measure each for so many seconds, and at least three times
    #[arg(short, long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    seconds: f64,
    /// The networks at the official sizes too
    #[arg(long)]
    official: bool,
    /// Show where the time of a pass and of a training step goes, module by module
    #[arg(long)]
    profile: bool,
    /// Images of the passes and steps that --profile shows
    #[arg(short, long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Write all figures as JSON; - for standard output, in place of the text
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with a roofline plot, tables and the time as nested bars: one HTML file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write over results that are there
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    storage: StorageArgs,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(s) if s.is_finite() && s > 0.0 => Ok(s),
        _ => Err("expected a number above 0".into()),
    }
}

/// Batches that networks are measured at.
const BATCHES: [usize; 3] = [1, 8, 64];

/// Measures what was asked for.
pub fn run(global: &Global, args: &BenchArgs) -> Result<Outcome> {
    let files = [&args.json, &args.html].into_iter().flatten().filter(|p| !is_dash(p));
    for path in files {
        refuse_existing(path, args.overwrite)?;
        make_parent(path)?;
    }
    let to_stdout = args.json.as_ref().is_some_and(|p| is_dash(p));
    let say = |text: &str| if to_stdout { Ok(Outcome::Done) } else { print(text) };
    let engine = global.engine_with(GpuOptions { profile: true, ..args.storage.options() })?;
    let mut report = Report::new(engine.gpu());
    if args.profile && report.kernel_clock == Clock::Host {
        return Err(Error::new(ErrorKind::Argument, "--profile", "timestamps of the adapter")
            .expected("an adapter with the feature timestamp-query")
            .got(&report.adapter.name)
            .hint("lemma-gpu info shows the features of each adapter"));
    }
    say(&format!("{}\n", report.title()))?;
    args.kernels(engine.gpu(), &mut report, global.verbose)?;
    if let Some(peak) = &report.peak {
        say(&format!("{}\n\n{}", peak.line(), report.kernel_text()))?;
    }
    args.models(engine.gpu(), &mut report)?;
    if !report.models.is_empty() {
        say(&format!("\n{}", report.model_table().plain()))?;
    }
    let left_out = args.profiles(engine.gpu(), &mut report, &say)?;
    if report.is_empty() && !left_out {
        return Err(Error::new(ErrorKind::Argument, "--filter", "nothing has this in its name")
            .got(&args.filter)
            .hint("without --filter everything is measured and named"));
    }
    if let Some(path) = &args.html {
        report.page().write(path, args.overwrite)?;
    }
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report)
            .map_err(|e| Error::new(ErrorKind::Result, "--json", "figures as JSON").detail(e))?;
        let json = json + "\n";
        match is_dash(path) {
            true => print(&json)?,
            false => {
                write_file(path, json.as_bytes(), args.overwrite)?;
                Outcome::Done
            }
        };
    }
    Ok(Outcome::Done)
}

impl BenchArgs {
    fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }

    /// Peaks are measured before and after the kernels, so that one that was measured at a bad moment makes no share too large.
    fn kernels(&self, gpu: &Gpu, report: &mut Report, verbose: bool) -> Result<()> {
        let mut before = None;
        each_work(&|name| self.wants(name), &mut |work| {
            if before.is_none() {
                before = Some(Peak::measure(gpu)?);
            }
            if verbose {
                say!("{}", work.name);
            }
            report.kernels.push(work.prepare(gpu).measure(self.seconds)?);
            Ok(())
        })?;
        if let Some(before) = before {
            report.compare(before.or(Peak::measure(gpu)?));
        }
        Ok(())
    }

    /// Networks beside LEMMA and ABINet that the filter names: all of them would take long.
    fn others(&self) -> impl Iterator<Item = Graph> {
        let measured = [ModelKind::Lemma, ModelKind::Abinet];
        let named = move |k: &ModelKind| !measured.contains(k) && self.filter.contains(k.name());
        ModelKind::all().filter(named).filter_map(|kind| match kind {
            _ if kind.enlarges() => Some(Graph::Word(kind)),
            _ => kind.reads().then_some(Graph::Reader(kind)),
        })
    }

    fn models(&self, gpu: &Gpu, report: &mut Report) -> Result<()> {
        for size in Size::measured(self.official) {
            for graph in [Graph::Lemma, Graph::Abinet] {
                for batch in BATCHES {
                    if self.wants(&model_name(graph, *size, batch)) {
                        let result = measure_model(gpu, graph, *size, batch, self.seconds)?;
                        report.models.push(result);
                    }
                }
            }
        }
        for graph in self.others() {
            for batch in BATCHES {
                if self.wants(&model_name(graph, Size::Official, batch)) {
                    let result = measure_model(gpu, graph, Size::Official, batch, self.seconds)?;
                    report.models.push(result);
                }
            }
        }
        Ok(())
    }

    /// Whether a step was left out.
    fn profiles(
        &self,
        gpu: &Gpu,
        report: &mut Report,
        say: &dyn Fn(&str) -> Result<Outcome>,
    ) -> Result<bool> {
        if !self.profile {
            return Ok(false);
        }
        let mut left_out = false;
        let (n, seconds) = (usize::from(self.batch), self.seconds);
        let lemmas = Size::measured(self.official).iter().map(|size| (Graph::Lemma, *size));
        let others = self.others().map(|graph| (graph, Size::Official));
        for (graph, size) in lemmas.chain(others) {
            if self.wants(&forward_name(graph, size, n)) {
                let profile = profile_forward(gpu, graph, size, n, seconds)?;
                say(&format!("\n{}", profile.text()))?;
                report.profiles.push(profile);
            }
        }
        if gpu.options().precision != Precision::F32 {
            say("\nno step of training: it is taken in f32")?;
            return Ok(false);
        }
        for size in Size::measured(self.official) {
            let name = step_name(*size, n);
            if self.wants(&name) && n < fewest_in_step(*size) {
                say(&format!(
                    "\n{name}: left out, since it takes {} images",
                    fewest_in_step(*size)
                ))?;
                left_out = true;
            } else if self.wants(&name) {
                let profile = profile_step(gpu, *size, n, seconds)?;
                say(&format!("\n{}", profile.text()))?;
                report.profiles.push(profile);
            }
        }
        Ok(left_out)
    }
}
