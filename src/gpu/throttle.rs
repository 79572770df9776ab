//! How many workgroups one submission may have, so that it ends well before the operating system's watchdog (two seconds, on
//! Windows) takes the device away: how long submissions take says how large the next ones may be.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a submission should take at most.
const AIM: Duration = Duration::from_millis(250);
/// Workgroups of a submission before anything is known: some milliseconds on a GPU, a tenth of a second on a CPU.
const FIRST: u64 = 1 << 16;
/// Submissions are no smaller, however slow the device: at some size a submission costs more than what it does.
const LEAST: u64 = 1 << 8;
const MOST: u64 = 1 << 40;
/// Submissions in flight: the device always has one to go on with.
const IN_FLIGHT: usize = 2;
/// A shorter wait means that the work had finished already; when that was is not known.
const DONE_BEFORE: Duration = Duration::from_millis(1);

/// Splits long passes into short submissions.
#[derive(Debug)]
pub(super) struct SubmitThrottle(Mutex<State>);

#[derive(Debug)]
struct State {
    groups: u64,
    /// Submissions in flight, the oldest first.
    flying: VecDeque<Submission>,
    /// When the last submission that was waited for was seen to be done.
    seen: Option<Instant>,
}

/// Commands on their way.
#[derive(Debug)]
pub(super) struct Submission {
    index: wgpu::SubmissionIndex,
    groups: u64,
    sent: Instant,
}

impl Submission {
    /// What to wait for.
    pub(super) fn index(&self) -> wgpu::SubmissionIndex {
        self.index.clone()
    }
}

impl Default for SubmitThrottle {
    fn default() -> Self {
        SubmitThrottle(Mutex::new(State { groups: FIRST, flying: VecDeque::new(), seen: None }))
    }
}

impl SubmitThrottle {
    /// Workgroups that the next submission may have.
    pub(super) fn groups(&self) -> u64 {
        self.0.lock().groups
    }

    /// The submission that has to end before another is sent, if there are enough in flight.
    pub(super) fn oldest(&self) -> Option<Submission> {
        let mut state = self.0.lock();
        if state.flying.len() < IN_FLIGHT { None } else { state.flying.pop_front() }
    }

    /// Notes commands of `groups` workgroups that were sent at `sent`.
    pub(super) fn sent(&self, index: wgpu::SubmissionIndex, groups: u64, sent: Instant) {
        self.0.lock().flying.push_back(Submission { index, groups, sent });
    }

    /// Notes that a submission, waited for from `asked` on, is done.
    pub(super) fn done(&self, one: &Submission, asked: Instant) {
        let now = Instant::now();
        let mut state = self.0.lock();
        let began = state.seen.map_or(one.sent, |seen| seen.max(one.sent));
        let least = if now - asked < DONE_BEFORE { Duration::ZERO } else { now - began };
        state.groups = next(state.groups, one.groups, least, now - one.sent);
        state.seen = Some(now);
    }
}

/// Workgroups of the next submissions, after one of `groups` took at least `least` and at most `most`, with `now` allowed so
/// far.
fn next(now: u64, groups: u64, least: Duration, most: Duration) -> u64 {
    let ideal = |took: Duration| groups as f64 * AIM.as_secs_f64() / took.as_secs_f64().max(1e-6);
    let next = if least > AIM {
        now.min(ideal(least) as u64)
    } else if most < AIM / 2 && groups >= now / 2 {
        2 * now
    } else {
        now
    };
    next.clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_shrink_by_what_they_surely_took_and_grow_when_they_took_little() {
        let ms = Duration::from_millis;
        assert_eq!(next(1000, 1000, ms(500), ms(600)), 500, "twice the aim");
        assert_eq!(next(1000, 4000, ms(500), ms(600)), 1000, "a single large dispatch");
        assert_eq!(next(1000, 1000, ms(0), ms(9000)), 1000, "done long ago, perhaps");
        assert_eq!(next(1000, 1000, ms(20), ms(90)), 2000, "short");
        assert_eq!(next(1000, 100, ms(1), ms(2)), 1000, "a small one says nothing of a full one");
        assert_eq!(next(1000, 1000, ms(150), ms(240)), 1000, "about right");
        assert_eq!(next(LEAST, LEAST, ms(900_000), ms(900_000)), LEAST);
        assert_eq!(next(MOST, MOST, ms(0), ms(1)), MOST);
    }
}
