//! The run of an evaluation: its journal, its progress, and how it is interrupted.

use crate::Result;
use crate::cli::Global;
use crate::cli::few::Few;
use crate::cli::progress::{Mode, Progress};
use crate::cli::say::{count, say};
use crate::cli::stop::Stop;
use crate::eval::{Contest, Evaluation, Event, Journal, Letters, Pairs, Pictures, Record, Subject};
use crate::{Error, ErrorKind};
use serde_json::{Value, json};

/// What an evaluation is: all that its figures depend on.
pub fn identity(contest: &Contest, subject: &Subject, entrants: &Value) -> Value {
    let sets: Vec<_> = contest.sets.iter().map(Pairs::identity).collect();
    json!({
        "evaluation": env!("CARGO_PKG_VERSION"),
        "protocol": subject.protocol,
        "fold": contest.letters == Letters::Folded,
        "methods": entrants["methods"],
        "judges": entrants["judges"],
        "sets": sets,
        "adapter": subject.adapter,
    })
}

/// What is done with the images of a word.
pub type Save<'a> = dyn FnMut(&Record, &Pictures) -> Result<()> + 'a;

/// A run that shows how far it is.
pub struct Walk<'a> {
    /// What every command is told.
    pub global: &'a Global,
    /// How progress is shown.
    pub progress: Mode,
    /// Whether it is to end.
    pub stop: &'a Stop,
}

impl Walk<'_> {
    /// Goes on with an evaluation to its end; whether it came there, or was asked to stop.
    ///
    /// # Errors
    /// As [`Contest::run`], and of the journal and of `save`.
    pub fn to_the_end(
        &self,
        contest: &Contest,
        evaluation: &mut Evaluation,
        mut journal: Option<&mut Journal>,
        save: &mut Save,
    ) -> Result<bool> {
        let Walk { global, stop, .. } = self;
        let seen: usize = evaluation.sets.iter().map(|s| s.seen).sum();
        let total: usize = evaluation.sets.iter().map(|s| s.samples).sum();
        if seen > 0 && !global.quiet {
            say!("{seen} of {total} images are done already");
        }
        let mut few = Few::default();
        let mut progress = Progress::new(self.progress, global.quiet, total - seen);
        let ended = contest.run(evaluation, &mut |event| {
            stop.beat();
            match &event {
                Event::Done(record, pictures) => save(record, pictures)?,
                Event::LeftOut(e) => {
                    if !global.quiet && (few.says(e.reason()) || global.verbose) {
                        progress.aside(|| say!("left out: {e}"));
                    }
                }
                Event::Batch(records) => {
                    return journal.as_mut().map_or(Ok(()), |journal| journal.add(records));
                }
            }
            progress.step(matches!(event, Event::LeftOut(_)));
            match stop.asked() {
                true => Err(Error::new(ErrorKind::Cancelled, "eval", "stopped as asked")),
                false => Ok(()),
            }
        });
        progress.close();
        if !global.quiet && !global.verbose {
            few.rest().iter().for_each(|line| say!("{line}"));
        }
        match ended {
            Err(e) if e.kind() == ErrorKind::Cancelled && stop.asked() => Ok(false),
            Err(e) => Err(e),
            Ok(()) => {
                if !global.quiet {
                    say_unusual(evaluation);
                }
                Ok(true)
            }
        }
    }
}

/// Says of labels what decides figures and may not be expected.
fn say_unusual(evaluation: &Evaluation) {
    for set in &evaluation.sets {
        for (kind, n) in &set.unusual_labels {
            let example = set.unusual_examples.get(kind).map(String::as_str).unwrap_or_default();
            say!("note: {}: {} {kind}, as {example:?}", set.id, count(*n, "label"));
        }
    }
}
