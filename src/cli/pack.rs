//! `lemma-gpu pack`: sets of words from one form to another.

use super::kept::SetArgs;
use super::progress::{Mode, Progress};
use super::shard::Shard;
use super::stop::{A_SAVE, Stop};
use super::{Global, Outcome};
use crate::Result;
use crate::cli::say::say;
use crate::data::ordered::Ordered;
use crate::data::picture::{Format, encode};
use crate::data::words::{Fault, Mix, Place, Report, Sample};
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `pack`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct PackArgs {
    /// Sets to read, one behind the other: LMDBs, folders of pairs or of images with labels, tar files, or synth:
    #[arg(required = true, value_name = "SET")]
    sets: Vec<String>,
    /// Set to write; nothing may be there
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    kept: SetArgs,
    /// Only the I-th of N parts of the words, as 2/8: for jobs that share them
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

/// A sample as it is written.
struct Packed {
    sample: Sample,
    hr: Vec<u8>,
    lr: Option<Vec<u8>>,
}

/// Reads the sets and writes one.
pub fn run(global: &Global, args: &PackArgs) -> Result<Outcome> {
    let stop = Stop::on_signal(
        "stopping when the words in flight are done; Ctrl-C again stops at once",
        A_SAVE,
    )?;
    let mix = Arc::new(Mix::open(&args.sets)?);
    let range = args.shard.map_or(0..mix.len(), |shard| shard.range(mix.len()));
    let places: Arc<[Place]> = range.map(|at| mix.in_order(at as u64)).collect();
    let mut store = args.kept.create(&args.output)?;

    let mut progress = Progress::new(Mode::Auto, global.quiet, places.len());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let theirs = places.clone();
    let work = move |index: u64| packed(&mix, theirs[index as usize]);
    let mut report = Report::default();
    let mut written = 0;
    let tickets = 0..places.len() as u64;
    for (result, place) in Ordered::new(tickets, threads, 16 * threads, work)?.zip(&*places) {
        if stop.asked() {
            progress.close();
            if !global.quiet {
                say!("interrupted; nothing was written");
            }
            return Ok(stop.outcome());
        }
        match result? {
            Ok(Packed { sample, hr, lr }) => {
                if let Some(flaw) = sample.flaw {
                    report.add(*place, flaw);
                }
                store.add(&sample.label, &hr, lr.as_deref(), &sample.characters)?;
                written += 1;
                progress.step(false);
            }
            Err(fault) => {
                report.add(*place, fault);
                progress.step(true);
            }
        }
        stop.beat();
    }
    progress.close();
    store.finish()?;
    if !global.quiet {
        say!("{written} words in {}", args.output.display());
        if !report.is_empty() {
            say!("bad data:\n{}", report.to_string().trim_end());
        }
    }
    Ok(if report.total() == 0 { Outcome::Done } else { Outcome::SomeFailed })
}

/// A sample with its images as PNG files, or what is wrong with it.
fn packed(mix: &Mix, place: Place) -> Result<Result<Packed, Fault>> {
    let sample = match mix.sample(place) {
        Ok(sample) => sample,
        Err(fault) => return Ok(Err(fault)),
    };
    let hr = encode(&sample.hr, Format::Png)?;
    let lr = sample.lr.as_ref().map(|lr| encode(lr, Format::Png)).transpose()?;
    Ok(Ok(Packed { sample, hr, lr }))
}
