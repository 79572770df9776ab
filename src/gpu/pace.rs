//! How much work goes to the device at once.
//!
//! A driver takes a device away whose commands run for seconds (two, on Windows). So a long pass is submitted in parts of a
//! bounded number of workgroups, and how long parts take says how large the next ones may be. No more than two are under way:
//! the device always has one to go on with.

use super::device::Gpu;
use crate::Result;
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a part should take at most.
const AIM: Duration = Duration::from_millis(250);
/// Workgroups of a part before anything is known: some milliseconds on a GPU, a tenth of a second on a CPU.
const FIRST: u64 = 1 << 16;
/// Parts are no smaller, however slow the device: at some size a submission costs more than what it does.
const LEAST: u64 = 1 << 8;
const MOST: u64 = 1 << 40;
/// A wait that takes less found the part done: when that was is not known.
const DONE_BEFORE: Duration = Duration::from_millis(1);

/// What is known of a device's speed.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    groups: u64,
    /// Parts under way, the oldest first.
    flying: VecDeque<Part>,
    /// When the last part that was waited for was seen to be done.
    seen: Option<Instant>,
}

#[derive(Debug)]
struct Part {
    index: wgpu::SubmissionIndex,
    groups: u64,
    sent: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Pace(Mutex::new(State { groups: FIRST, flying: VecDeque::new(), seen: None }))
    }
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

/// Workgroups of the next parts, after one of `groups` took at least `least` and at most `most`, with `now` allowed so far.
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

/// A pass on its way to the device.
pub(super) struct Parts<'a> {
    gpu: &'a Gpu,
    encoder: wgpu::CommandEncoder,
    groups: u64,
    most: u64,
}

impl<'a> Parts<'a> {
    pub(super) fn new(gpu: &'a Gpu) -> Self {
        let encoder = gpu.device().create_command_encoder(&Default::default());
        let most = gpu.pace().lock().groups;
        Parts { gpu, encoder, groups: 0, most }
    }

    /// Where the commands of this part go.
    pub(super) fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        &mut self.encoder
    }

    /// Workgroups that this part has room for; the dispatch that exceeds them is its last.
    pub(super) fn room(&self) -> u64 {
        self.most.saturating_sub(self.groups)
    }

    /// Counts workgroups that were encoded, and submits what is enough for a part, unless the work is broken off.
    pub(super) fn add(&mut self, groups: u64) -> Result<()> {
        self.groups += groups;
        if self.groups < self.most { Ok(()) } else { self.send() }
    }

    /// Submits what is left; does not wait for it.
    pub(super) fn finish(mut self) -> Result<()> {
        self.send()
    }

    fn send(&mut self) -> Result<()> {
        self.gpu.interrupts().check()?;
        let fresh = self.gpu.device().create_command_encoder(&Default::default());
        let commands = std::mem::replace(&mut self.encoder, fresh).finish();
        let groups = std::mem::take(&mut self.groups);
        let pace = self.gpu.pace();
        let oldest = {
            let mut state = pace.lock();
            if state.flying.len() < 2 { None } else { state.flying.pop_front() }
        };
        if let Some(part) = oldest {
            self.wait_for(part)?;
        }
        let sent = Instant::now();
        let index = self.gpu.driver().submit(commands)?;
        let mut state = pace.lock();
        state.flying.push_back(Part { index, groups, sent });
        self.most = state.groups;
        Ok(())
    }

    fn wait_for(&self, part: Part) -> Result<()> {
        let asked = Instant::now();
        self.gpu.driver().wait(Some(part.index))?;
        let now = Instant::now();
        let mut state = self.gpu.pace().lock();
        let began = state.seen.map_or(part.sent, |seen| seen.max(part.sent));
        let least = if now - asked < DONE_BEFORE { Duration::ZERO } else { now - began };
        state.groups = next(state.groups, part.groups, least, now - part.sent);
        state.seen = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_shrink_by_what_they_surely_took_and_grow_when_they_took_little() {
        let ms = Duration::from_millis;
        assert_eq!(next(1000, 1000, ms(500), ms(600)), 500, "twice the aim");
        assert_eq!(next(1000, 4000, ms(500), ms(600)), 1000, "a single large dispatch");
        assert_eq!(next(1000, 1000, ms(0), ms(9000)), 1000, "done long ago, perhaps");
        assert_eq!(next(1000, 1000, ms(20), ms(90)), 2000, "short");
        assert_eq!(next(1000, 100, ms(1), ms(2)), 1000, "a small part says nothing of a full one");
        assert_eq!(next(1000, 1000, ms(150), ms(240)), 1000, "about right");
        assert_eq!(next(LEAST, LEAST, ms(900_000), ms(900_000)), LEAST);
        assert_eq!(next(MOST, MOST, ms(0), ms(1)), MOST);
    }
}
