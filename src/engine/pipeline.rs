//! Three stages beside each other: threads that prepare images, one that feeds the device, threads
//! that finish the results.
//!
//! ```text
//! inputs ─▶ prepare ×jobs ─▶ windows of several images, in batches ─▶ finish ×jobs ─▶ sink
//!                            one pass is computed while the next is made
//! ```
//!
//! Whatever the threads do, images keep their order and batches are always filled in that order: a
//! run repeats to the bit. Queues are bounded, so memory does not grow with the number of images.
//! Knows neither files nor networks: those are the [`Work`].

use super::side_by_side::{Feed, InOrder, side_by_side, start};
use crate::data::picture::RgbImage;
use crate::{Error, ErrorKind, Result};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is done with each image.
pub trait Work: Sync {
    /// What names an image.
    type Input: Sync;
    /// A decoded image, cut into windows.
    type Ready: Send;
    /// A pass that the device computes.
    type Pass;
    /// The device's result for a window.
    type Output: Send;
    /// What remains of an image at the end.
    type Done: Send;

    /// Reads and cuts an image; on a CPU thread.
    fn prepare(&self, input: &Self::Input) -> Result<Self::Ready>;
    /// The windows of an image.
    fn windows(ready: &Self::Ready) -> &[RgbImage];
    /// Starts a pass over windows; on the device's thread.
    fn submit(&self, windows: &[&RgbImage]) -> Result<Self::Pass>;
    /// Waits for a pass; on the device's thread.
    fn wait(&self, pass: Self::Pass) -> Result<Vec<Self::Output>>;
    /// Makes and writes the results of an image; on a CPU thread.
    fn finish(
        &self,
        input: &Self::Input,
        ready: Self::Ready,
        outputs: Vec<Self::Output>,
    ) -> Result<Self::Done>;
}

/// Who may end a run, and hears that it goes on.
pub trait Control: Sync {
    /// Whether the run is to end: what is in flight is finished, nothing is begun.
    fn asked(&self) -> bool;
    /// Ends the run, since the device failed.
    fn end(&self);
    /// A pass is through.
    fn beat(&self) {}
}

/// How the stages are run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Windows in a pass.
    pub batch: usize,
    /// Threads that prepare, and as many that finish.
    pub jobs: usize,
}

/// Time that an image took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// Reading, decoding and cutting.
    pub prepare: Duration,
    /// Its share of the passes it was in.
    pub device: Duration,
    /// Assembling, encoding and writing.
    pub finish: Duration,
}

/// An image at the end of the stages.
pub struct Item<D> {
    /// Its place among the inputs.
    pub index: usize,
    /// What remains of it; [`ErrorKind::Cancelled`] when the run was stopped before it was done.
    pub result: Result<D>,
    /// The time it took.
    pub times: Times,
}

/// How a run went.
#[derive(Debug, Clone)]
pub struct Load {
    /// From the first image to the last.
    pub wall: Duration,
    /// Share of that time in which the preparing threads were busy, 0..=1.
    pub prepare: f64,
    /// The same of the device.
    pub device: f64,
    /// The same of the finishing threads.
    pub finish: f64,
    /// The failure of the device that ended it early.
    pub broken: Option<Error>,
}

/// Takes `inputs` through the stages; `sink` gets every one of them, in order, also when the run was
/// stopped or the device failed.
///
/// # Errors
/// [`ErrorKind::Io`] where the system starts no thread; the sink has got nothing then.
pub fn run<W: Work>(
    work: &W,
    inputs: &[W::Input],
    settings: Settings,
    control: &impl Control,
    mut sink: impl FnMut(Item<W::Done>),
) -> Result<Load> {
    let begun = Instant::now();
    let Settings { batch, jobs } = settings;
    let mut sum = Times::default();
    let (busy, broken) = std::thread::scope(|scope| -> Result<_> {
        let prepare = |index: usize| {
            let begun = Instant::now();
            let ready = if control.asked() { Err(stopped()) } else { work.prepare(&inputs[index]) };
            let times = Times { prepare: begun.elapsed(), ..Times::default() };
            Open::<W> { index, ready, submitted: 0, outputs: Vec::new(), times }
        };
        let finish = |open: Open<W>| {
            let begun = Instant::now();
            let Open { index, ready, outputs, mut times, .. } = open;
            let result = ready.and_then(|ready| work.finish(&inputs[index], ready, outputs));
            times.finish = begun.elapsed();
            Item { index, result, times }
        };
        let (feed, prepared) = side_by_side(scope, jobs, batch + jobs, prepare)?;
        let (finishing, done) = side_by_side(scope, jobs, 2 * jobs, finish)?;
        // The other end hangs up only when a stage has panicked; the scope passes that on.
        // Before the one that feeds: without jobs it only ends.
        let device = start(scope, move || {
            let device = Device { work, batch, control, open: VecDeque::new(), flight: None };
            device.run(prepared, finishing)
        })?;
        start(scope, move || (0..inputs.len()).try_for_each(|index| feed.send(index)).is_ok())?;
        for item in done {
            sum.prepare += item.times.prepare;
            sum.finish += item.times.finish;
            sink(item);
        }
        Ok(device.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let wall = begun.elapsed();
    let share = |busy: Duration, threads: usize| {
        (busy.as_secs_f64() / wall.as_secs_f64().max(1e-9) / threads as f64).min(1.0)
    };
    Ok(Load {
        wall,
        prepare: share(sum.prepare, jobs),
        device: share(busy, 1),
        finish: share(sum.finish, jobs),
        broken,
    })
}

pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "", "the run was stopped before this image was done")
}

/// An image between the first and the last stage.
struct Open<W: Work> {
    index: usize,
    ready: Result<W::Ready>,
    submitted: usize,
    outputs: Vec<W::Output>,
    times: Times,
}

impl<W: Work> Open<W> {
    fn windows(&self) -> &[RgbImage] {
        self.ready.as_ref().map_or(&[], |ready| W::windows(ready))
    }

    fn left(&self) -> usize {
        self.windows().len().saturating_sub(self.submitted)
    }

    fn complete(&self) -> bool {
        self.ready.is_err() || self.outputs.len() == self.windows().len()
    }
}

/// A pass on its way.
struct Flight<P> {
    pass: P,
    begun: Instant,
    /// Images in it, with the number of their windows.
    images: Vec<(usize, usize)>,
}

/// The stage in the middle.
struct Device<'a, W: Work, C: Control> {
    work: &'a W,
    batch: usize,
    control: &'a C,
    /// Images whose windows are not all back, in order.
    open: VecDeque<Open<W>>,
    flight: Option<Flight<W::Pass>>,
}

impl<W: Work, C: Control> Device<'_, W, C> {
    /// Batches the windows of `images`; gives the time in which the device had work, and the failure
    /// of the device that ended it.
    fn run<T>(
        mut self,
        images: InOrder<Open<W>>,
        done: Feed<Open<W>, T>,
    ) -> (Duration, Option<Error>) {
        let mut images = images.fuse();
        let mut busy = Duration::ZERO;
        let mut settled = Instant::now();
        let mut broken = None;
        loop {
            while self.open.iter().map(Open::left).sum::<usize>() < self.batch {
                let Some(image) = images.next() else { break };
                self.open.push_back(image);
                self.hand_on(&done);
            }
            if self.control.asked() {
                self.fail(|open| open.left() > 0, &stopped());
            }
            let before = self.flight.take();
            self.flight = self.submit().unwrap_or_else(|e| {
                broken = broken.take().or(Some(e));
                None
            });
            if let Some(flight) = before {
                let begun = flight.begun.max(settled);
                let result = self.settle(flight, begun);
                self.control.beat();
                settled = Instant::now();
                busy += settled - begun;
                broken = broken.or(result.err());
            } else if self.flight.is_none() && self.open.is_empty() {
                break;
            }
            if broken.is_some() {
                self.control.end();
                self.fail(|open| !open.complete(), &stopped());
            }
            self.hand_on(&done);
        }
        (busy, broken)
    }

    /// Starts a pass over the next windows, if there are any. A failure of the device is an error;
    /// any other is one of the images in the pass.
    fn submit(&mut self) -> Result<Option<Flight<W::Pass>>> {
        let mut windows = Vec::new();
        let mut images = Vec::new();
        for open in &mut self.open {
            let taken = open.left().min(self.batch - windows.len());
            if taken > 0 {
                images.push((open.index, taken));
                let from = open.submitted;
                open.submitted += taken;
                windows.extend(&open.windows()[from..from + taken]);
            }
        }
        if windows.is_empty() {
            return Ok(None);
        }
        let begun = Instant::now();
        match self.work.submit(&windows) {
            Ok(pass) => Ok(Some(Flight { pass, begun, images })),
            Err(e) => self.blame(&images, e).map(|()| None),
        }
    }

    /// Waits for a pass, whose device time counts from `begun`, and gives its results to its images.
    fn settle(&mut self, flight: Flight<W::Pass>, begun: Instant) -> Result<()> {
        let Flight { pass, images, .. } = flight;
        let mut outputs = match self.work.wait(pass) {
            Ok(outputs) => outputs.into_iter(),
            Err(e) => return self.blame(&images, e),
        };
        let total: usize = images.iter().map(|(_, n)| n).sum();
        let each = begun.elapsed() / total as u32;
        for (index, n) in images {
            let part = outputs.by_ref().take(n);
            match self.open.iter_mut().find(|open| open.index == index) {
                Some(open) => {
                    open.outputs.extend(part);
                    open.times.device += each * n as u32;
                }
                // Another of its windows has failed.
                None => drop(part.count()),
            }
        }
        Ok(())
    }

    /// Fails the images of a pass that failed, unless the device did.
    fn blame(&mut self, images: &[(usize, usize)], e: Error) -> Result<()> {
        if matches!(e.kind(), ErrorKind::Device | ErrorKind::Memory) {
            return Err(e);
        }
        self.fail(|open| images.iter().any(|(index, _)| *index == open.index), &e);
        Ok(())
    }

    fn fail(&mut self, which: impl Fn(&Open<W>) -> bool, e: &Error) {
        for open in self.open.iter_mut().filter(|open| which(open)) {
            open.ready = Err(e.clone());
        }
    }

    /// Gives the complete images at the front to the last stage.
    fn hand_on<T>(&mut self, done: &Feed<Open<W>, T>) {
        while self.open.front().is_some_and(Open::complete) {
            let open = self.open.pop_front().expect("an image at the front");
            if done.send(open).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    #[derive(Default, Clone)]
    struct Stop(Arc<AtomicBool>);

    impl Control for Stop {
        fn asked(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }

        fn end(&self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// Images are numbers of windows; 0 cannot be read. The device counts the windows it gets.
    #[derive(Default)]
    struct Counting {
        windows: AtomicUsize,
        passes: Mutex<Vec<usize>>,
        /// The pass that fails, and how.
        fails: Option<(usize, ErrorKind)>,
        /// The pass in which the user asks to stop.
        stops: Option<(usize, Stop)>,
    }

    impl Work for Counting {
        type Input = usize;
        type Ready = Vec<RgbImage>;
        type Pass = Vec<usize>;
        type Output = usize;
        type Done = Vec<usize>;

        fn prepare(&self, input: &usize) -> Result<Vec<RgbImage>> {
            if *input == 0 {
                return Err(Error::new(ErrorKind::Format, "image", "bad"));
            }
            std::thread::sleep(Duration::from_millis((*input as u64 * 7) % 5));
            Ok(vec![RgbImage::new(1, 1); *input])
        }

        fn windows(ready: &Vec<RgbImage>) -> &[RgbImage] {
            ready
        }

        fn submit(&self, windows: &[&RgbImage]) -> Result<Vec<usize>> {
            let mut passes = self.passes.lock().unwrap();
            passes.push(windows.len());
            if let Some((_, stop)) = self.stops.as_ref().filter(|(at, _)| *at == passes.len()) {
                stop.end();
            }
            let from = self.windows.fetch_add(windows.len(), Ordering::Relaxed);
            match self.fails {
                Some((at, kind)) if at == passes.len() => Err(Error::new(kind, "device", "bad")),
                _ => Ok((from..from + windows.len()).collect()),
            }
        }

        fn wait(&self, pass: Vec<usize>) -> Result<Vec<usize>> {
            Ok(pass)
        }

        fn finish(&self, input: &usize, _: Vec<RgbImage>, out: Vec<usize>) -> Result<Vec<usize>> {
            assert_eq!(*input, out.len());
            Ok(out)
        }
    }

    const IMAGES: [usize; 9] = [1, 3, 0, 9, 1, 0, 0, 2, 1];

    fn run_all(work: &Counting, stop: &Stop) -> (Vec<Result<Vec<usize>, ErrorKind>>, Load) {
        let mut results = Vec::new();
        let load = run(work, &IMAGES, Settings { batch: 4, jobs: 3 }, stop, |item| {
            assert_eq!(item.index, results.len());
            results.push(item.result.map_err(|e| e.kind()));
        })
        .expect("threads");
        assert_eq!(results.len(), IMAGES.len());
        (results, load)
    }

    #[test]
    fn images_keep_their_order_and_fill_the_batches() {
        let work = Counting::default();
        let (results, load) = run_all(&work, &Stop::default());
        let mut next = 0;
        for (size, result) in IMAGES.iter().zip(&results) {
            match size {
                0 => assert_eq!(*result, Err(ErrorKind::Format)),
                n => assert_eq!(*result, Ok((next..next + n).collect())),
            }
            next += size;
        }
        assert_eq!(*work.passes.lock().unwrap(), [4, 4, 4, 4, 1]);
        assert!(load.broken.is_none());
        let none: &[usize] = &[];
        let settings = Settings { batch: 4, jobs: 1 };
        run(&work, none, settings, &Stop::default(), |_| unreachable!()).expect("threads");
    }

    #[test]
    fn a_pass_that_fails_takes_only_its_images_along() {
        let work = Counting { fails: Some((2, ErrorKind::Result)), ..Counting::default() };
        let (results, load) = run_all(&work, &Stop::default());
        let bad: Vec<usize> = (0..9).filter(|&i| results[i] == Err(ErrorKind::Result)).collect();
        assert_eq!(bad, [3]);
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 5);
        assert!(load.broken.is_none());
    }

    #[test]
    fn a_device_that_fails_ends_the_run() {
        let work = Counting { fails: Some((2, ErrorKind::Device)), ..Counting::default() };
        let (results, load) = run_all(&work, &Stop::default());
        assert_eq!(load.broken.map(|e| e.kind()), Some(ErrorKind::Device));
        assert!(results[3..].iter().all(|r| r.is_err()));
        assert!(!results.contains(&Err(ErrorKind::Device)));
    }

    #[test]
    fn a_run_that_is_stopped_finishes_what_it_has() {
        let stop = Stop::default();
        let work = Counting { stops: Some((1, stop.clone())), ..Counting::default() };
        let (results, load) = run_all(&work, &stop);
        assert_eq!(results[..2], [Ok(vec![0]), Ok(vec![1, 2, 3])]);
        assert!(results[3..].iter().all(|r| r.is_err()));
        assert_eq!(work.passes.lock().unwrap().len(), 1);
        assert!(load.broken.is_none());
    }
}
