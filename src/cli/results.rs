//! What a run says: text on standard output, a JSON report, messages and a summary on standard
//! error.

use super::few::Few;
use super::paths::{is_dash, make_parent};
use super::progress::{Mode, Progress, rate, seconds};
use super::say::count;
use super::stop::Stop;
use super::{Global, Outcome};
use crate::cli::say::say;
use crate::data::picture::{Fit, Plan, write_file};
use crate::engine::Reading;
use crate::engine::pipeline::{Item, Load};
use crate::error::visible;
use crate::gpu::AdapterSummary;
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Options of what a run says.
#[derive(Debug, Clone)]
pub struct Saying<'a> {
    /// Print `file<TAB>text<TAB>confidence`.
    pub text: bool,
    /// Nothing but text is asked for, so that the run is over when nobody reads it.
    pub only_text: bool,
    /// Where the report goes.
    pub json: Option<&'a Path>,
    /// Replace a report that is there.
    pub overwrite: bool,
    /// How progress is shown.
    pub progress: Mode,
}

/// One image in the report.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Record {
    /// The image as it was named.
    pub input: String,
    /// Width and height of the input, upright.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_size: Option<(u32, u32)>,
    /// Where the result is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Width and height of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_size: Option<(u32, u32)>,
    /// Where the sheet is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Where the maps are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<String>,
    /// How the image met the network.
    #[serde(flatten)]
    pub fit: Option<FitRecord>,
    /// What is written there.
    #[serde(flatten)]
    pub reading: Option<ReadingRecord>,
    /// Time of each stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<Milliseconds>,
    /// What a user may not expect of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How an image met the network.
#[derive(Debug, Clone, Serialize)]
pub struct FitRecord {
    /// `stretch`, `pad` or `split`.
    pub fit: &'static str,
    /// Whether it was turned a quarter counter-clockwise.
    pub turned: bool,
    /// Windows of 64×16.
    pub windows: usize,
    /// The same in words.
    #[serde(skip)]
    pub words: String,
}

impl From<&Plan> for FitRecord {
    fn from(plan: &Plan) -> Self {
        FitRecord {
            fit: plan.fit().name(),
            turned: plan.turned(),
            windows: plan.windows().len(),
            words: plan.to_string(),
        }
    }
}

/// What was read.
#[derive(Debug, Clone, Serialize)]
pub struct ReadingRecord {
    /// The text.
    pub text: String,
    /// Geometric mean of the characters' probabilities.
    pub confidence: f32,
    /// Each character.
    pub characters: Vec<CharacterRecord>,
}

/// One character of a reading.
#[derive(Debug, Clone, Serialize)]
pub struct CharacterRecord {
    /// The character.
    pub character: char,
    /// Its probability.
    pub confidence: f32,
    /// Where it stands, as a share of the image's width.
    pub center: f32,
}

impl From<&Reading> for ReadingRecord {
    fn from(reading: &Reading) -> Self {
        let characters = reading.characters.iter().map(|c| CharacterRecord {
            character: c.symbol,
            confidence: c.confidence,
            center: c.center,
        });
        ReadingRecord {
            text: reading.text(),
            confidence: reading.confidence,
            characters: characters.collect(),
        }
    }
}

/// Time of each stage.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Milliseconds {
    decode: f64,
    device: f64,
    write: f64,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    program: &'static str,
    version: &'static str,
    adapter: Adapter<'a>,
    model: &'a serde_json::Value,
    totals: Totals,
    images: &'a [Record],
}

#[derive(Debug, Serialize)]
struct Adapter<'a> {
    name: &'a str,
    kind: &'a str,
    backend: &'a str,
    driver: &'a str,
    software: bool,
}

#[derive(Debug, Serialize)]
struct Totals {
    images: usize,
    done: usize,
    failed: usize,
    skipped: usize,
    interrupted: usize,
    windows: usize,
    turned: usize,
    fits: BTreeMap<&'static str, usize>,
    seconds: f64,
    images_per_second: f64,
    busy: BTreeMap<&'static str, f64>,
    limited_by: &'static str,
}

/// Gathers the images of a run as they get done.
pub struct Results<'a> {
    global: &'a Global,
    saying: Saying<'a>,
    stop: &'a Stop,
    progress: Progress,
    records: Vec<Record>,
    skipped: usize,
    failed: usize,
    interrupted: usize,
    /// Whether standard output was closed by its reader.
    closed: bool,
    broken: Option<Error>,
    few: Few,
    /// Results that are smaller than their images.
    shrunk: usize,
}

impl<'a> Results<'a> {
    /// For `total` images, beside `skipped` ones.
    pub fn new(
        global: &'a Global,
        saying: Saying<'a>,
        stop: &'a Stop,
        (total, skipped): (usize, usize),
    ) -> Self {
        let progress = Progress::new(saying.progress, global.quiet, total);
        Results {
            global,
            saying,
            stop,
            progress,
            records: Vec::with_capacity(total),
            skipped,
            failed: 0,
            interrupted: 0,
            closed: false,
            broken: None,
            few: Few::default(),
            shrunk: 0,
        }
    }

    /// Takes the image `name`, prints its text or its error.
    pub fn add(&mut self, name: String, item: Item<Record>) {
        let ms = |d: std::time::Duration| (d.as_secs_f64() * 1e5).round() / 1e2;
        self.stop.beat();
        let times = item.times;
        let record = match item.result {
            Err(e) if e.kind() == ErrorKind::Cancelled => {
                self.interrupted += 1;
                return;
            }
            Err(e) => {
                self.failed += 1;
                self.say(e.reason(), || say!("error: {e}"));
                Record { input: name, error: Some(e.to_string()), ..Record::default() }
            }
            Ok(record) => Record {
                input: name,
                milliseconds: Some(Milliseconds {
                    decode: ms(times.prepare),
                    device: ms(times.device),
                    write: ms(times.finish),
                }),
                ..record
            },
        };
        if let (true, Some(reading)) = (self.saying.text, &record.reading) {
            let line = format!(
                "{}\t{}\t{:.4}\n",
                visible(&record.input),
                visible(&reading.text),
                reading.confidence
            );
            self.print(&line);
        }
        self.notes_of(&record);
        if self.global.verbose && record.error.is_none() {
            self.progress.aside(|| say!("{}", in_words(&record)));
        }
        self.progress.step(record.error.is_some());
        self.records.push(record);
    }

    /// Says something of one image, unless enough was said of this sort.
    fn say(&mut self, sort: &str, message: impl FnOnce()) {
        if self.few.says(sort) || self.global.verbose {
            self.progress.aside(message);
        }
    }

    /// Says what a user may not expect of an image; the result that is smaller than its image is counted.
    fn notes_of(&mut self, record: &Record) {
        if let (Some(note), false) = (&record.note, self.global.quiet) {
            let sort = format!("note: {note}");
            self.say(&sort, || say!("note: {}: {note}", record.input));
        }
        if let (Some(from), Some(to)) = (record.input_size, record.output_size) {
            self.shrunk += usize::from(to.0 < from.0 && to.1 < from.1);
        }
    }

    /// Prints a line to standard output. A reader that has had enough is no failure, but the end of
    /// a run that was for it alone.
    fn print(&mut self, line: &str) {
        if self.closed {
            return;
        }
        let written = self.progress.aside(|| {
            let mut out = std::io::stdout().lock();
            out.write_all(line.as_bytes()).and_then(|()| out.flush())
        });
        if let Err(e) = written {
            self.closed = true;
            if e.kind() != std::io::ErrorKind::BrokenPipe {
                self.broken = Some(Error::io("standard output", "cannot be written", e));
            }
            if self.saying.only_text {
                self.stop.end();
            }
        }
    }

    /// Ends a run that went as `load`: the report and the summary.
    ///
    /// # Errors
    /// What ended the run early, or kept a result from being written.
    pub fn close(
        mut self,
        load: Load,
        adapter: &AdapterSummary,
        model: &serde_json::Value,
    ) -> Result<Outcome> {
        self.progress.close();
        if !self.global.verbose {
            self.few.rest().iter().for_each(|line| say!("{line}"));
        }
        let totals = self.totals(&load);
        if !self.global.quiet {
            self.summary(&totals);
        }
        if let Some(path) = self.saying.json {
            let report = Report {
                program: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                adapter: Adapter {
                    name: &adapter.name,
                    kind: &adapter.kind,
                    backend: &adapter.backend,
                    driver: &adapter.driver,
                    software: adapter.software,
                },
                model,
                totals,
                images: &self.records,
            };
            let text = serde_json::to_string_pretty(&report).expect("a report is plain data");
            if is_dash(path) {
                self.print(&(text + "\n"));
            } else {
                make_parent(path)?;
                write_file(path, (text + "\n").as_bytes(), self.saying.overwrite)?;
            }
        }
        if let Some(e) = load.broken.or(self.broken) {
            return Err(e);
        }
        let had_enough = self.closed && self.saying.only_text;
        Ok(match (self.failed, self.interrupted) {
            (_, 1..) if !had_enough => self.stop.outcome(),
            (1.., _) => Outcome::SomeFailed,
            _ => Outcome::Done,
        })
    }

    fn totals(&self, load: &Load) -> Totals {
        let mut fits = BTreeMap::new();
        let (mut windows, mut turned) = (0, 0);
        for fit in self.records.iter().filter_map(|r| r.fit.as_ref()) {
            *fits.entry(fit.fit).or_default() += 1;
            windows += fit.windows;
            turned += usize::from(fit.turned);
        }
        let busy = [("decode", load.prepare), ("device", load.device), ("write", load.finish)];
        let most = busy.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("three stages");
        let done = self.records.len() - self.failed;
        let seconds = load.wall.as_secs_f64();
        let rounded = |x: f64| (x * 1e4).round() / 1e4;
        Totals {
            images: self.records.len() + self.interrupted + self.skipped,
            done,
            failed: self.failed,
            skipped: self.skipped,
            interrupted: self.interrupted,
            windows,
            turned,
            fits,
            seconds: rounded(seconds),
            images_per_second: rounded(done as f64 / seconds.max(1e-9)),
            busy: busy.map(|(stage, share)| (stage, rounded(share))).into(),
            limited_by: most.0,
        }
    }

    /// The end of the run in words: of one image what became of it, of several the counts.
    fn summary(&self, totals: &Totals) {
        let counted = [
            (totals.failed, "failed"),
            (totals.skipped, "skipped, their results are there"),
            (totals.interrupted, "not done"),
        ];
        let others: String =
            counted.iter().filter(|c| c.0 > 0).map(|(n, what)| format!(" · {n} {what}")).collect();
        match (self.shrunk, totals.images) {
            (0, _) => {}
            (_, 1) => say!("note: the result is smaller than the image: {WORDS}"),
            (n, all) => {
                say!("note: {n} of {all} results are smaller than their images: {WORDS}");
            }
        }
        if totals.images == 1 && totals.done == 1 {
            if !self.global.verbose {
                say!("{}", in_words(&self.records[0]));
            }
            return;
        }
        let (done, took) = (count(totals.done, "image"), seconds(totals.seconds));
        say!("{done} done in {took}{others}");
        if totals.done == 0 {
            return;
        }
        let fits: Vec<String> = [Fit::Stretch, Fit::Pad, Fit::Split]
            .iter()
            .filter_map(|f| Some(format!("{} {}", totals.fits.get(f.name())?, past(*f))))
            .chain((totals.turned > 0).then(|| format!("{} turned first", totals.turned)))
            .collect();
        if !fits.is_empty() {
            say!("    {} ({})", fits.join(", "), count(totals.windows, "window"));
        }
        let busy: Vec<String> =
            totals.busy.iter().map(|(s, share)| format!("{s} {:.0} %", 100.0 * share)).collect();
        say!(
            "    {}, limited by {} (busy: {})",
            rate(totals.images_per_second),
            match totals.limited_by {
                "decode" => "decoding",
                "write" => "writing",
                _ => "the device",
            },
            busy.join(", ")
        );
    }
}

const WORDS: &str = "this program is made for crops of single words and lines";

fn past(fit: Fit) -> &'static str {
    match fit {
        Fit::Stretch => "stretched",
        Fit::Pad => "padded",
        Fit::Split => "split",
        Fit::Auto => "fitted",
    }
}

/// What became of an image, in a line.
fn in_words(record: &Record) -> String {
    let size = |(w, h): (u32, u32)| format!("{w}×{h}");
    let arrow = |from: String, to: Option<String>| match to {
        Some(to) => format!("{from} → {to}"),
        None => from,
    };
    let mut parts = vec![arrow(record.input.clone(), record.output.clone())];
    parts.extend(record.input_size.map(|s| arrow(size(s), record.output_size.map(size))));
    parts.extend(record.fit.iter().map(|f| f.words.clone()));
    parts.extend(record.reading.iter().map(|r| match r.text.as_str() {
        "" => "no text".into(),
        text => format!("“{text}” {:.1} %", 100.0 * r.confidence),
    }));
    parts.extend(record.milliseconds.map(|m| seconds((m.decode + m.device + m.write) / 1e3)));
    parts.join(" · ")
}
