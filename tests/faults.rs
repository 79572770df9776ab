//! Commands on a driver whose calls fail, by a layer of Vulkan's (`tools/faults/layer.c`): every fault ends in one error and exit
//! code 4, no file is left half written, and a training that goes on ends in the bits of one that was left alone.
#![cfg(target_os = "linux")]

#[path = "common/tiny.rs"]
mod tiny;

use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::data::picture::decode;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use tiny::TINY;

const OUT_OF_HOST_MEMORY: i32 = -1;
const OUT_OF_DEVICE_MEMORY: i32 = -2;
const DEVICE_LOST: i32 = -4;
const MEMORY_MAP_FAILED: i32 = -5;
const TOO_MANY_OBJECTS: i32 = -10;
const FRAGMENTED_POOL: i32 = -12;
const INVALID_SHADER: i32 = -1_000_012_000;
const OUT_OF_POOL_MEMORY: i32 = -1_000_069_000;

/// Functions with the results that Vulkan's specification lets them fail with.
const FAULTS: &[(&str, &[i32])] = &[
    ("vkQueueSubmit", &[DEVICE_LOST, OUT_OF_DEVICE_MEMORY, OUT_OF_HOST_MEMORY]),
    ("vkWaitSemaphores", &[DEVICE_LOST, OUT_OF_DEVICE_MEMORY, OUT_OF_HOST_MEMORY]),
    ("vkGetSemaphoreCounterValue", &[DEVICE_LOST, OUT_OF_DEVICE_MEMORY, OUT_OF_HOST_MEMORY]),
    ("vkAllocateMemory", &[OUT_OF_DEVICE_MEMORY, OUT_OF_HOST_MEMORY, TOO_MANY_OBJECTS]),
    ("vkMapMemory", &[MEMORY_MAP_FAILED, OUT_OF_DEVICE_MEMORY, OUT_OF_HOST_MEMORY]),
    ("vkCreateComputePipelines", &[OUT_OF_DEVICE_MEMORY, OUT_OF_HOST_MEMORY, INVALID_SHADER]),
    ("vkCreateShaderModule", &[OUT_OF_DEVICE_MEMORY, OUT_OF_HOST_MEMORY]),
    ("vkCreateBuffer", &[OUT_OF_DEVICE_MEMORY, OUT_OF_HOST_MEMORY]),
    ("vkBindBufferMemory", &[OUT_OF_DEVICE_MEMORY, OUT_OF_HOST_MEMORY]),
    ("vkCreateImage", &[OUT_OF_DEVICE_MEMORY]),
    ("vkCreateDescriptorPool", &[OUT_OF_DEVICE_MEMORY]),
    ("vkAllocateDescriptorSets", &[FRAGMENTED_POOL, OUT_OF_POOL_MEMORY, OUT_OF_DEVICE_MEMORY]),
    ("vkAllocateCommandBuffers", &[OUT_OF_DEVICE_MEMORY]),
    ("vkBeginCommandBuffer", &[OUT_OF_HOST_MEMORY]),
    ("vkEndCommandBuffer", &[OUT_OF_DEVICE_MEMORY]),
];

/// The folder of the layer, which is built at first use.
fn layer() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
        std::fs::create_dir_all(&folder).expect("a folder");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/faults/layer.c");
        let library = folder.join("libfaults.so");
        let built = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([library.as_path(), Path::new(source)])
            .status();
        assert!(built.expect("a C compiler, cc").success());
        let manifest = serde_json::json!({
            "file_format_version": "1.0.0",
            "layer": {
                "name": NAME,
                "type": "GLOBAL",
                "library_path": library,
                "api_version": "1.3.0",
                "implementation_version": "1",
                "description": "calls that fail",
            },
        });
        std::fs::write(folder.join("faults.json"), manifest.to_string()).expect("a manifest");
        folder
    })
}

const NAME: &str = "VK_LAYER_LEMMA_GPU_faults";

/// A command and where it runs.
struct Subject {
    at: tempfile::TempDir,
    args: Vec<String>,
}

/// What fails: a function, its result, and from which call on.
type Fault<'a> = (&'a str, i32, u64);

impl Subject {
    fn new(args: &[&str]) -> Self {
        let at = tempfile::tempdir().expect("a folder");
        Subject { at, args: args.iter().map(|a| a.to_string()).collect() }
    }

    /// Two words that are super-resolved.
    fn infer() -> Self {
        let this = Self::new(&["infer", "-i", "in", "-o", "out", "--text", "--overwrite"]);
        this.with_images()
    }

    fn read() -> Self {
        Self::new(&["read", "-i", "in"]).with_images()
    }

    fn eval() -> Self {
        Self::new(&["eval", "-d", "synth:count=2,seed=3", "--save-images", "out", "--overwrite"])
    }

    /// A tiny reader, whose steps have two parts, with a checkpoint behind each.
    fn train() -> Self {
        let start = ["train", "-s", "vision", "-d", "synth:count=64,seed=3", "-o", "out"];
        let own = ["batch=2", "dropout=0.1", "log_every=1", "save_every=1", "keep=9", "steps=3"];
        let sets = TINY.iter().copied().chain(own).flat_map(|s| ["--set", s]);
        let rest = ["--micro-batch", "1", "--progress", "plain"];
        Self::new(&start.into_iter().chain(sets).chain(rest).collect::<Vec<_>>())
    }

    fn with_images(self) -> Self {
        std::fs::create_dir(self.at.path().join("in")).expect("a folder");
        for name in ["coffee.png", "exit.png"] {
            let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/demo").join(name);
            std::fs::copy(demo, self.at.path().join("in").join(name)).expect("a demo image");
        }
        self
    }

    fn out(&self) -> PathBuf {
        self.at.path().join("out")
    }

    fn run(&self, more: &[&str], fault: Option<Fault>, counts: Option<&Path>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
        command.current_dir(self.at.path()).args(&self.args).args(more).stdin(Stdio::null());
        command.args(["--cache", "off"]).env("VK_ADD_LAYER_PATH", layer());
        command.env("VK_INSTANCE_LAYERS", NAME).env_remove("LEMMA_GPU_FAULT");
        if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
            command.args(["-g", &adapter]);
        }
        if let Some((function, result, from)) = fault {
            command.env("LEMMA_GPU_FAULT", format!("{function}:{result}:{from}"));
        }
        if let Some(file) = counts {
            command.env("LEMMA_GPU_FAULT_COUNTS", file);
        }
        command.output().expect("the binary starts")
    }

    /// Calls of each function in a run without a fault.
    fn calls(&self) -> BTreeMap<String, u64> {
        let (output, calls) = self.counted(None);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "without a fault:\n{err}");
        assert!(calls["vkQueueSubmit"] > 0 && calls["vkWaitSemaphores"] > 0, "{calls:?}");
        calls
    }

    /// A run, and its calls of each function; an extension's count as those that became Vulkan's own.
    fn counted(&self, fault: Option<Fault>) -> (Output, BTreeMap<String, u64>) {
        let file = self.at.path().join("counts");
        let output = self.run(&[], fault, Some(&file));
        let text = std::fs::read_to_string(&file).expect("counts: was the layer loaded?");
        let mut calls = BTreeMap::new();
        for line in text.lines() {
            let (name, count) = line.split_once(' ').expect("a name and a number");
            let name = name.strip_suffix("KHR").unwrap_or(name).to_string();
            *calls.entry(name).or_default() += count.parse::<u64>().expect("a number");
        }
        (output, calls)
    }

    /// A run with a fault ends as it should, and what it leaves is whole. Whether it came to the fault: how many submissions a
    /// pass has depends on how fast the device is.
    fn breaks(&self, fault: Fault) -> bool {
        let (output, calls) = self.counted(Some(fault));
        let reached = calls[fault.0] >= fault.2;
        let err = String::from_utf8_lossy(&output.stderr);
        let what = format!("{} with {fault:?}", self.args[0]);
        let code = if reached { 4 } else { 0 };
        assert_eq!(output.status.code(), Some(code), "{what}:\n{err}");
        assert!(!err.contains("panicked"), "{what}:\n{err}");
        assert_eq!(err.contains("error: "), reached, "{what}:\n{err}");
        if self.out().exists() {
            whole(&self.out(), &what);
        }
        reached
    }
}

/// Every file below a folder is whole.
fn whole(folder: &Path, what: &str) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().expect("a name");
        let read = |path: &Path| std::fs::read(path).expect("a file");
        match path.extension().and_then(|e| e.to_str()) {
            _ if path.is_dir() => whole(&path, what),
            Some("png") => assert!(decode(&read(&path), &name).is_ok(), "{what}: {name}"),
            Some("safetensors") => assert!(StateDict::read(&path).is_ok(), "{what}: {name}"),
            _ => assert!(!name.ends_with(".part"), "{what}: {name} was left behind"),
        }
    }
}

/// The numbers of calls to begin to fail at, of `calls`: the first, the second, the last, and some between.
fn places(calls: u64, some: u64) -> Vec<u64> {
    let between = (1..some).map(|i| i * calls / some);
    let mut all: Vec<u64> = [1, 2].into_iter().chain(between).chain([calls]).collect();
    all.retain(|n| (1..=calls).contains(n));
    all.sort_unstable();
    all.dedup();
    all
}

/// A training that broke off at a fault and goes on ends in the bits of one that was left alone.
fn goes_on(undisturbed: &Subject, fault: Fault) -> bool {
    let subject = Subject::train();
    if !subject.breaks(fault) {
        return false;
    }
    let more: &[&str] =
        if subject.out().join("metrics.jsonl").exists() { &["--resume"] } else { &[] };
    let output = subject.run(more, None, None);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "going on after {fault:?}:\n{err}");
    let [one, other] = [undisturbed, &subject].map(|s| {
        let file = s.out().join("checkpoint-00000003.safetensors");
        StateDict::read(file).expect("a checkpoint").tensors
    });
    assert!(one.keys().eq(other.keys()));
    for (name, tensor) in &one {
        assert!(other[name].bytes() == tensor.bytes(), "{name} differs after {fault:?}");
    }
    true
}

#[test]
fn a_driver_that_fails_ends_a_command_in_order() {
    for (subject, faults) in [
        (Subject::read(), &FAULTS[..2]),
        (Subject::infer(), &FAULTS[3..6]),
        (Subject::eval(), &FAULTS[..1]),
    ] {
        let calls = subject.calls();
        for (function, results) in faults {
            let from = (calls[*function] * 3 / 4).max(1);
            assert!(subject.breaks((function, results[0], from)), "{function} from {from} on");
        }
    }
    let read = Subject::read();
    // While the device is opened, and what wgpu takes for impossible.
    for fault in [
        ("vkCreateBuffer", OUT_OF_HOST_MEMORY, 2),
        ("vkAllocateDescriptorSets", FRAGMENTED_POOL, 9),
    ] {
        assert!(read.breaks(fault), "{fault:?}");
    }
    // Memory that the driver lacks where it is handed work, or asked for results, is told as that.
    for from in 1..=read.calls()["vkQueueSubmit"] {
        let output = read.run(&[], Some(("vkQueueSubmit", OUT_OF_DEVICE_MEMORY, from)), None);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{err}");
        assert!(err.contains("error: gpu: memory of the device"), "submission {from}: {err}");
    }
    // Behind the work, nothing is lost any more.
    let output = read.run(&[], Some(("vkQueueWaitIdle", OUT_OF_HOST_MEMORY, 1)), None);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(0) && !err.contains("panicked"), "{err}");
}

#[test]
fn a_training_that_lost_its_device_goes_on() {
    let undisturbed = Subject::train();
    let calls = undisturbed.calls();
    for (function, result) in [("vkQueueSubmit", DEVICE_LOST), ("vkWaitSemaphores", DEVICE_LOST)] {
        let fault = (function, result, calls[function] * 2 / 3);
        assert!(goes_on(&undisturbed, fault), "{fault:?}");
    }
}

/// Runs `check` on every function with every result from some calls on, and says how many of these faults a run came to.
fn every_fault(
    name: &str,
    calls: &BTreeMap<String, u64>,
    some: u64,
    check: impl Fn(Fault) -> bool,
) {
    let (mut reached, mut all) = (0, 0);
    for (function, results) in FAULTS {
        for from in places(calls[*function], some) {
            for result in *results {
                reached += usize::from(check((function, *result, from)));
                all += 1;
            }
        }
    }
    println!("{name}: {reached} of {all} faults reached, each ended in order");
    assert!(reached * 2 > all, "{name}: few faults were reached");
}

#[test]
#[ignore = "half an hour; tools/test-slow faults"]
fn every_fault_ends_every_command_in_order() {
    for subject in [Subject::read(), Subject::infer(), Subject::eval()] {
        every_fault(&subject.args[0], &subject.calls(), 4, |fault| subject.breaks(fault));
    }
}

#[test]
#[ignore = "half an hour; tools/test-slow faults"]
fn a_training_goes_on_behind_every_fault() {
    let undisturbed = Subject::train();
    every_fault("train", &undisturbed.calls(), 6, |fault| goes_on(&undisturbed, fault));
}
