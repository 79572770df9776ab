//! What one looks at while a network trains: a line or a bar, `metrics.jsonl`, TensorBoard's event file, and in the end
//! `curves.svg` and `report.html`.

use crate::cli::progress::{Mode, rate};
use crate::cli::say::say;
use crate::cli::stop::Stop;
use crate::data::picture::{Format, RgbImage, encode, write_file};
use crate::data::report::{Chart, Page, Table, number};
use crate::gpu::Interrupt;
use crate::train::branch::{CURVES, METRICS, REPORT};
use crate::train::{Events, Observer, StepMetrics, TrainConfig, Trainer};
use crate::{Error, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Metrics of an evaluation and, where the stage has pictures, a sheet of them.
pub struct Evaluation {
    /// Names and values; the best weights are chosen by the first, larger is better.
    pub values: Vec<(&'static str, f64)>,
    /// Pictures to look at.
    pub sheet: Option<RgbImage>,
}

/// Evaluates a network on a fixed set.
pub type Evaluate<'a> = Box<dyn FnMut(&Trainer) -> Result<Option<Evaluation>> + 'a>;

/// Where a run stands, and where its files go.
pub struct Place<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub total: usize,
}

/// The watcher of the command.
pub struct Watch<'a> {
    folder: PathBuf,
    metrics: File,
    events: Events,
    bar: Option<ProgressBar>,
    lines: bool,
    total: usize,
    stop: Stop,
    evaluate: Evaluate<'a>,
    memory: Box<dyn Fn() -> u64 + 'a>,
    /// Every series by name: loss parts and metrics over steps.
    series: BTreeMap<String, Vec<(f64, f64)>>,
    last_sheet: Option<RgbImage>,
    starved: bool,
    speed: f64,
}

/// Share of the time that the device waits for data from which on it is said.
const STARVING: f64 = 0.1;

impl<'a> Watch<'a> {
    /// Watches a run into `folder` that goes on behind `step`: what was logged behind it is dropped.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn new(
        Place { folder, step, total }: Place,
        mode: Mode,
        quiet: bool,
        stop: Stop,
        evaluate: Evaluate<'a>,
        memory: impl Fn() -> u64 + 'a,
    ) -> Result<Self> {
        let path = folder.join(METRICS);
        let wrong = |e| Error::io(path.display(), "cannot be written", e);
        let mut kept = String::new();
        let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        if let Ok(file) = File::open(&path) {
            for line in BufReader::new(file).lines().map_while(|l| l.ok()) {
                let Ok(value) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
                let Some(at) = value["step"].as_u64().filter(|s| *s <= step as u64) else {
                    continue;
                };
                for (name, v) in value.as_object().into_iter().flatten() {
                    if let (true, Some(v)) = (name != "step", v.as_f64()) {
                        series.entry(name.clone()).or_default().push((at as f64, v));
                    }
                }
                kept += &line;
                kept.push('\n');
            }
        }
        write_file(&path, kept.as_bytes(), true)?;
        let metrics = OpenOptions::new().append(true).open(&path).map_err(wrong)?;
        let on_terminal = mode == Mode::Auto && std::io::stderr().is_terminal();
        let bar = (!quiet && on_terminal).then(|| bar(step, total));
        Ok(Watch {
            folder: folder.into(),
            metrics,
            events: Events::create(folder)?,
            lines: !quiet && !on_terminal && mode != Mode::None,
            bar,
            total,
            stop,
            evaluate,
            memory: Box::new(memory),
            series,
            last_sheet: None,
            starved: false,
            speed: 0.0,
        })
    }

    /// Images a second in the fastest line of the log.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None if self.lines => say!("{line}"),
            None => {}
        }
    }

    fn keep(&mut self, step: usize, values: &[(String, f64)]) -> Result<()> {
        let mut object = serde_json::Map::new();
        object.insert("step".into(), step.into());
        for (name, value) in values {
            // A number that is not finite is null in JSON.
            object.insert(name.clone(), (*value).into());
            self.series.entry(name.clone()).or_default().push((step as f64, *value));
        }
        let line = serde_json::Value::Object(object);
        writeln!(self.metrics, "{line}")
            .map_err(|e| Error::io(self.folder.join(METRICS).display(), "cannot be written", e))?;
        self.events.scalars(step, values)
    }

    /// Writes `curves.svg` and `report.html`.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn report(&self, title: &str, settings: &[(String, String)]) -> Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let chart = |title: &str, names: &[&str]| {
            let mut chart = Chart::new(title, "step", "value");
            for name in names {
                if let Some(points) = self.series.get(*name) {
                    let finite = points.iter().copied().filter(|(_, v)| v.is_finite()).collect();
                    chart = chart.line(name, finite);
                }
            }
            chart
        };
        let losses: Vec<&str> = self
            .series
            .keys()
            .map(String::as_str)
            .filter(|n| !["rate", "norm", "skipped", "left"].contains(n))
            .filter(|n| !n.starts_with("eval."))
            .collect();
        let loss = chart("Loss and its parts", &losses).logarithmic();
        write_file(&self.folder.join(CURVES), loss.svg().as_bytes(), true)?;
        let mut page = Page::new(title, "How the training went.");
        page.section("Curves").chart(&loss, "Every logged step.");
        page.chart(&chart("Norm of the gradients", &["norm"]).logarithmic(), "Before clipping.");
        let metrics: Vec<&str> =
            self.series.keys().map(String::as_str).filter(|n| n.starts_with("eval.")).collect();
        if !metrics.is_empty() {
            page.section("Evaluations");
            for name in metrics {
                page.chart(&chart(name, &[name]), "On the fixed validation images.");
            }
        }
        if let Some(sheet) = &self.last_sheet {
            page.section("Validation images").figure(sheet, "The last evaluation.")?;
        }
        let mut table = Table::new("Settings", &["key", "value"], &[]);
        for (key, value) in settings {
            table.row([key.clone(), value.clone()]);
        }
        page.section("Settings").table(&table);
        page.write(&self.folder.join(REPORT), true)
    }
}

fn bar(step: usize, total: usize) -> ProgressBar {
    let target = ProgressDrawTarget::stderr();
    let bar = ProgressBar::with_draw_target(Some(total as u64), target).with_position(step as u64);
    let style = ProgressStyle::with_template("{bar:24} {pos} of {len} · {msg} · {eta} left")
        .expect("a template that is right")
        .progress_chars("━╸ ");
    bar.set_style(style);
    bar
}

impl Observer for Watch<'_> {
    fn logged(&mut self, steps: &[StepMetrics]) -> Result<()> {
        for s in steps {
            let mut values: Vec<(String, f64)> =
                s.losses.iter().map(|(n, v)| (n.to_string(), *v)).collect();
            values.push(("rate".into(), s.rate.into()));
            self.keep(s.step, &values)?;
        }
        let Some(s) = steps.last() else { return Ok(()) };
        self.speed = self.speed.max(s.speed);
        let extra = [
            ("norm".to_string(), f64::from(s.progress.norm)),
            ("skipped".to_string(), s.progress.skipped as f64),
            ("left".to_string(), s.progress.left as f64),
        ];
        self.keep(s.step, &extra)?;
        let parts: Vec<String> =
            s.losses.iter().map(|(name, v)| format!("{name} {}", number(*v, 4))).collect();
        let mut line = parts.join(" · ");
        if s.speed > 0.0 {
            line += &format!(" · {}", rate(s.speed));
        }
        line += &format!(" · {}", crate::cli::bytes((self.memory)()));
        if s.progress.skipped > 0 {
            line += &format!(" · {} batches skipped, not finite", s.progress.skipped);
        }
        if s.progress.left > 0 {
            line += &format!(" · {} values left as they were", s.progress.left);
        }
        if s.starved > STARVING && !self.starved {
            self.starved = true;
            self.say(&format!(
                "note: the device waited for data {:.0} % of the time; more --jobs may help",
                100.0 * s.starved
            ));
        }
        match &self.bar {
            Some(bar) => {
                bar.set_position(s.step as u64);
                bar.set_message(line);
            }
            None => self.say(&format!("step {} of {}: {line}", s.step, self.total)),
        }
        Ok(())
    }

    fn evaluate(&mut self, step: usize, trainer: &Trainer) -> Result<Option<f64>> {
        let Some(found) = (self.evaluate)(trainer)? else { return Ok(None) };
        let values: Vec<(String, f64)> =
            found.values.iter().map(|(n, v)| (format!("eval.{n}"), *v)).collect();
        self.keep(step, &values)?;
        let said: Vec<String> =
            found.values.iter().map(|(n, v)| format!("{n} {}", number(*v, 4))).collect();
        self.say(&format!("evaluation at step {step}: {}", said.join(" · ")));
        if let Some(sheet) = found.sheet {
            let path = self.folder.join(format!("sheet-{step:08}.png"));
            let png = encode(&sheet, Format::Png)?;
            write_file(&path, &png, true)?;
            self.last_sheet = Some(sheet);
        }
        Ok(found.values.first().map(|(_, v)| *v))
    }

    fn halved(&mut self, step: usize, images: usize) {
        self.say(&format!(
            "note: no memory for step {step}; it is taken again with {images} images at once"
        ));
    }

    fn saved(&mut self, path: &Path) {
        if let (None, true) = (&self.bar, self.lines) {
            self.say(&format!("saved {}", path.display()));
        }
    }

    fn stop(&self) -> bool {
        self.stop.asked()
    }

    fn interrupt(&self) -> Option<Interrupt> {
        Some(self.stop.interrupt())
    }

    fn alive(&self) {
        self.stop.beat();
    }
}

/// Settings as rows of a table, key and value.
pub fn rows(config: &TrainConfig) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    // Through text, where a number of 32 bits has no more digits than it needs.
    let text = serde_json::to_string(config).unwrap_or_default();
    flatten("", &serde_json::from_str(&text).unwrap_or_default(), &mut rows);
    rows
}

fn flatten(prefix: &str, value: &serde_json::Value, rows: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, inner) in fields {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{key}"), inner, rows);
            }
        }
        other => rows.push((prefix.into(), other.to_string())),
    }
}
