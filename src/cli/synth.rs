//! `lemma-gpu synth`: words drawn for training.

use super::kept::SetArgs;
use super::progress::{Mode, Progress};
use super::stop::{A_SAVE, Stop};
use super::{Global, Outcome};
use crate::cli::say::say;
use crate::data::ordered::Ordered;
use crate::data::picture::{Format, Pair, contact_sheet, encode, write_file};
use crate::data::synth::{Drawn, Synth, SynthOptions};
use crate::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Arguments of `synth`.
#[derive(Debug, clap::Args)]
pub struct SynthArgs {
    /// Set to write; nothing may be there
    #[arg(short, long, value_name = "OUT", required_unless_present = "preview")]
    output: Option<PathBuf>,
    /// Number of words
    #[arg(short = 'n', long, default_value_t = 1000, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    count: u64,
    /// Folders of fonts; the system's by default
    #[arg(long, num_args = 1.., value_name = "DIR")]
    fonts: Vec<PathBuf>,
    /// Text file of the words to write; a built-in list by default
    #[arg(long, value_name = "FILE")]
    words: Option<PathBuf>,
    /// Folder of photographs to write on; drawn surfaces by default
    #[arg(long, value_name = "DIR")]
    backgrounds: Option<PathBuf>,
    #[command(flatten)]
    kept: SetArgs,
    /// PNG file to draw a sheet of the first words to
    #[arg(long, value_name = "FILE")]
    preview: Option<PathBuf>,
    /// Another seed draws other words
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write over a preview that is there
    #[arg(long)]
    overwrite: bool,
}

/// Words on a preview.
const PREVIEW: u64 = 60;

/// Draws the words, and says what with and how fast.
pub fn run(global: &Global, args: &SynthArgs) -> Result<Outcome> {
    let stop = Stop::on_signal(
        "stopping when the words in flight are done; Ctrl-C again stops at once",
        A_SAVE,
    )?;
    let say = |text: &str| {
        if !global.quiet {
            say!("{text}");
        }
    };
    let store = args.output.as_deref().map(|out| args.kept.create(out)).transpose()?;
    let synth = Arc::new(Synth::new(&SynthOptions {
        fonts: args.fonts.clone(),
        words: args.words.clone(),
        backgrounds: args.backgrounds.clone(),
        seed: args.seed,
    })?);
    let refused = synth.refused();
    say(&format!("{} fonts in use, {} left out", synth.typefaces().len(), refused.len()));
    if global.verbose {
        refused.iter().for_each(|(path, why)| say!("  {}: {why}", path.display()));
    }

    if let Some(path) = &args.preview {
        preview(&synth, args.count.min(PREVIEW), path, args.overwrite)?;
    }
    let Some(mut store) = store else { return Ok(Outcome::Done) };

    let begun = Instant::now();
    let mut progress = Progress::new(Mode::Auto, global.quiet, args.count as usize);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let work = move |index| {
        let word = synth.draw(index);
        pair_of_files(&word).map(|files| (word, files))
    };
    for pair in Ordered::new(0..args.count, threads, 64 * threads, work)? {
        if stop.asked() {
            progress.close();
            say("interrupted; nothing was written");
            return Ok(stop.outcome());
        }
        let (word, [hr, lr]) = pair?;
        store.add(&word.label, &hr, Some(&lr), &word.characters)?;
        progress.step(false);
        stop.beat();
    }
    progress.close();
    store.finish()?;
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!("{} words, {:.0} a second", args.count, args.count as f64 / seconds));
    Ok(Outcome::Done)
}

fn pair_of_files(word: &Drawn) -> Result<[Vec<u8>; 2]> {
    let [hr, lr] = [&word.hr, &word.lr].map(|image| encode(image, Format::Png));
    Ok([hr?, lr?])
}

fn preview(synth: &Synth, count: u64, path: &Path, overwrite: bool) -> Result<()> {
    if Format::from_path(path)? != Format::Png {
        return Err(Error::new(ErrorKind::Argument, path.display(), "a preview")
            .expected("a name that ends in .png"));
    }
    let pair = |index| {
        let Drawn { hr, lr, label, characters } = synth.draw(index);
        Pair { label, hr, lr, characters }
    };
    let pairs: Vec<Pair> = (0..count).map(pair).collect();
    write_file(path, &encode(&contact_sheet(&pairs), Format::Png)?, overwrite)
}
