//! What is fed bytes that nobody vouches for. Each target reads them as a command would; an error is fine, a panic, a hang and
//! memory beyond all measure are not.

use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::data::picture::{Fit, Plan, decode};
use lemma_gpu::data::words;
use lemma_gpu::engine::trace::{Activation, compare, compare_packed};
use lemma_gpu::engine::{Given, configuration, settle};
use lemma_gpu::tensor::Host;
use lemma_gpu::train::{Preset, Stage, TrainConfig};
use std::path::Path;

/// A target's name and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("pickle", pickle),
    ("pytorch_zip", checkpoint),
    ("pytorch_legacy", checkpoint),
    ("safetensors", checkpoint),
    ("header", header),
    ("lmdb", lmdb),
    ("labels", labels),
    ("image", image),
    ("settings", settings),
    ("trace", trace),
];

/// A file of weights, whichever its kind.
pub fn checkpoint(data: &[u8]) {
    read(data, None);
    read(data, Some("model.a"));
}

fn read(data: &[u8], key: Option<&str>) {
    match StateDict::part_from_bytes("x", data, key) {
        Ok(mut state) => {
            assert_eq!(state.in_order().count(), state.tensors.len());
            if settle(&mut state, &Given::default()).is_ok() {
                let _ = configuration(&state);
            }
        }
        Err(e) => drop(e.to_string()),
    }
}

/// A pickled object in a file of the older container, with a storage `0` behind it, so that no checksum is in the way.
pub fn pickle(data: &[u8]) {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    file.extend(b"\x80\x02M\xe9\x03.\x80\x02}.");
    file.extend(data);
    for storages in [&b"\x80\x02]."[..], b"\x80\x02](U\x010e.\x04\0\0\0\0\0\0\0"] {
        let mut whole = file.clone();
        whole.extend(storages);
        whole.extend([0x3f; 64]);
        checkpoint(&whole);
    }
}

/// A JSON header of safetensors.
pub fn header(data: &[u8]) {
    checkpoint(&whole(data));
}

/// The file of a header: its length set right, with as many bytes behind it as its last offset asks for.
fn whole(data: &[u8]) -> Vec<u8> {
    let mut file = (data.len() as u64).to_le_bytes().to_vec();
    file.extend(data);
    let text = String::from_utf8_lossy(data);
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    let end = numbers.filter(|n| *n <= 4096).max().unwrap_or(0usize);
    file.resize(file.len() + end, 0x3f);
    file
}

/// A `data.mdb`: sizes, then some samples as they are read in training.
pub fn lmdb(data: &[u8]) {
    let folder = folder();
    write(&folder.path().join("data.mdb"), data);
    samples(folder.path());
}

/// A label file beside one image, under a name that its length chooses.
pub fn labels(data: &[u8]) {
    const NAMES: [&str; 4] = ["labels.tsv", "gt.txt", "labels.csv", "labels.txt"];
    const IMAGE: &[u8] = include_bytes!("../weights/demo/exit.png");
    let folder = folder();
    write(&folder.path().join("a.png"), IMAGE);
    write(&folder.path().join(NAMES[data.len() % NAMES.len()]), data);
    write(&folder.path().join("places.tsv"), data);
    samples(folder.path());
}

fn samples(path: &Path) {
    let Ok(source) = words::open(&path.to_string_lossy()) else { return };
    for index in (0..source.len()).take(4).chain(source.len().checked_sub(1)) {
        if let Ok(sample) = source.get(index) {
            words::Encoded::new(&sample.label);
        }
    }
}

/// A picture, and what becomes of it on the way to the network.
pub fn image(data: &[u8]) {
    // Larger ones are slow, not wrong.
    const MOST: u32 = 1 << 20;
    let Ok(decoded) = decode(data, "x") else { return };
    let (w, h) = decoded.image.dimensions();
    if w.saturating_mul(h) <= MOST {
        let _ = Plan::new(&decoded.image, Fit::default(), true);
    }
}

/// Settings in TOML.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for (preset, stage) in [(Preset::Paper, Stage::Lemma), (Preset::Nano, Stage::Vision)] {
        if let Ok(config) = TrainConfig::read(preset, stage, &text, &[]) {
            config.total_steps(7);
            config.factor(3, 7, 100);
        }
    }
}

/// A JSON header of a reference file beside activations.
pub fn trace(data: &[u8]) {
    let Ok(golden) = StateDict::from_bytes("x", &whole(data)) else { return };
    let value = |name: &str, n: usize| Activation {
        name: name.into(),
        call: usize::from(n > 4),
        value: Host::new([n], (0..n).map(|i| i as f64).collect()),
    };
    let own = [value("a", 3), value("grad.a", 3), value("grad.b", 9), value("bn.a", 1)];
    let _ = compare(&own, &golden);
    let _ = compare_packed(&own, &golden);
}

fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let builder = tempfile::Builder::new();
    let made = if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() };
    made.expect("a folder")
}

fn write(path: &Path, data: &[u8]) {
    std::fs::write(path, data).expect("a file in a folder of our own");
}
