//! How far a run is, on standard error.

use crate::cli::say::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// A bar on a terminal, lines elsewhere
    Auto,
    /// A line every few seconds
    Plain,
    /// Not at all
    None,
}

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// How many lines are left out while nothing gets done.
const STILL: u32 = 6;

enum Shown {
    Bar(ProgressBar),
    /// A thread writes the lines until the sender is dropped.
    Lines(#[expect(dead_code, reason = "dropping it is its use")] Sender<()>),
    Nothing,
}

#[derive(Default)]
struct Counts {
    done: AtomicUsize,
    failed: AtomicUsize,
}

/// Counts images and shows how far they are.
pub struct Progress {
    shown: Shown,
    counts: Arc<Counts>,
}

impl Progress {
    /// For `total` images; nothing is shown when that is one, or when `quiet`.
    pub fn new(mode: Mode, quiet: bool, total: usize) -> Self {
        let counts = Arc::new(Counts::default());
        let shown = match mode {
            _ if quiet || total < 2 => Shown::Nothing,
            Mode::None => Shown::Nothing,
            Mode::Auto if std::io::stderr().is_terminal() => Shown::Bar(bar(total)),
            Mode::Auto | Mode::Plain => Shown::Lines(lines(counts.clone(), total)),
        };
        Progress { shown, counts }
    }

    /// Counts an image that is done.
    pub fn step(&self, failed: bool) {
        self.counts.failed.fetch_add(failed.into(), Ordering::SeqCst);
        self.counts.done.fetch_add(1, Ordering::SeqCst);
        if let Shown::Bar(bar) = &self.shown {
            bar.inc(1);
        }
    }

    /// Lets `write` write to the terminal without the bar in the way.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(write),
            _ => write(),
        }
    }

    /// Shows no more.
    pub fn close(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        self.shown = Shown::Nothing;
    }
}

fn bar(total: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:32} {pos} of {len} images · {speed}")
        .expect("a template that is right")
        .with_key("speed", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let left = match state.pos() {
                0 => String::new(),
                _ => format!(" · {} left", seconds(state.eta().as_secs_f64())),
            };
            // The bar shows what could be written of it.
            let _ = out.write_str(&(rate(state.per_sec()) + &left));
        })
        .progress_chars("━╸ ");
    bar.set_style(style);
    bar.tick();
    bar
}

/// Starts the thread that writes a line now and then.
fn lines(counts: Arc<Counts>, total: usize) -> Sender<()> {
    let (open, closed) = channel();
    let begun = Instant::now();
    let (mut said, mut still) = (0, 0);
    let work = move || {
        while closed.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let done = counts.done.load(Ordering::SeqCst);
            let failed = counts.failed.load(Ordering::SeqCst).min(done);
            still += 1;
            if done == said && still < STILL {
                continue;
            }
            (said, still) = (done, 0);
            let mut line = format!("{done} of {total} images");
            if done > failed {
                let per_second = (done - failed) as f64 / begun.elapsed().as_secs_f64();
                let left = seconds((total - done) as f64 / per_second);
                line += &format!(" · {} · {left} left", rate(per_second));
            }
            if failed > 0 {
                line += &format!(" · {failed} failed");
            }
            say!("{line}");
        }
    };
    // Without a thread nothing is said, which is no reason to do nothing.
    let _ = std::thread::Builder::new().spawn(work);
    open
}

/// A speed in the unit a person would use.
pub fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 0.95 => format!("{r:.1} images/s"),
        r if r > 0.0 => format!("{} per image", seconds(1.0 / r)),
        _ => "starting".into(),
    }
}

/// A time in the unit a person would use.
pub fn seconds(s: f64) -> String {
    match s {
        _ if s < 0.0995 => format!("{:.0} ms", s * 1e3),
        _ if s < 9.95 => format!("{s:.1} s"),
        _ if s < 99.5 => format!("{s:.0} s"),
        _ if s < 5999.5 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        _ => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), (s / 60.0 % 60.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_speeds_come_in_fitting_units() {
        let said = [0.004, 0.31, 9.9, 42.4, 127.8, 7320.0].map(seconds);
        assert_eq!(said, ["4 ms", "0.3 s", "9.9 s", "42 s", "2 min 07 s", "2 h 02 min"]);
        let said = [0.0, 0.25, 2.0, 123.44].map(rate);
        assert_eq!(said, ["starting", "4.0 s per image", "2.0 images/s", "123.4 images/s"]);
    }
}
