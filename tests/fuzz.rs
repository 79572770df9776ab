//! Every reader of files that nobody vouches for, on inputs that are nearly right: none panics, none takes long. The changes
//! are a function of a seed, so a failure repeats. `tools/fuzz MINUTES` goes on for longer.

#[path = "../fuzz/mutate.rs"]
mod mutate;
#[path = "../fuzz/seeds.rs"]
mod seeds;
#[path = "../fuzz/targets.rs"]
mod targets;

use mutate::{Random, mutate};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use targets::TARGETS;

/// Inputs of each target in the default run, and the time after which it has had enough.
const INPUTS: usize = 4000;
const ENOUGH: Duration = Duration::from_secs(4);
/// One input may take so long on a busy machine; all of them take milliseconds.
const LONG: Duration = Duration::from_secs(10);

/// Minutes for each target that were asked for.
fn minutes() -> Option<f64> {
    std::env::var("LEMMA_GPU_FUZZ_MINUTES").ok()?.parse().ok()
}

/// Runs target `name` until its inputs or its time are used up.
fn run(name: &str) {
    let (_, target) = TARGETS.iter().find(|(n, _)| *n == name).expect("a target of the list");
    let (corpus, words) = (seeds::seeds(name), seeds::words(name));
    corpus.iter().for_each(|seed| target(seed));
    let start = Instant::now();
    let limit = minutes().map_or(ENOUGH, |m| Duration::from_secs_f64(60.0 * m));
    let most = if minutes().is_some() { usize::MAX } else { INPUTS };
    let first = if minutes().is_some() { std::process::id() as usize * 1_000_000 } else { 0 };
    let mut done = 0;
    for number in (first..).take(most) {
        if start.elapsed() > limit {
            break;
        }
        let mut random = Random(number as u64);
        let mut data = corpus[random.below(corpus.len())].clone();
        mutate(&mut random, &mut data, &corpus, words);
        let begun = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| target(&data)));
        let took = begun.elapsed();
        if ended.is_err() || took > LONG {
            let path = keep(name, number, &data);
            panic!("{name} {number}: {took:?}, panicked: {}; kept in {path:?}", ended.is_err());
        }
        done += 1;
    }
    eprintln!("{name}: {done} inputs in {:?}", start.elapsed());
    assert!(done > 0, "no input was tried");
}

fn keep(name: &str, number: usize, data: &[u8]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("{name}-{number}"));
    std::fs::write(&path, data).expect("a file below target/");
    path
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_a_test() {
            let tested = [$(stringify!($name)),*];
            assert!(TARGETS.iter().map(|(name, _)| *name).eq(tested));
        }
    };
}

targets! { pickle pytorch_zip pytorch_legacy safetensors header lmdb labels image settings trace }
