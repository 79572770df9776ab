//! Checkpoint files, good, evil and damaged: what is read equals what was saved, nothing is run, nothing panics, and neither
//! time nor memory is at the mercy of a file.

use lemma_gpu::ErrorKind;
use lemma_gpu::data::checkpoint::{
    Container, ConvertOptions, Dtype, HostTensor, StateDict, convert, inspect,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Counts the bytes each thread holds, and the most it held.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise about `layout`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise that `at` is of this allocator and layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `f` gives, and the most bytes it held at once.
fn peak<T>(f: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let value = f();
    (value, (MOST.get() - before) as usize)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pth")
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// Good files, their containers and what is taken off.
const GOOD: [(&str, Container, &[&str]); 8] = [
    // A stem of 21 letters: entries are 30 bytes long, which a guess of where the archive begins stumbles over.
    ("recognizer_best_acc_0.pth", Container::PyTorchZip, &[]),
    ("plain-zip.pth", Container::PyTorchZip, &[]),
    ("plain-legacy.pth", Container::PyTorchLegacy, &[]),
    ("lemma-zip.pth", Container::PyTorchZip, &["state_dict_G", "module."]),
    ("lemma-legacy.pth", Container::PyTorchLegacy, &["state_dict_G", "module."]),
    ("abinet-legacy.pth", Container::PyTorchLegacy, &["model"]),
    ("state_dict-zip.pth", Container::PyTorchZip, &["state_dict", "module."]),
    ("expected.safetensors", Container::Safetensors, &[]),
];

/// Bad files and what their errors say.
const BAD: [(&str, &[&str]); 6] = [
    ("evil-zip.pth", &["evil-zip/data.pkl at byte ", "refused to run `posix.system`"]),
    ("evil-legacy.pth", &["evil-legacy.pth at byte ", "refused to run `posix.system`"]),
    ("truncated-zip.pth", &["the zip archive is damaged or cut off", "got 3472 bytes"]),
    (
        "truncated-legacy.pth",
        &["at byte 2660: the file is cut off in storage", "expected 288 elements of 4"],
    ),
    ("short-storage-zip.pth", &["block1.0.weight: storage 0", "expected 1152 bytes, got 8"]),
    ("not-a-checkpoint.pth", &["not a checkpoint", "hello, this is"]),
];

#[test]
fn every_good_file_gives_the_expected_tensors() {
    let expected = StateDict::read(folder().join("expected.safetensors")).unwrap();
    assert_eq!(expected.tensors.len(), 14);
    for (name, container, wrappers) in GOOD {
        let state = StateDict::read(folder().join(name)).unwrap();
        assert_eq!(state.source.container, container, "{name}");
        assert_eq!(state.source.wrappers, wrappers, "{name}");
        assert!(state.tensors.keys().eq(expected.tensors.keys()), "{name}: {:?}", state.tensors);
        for (key, tensor) in &state.tensors {
            assert_eq!(tensor, &expected.tensors[key], "{name}: {key}");
            assert_eq!(tensor.bytes(), expected.tensors[key].bytes(), "{name}: {key}");
        }
        assert_eq!(state.source.order.len(), 14, "{name}");
    }
}

#[test]
fn every_bad_file_is_refused_with_its_reason() {
    for (name, says) in BAD {
        let error = StateDict::read(folder().join(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
        let error = error.to_string();
        assert!(error.contains(name), "{name}: {error}");
        assert!(says.iter().all(|s| error.contains(s)), "{name}: {error}");
    }
    assert!(!Path::new("pickle-was-executed").exists());
}

#[test]
fn every_file_of_the_folder_is_in_a_list() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let listed = GOOD.iter().any(|g| g.0 == name) || BAD.iter().any(|b| b.0 == name);
        assert!(listed || name == "README.md", "{name}");
    }
}

#[test]
fn traps_are_noted_and_the_rest_is_described() {
    let (state, report) = inspect(folder().join("lemma-zip.pth"), None).unwrap();
    assert_eq!(report.rows[0].name, "block1.0.weight");
    let note = |name: &str| report.rows.iter().find(|r| r.name == name).unwrap().note.as_str();
    assert_eq!(note("block2.gru1.gru.weight_ih_l0"), "was transposed, shares its storage");
    assert_eq!(note("block2.gru1.gru.weight_hh_l0"), "was strided, shares its storage");
    assert_eq!(note("block1.0.bias"), "");
    let others = report.others.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>();
    assert_eq!(others, ["info", "best_history_res", "best_model_info", "param_num", "converge"]);
    assert_eq!(report.elements, state.element_count());
    let table = report.to_string();
    assert!(table.contains("taken off: state_dict_G, module."), "{table}");
    assert!(table.contains("\nblock1.0.weight                 F32   [8, 4, 3, 3]\n"), "{table}");
    let (_, report) = inspect(folder().join("abinet-legacy.pth"), None).unwrap();
    assert_eq!(report.others[0].0, "opt");
    assert!(report.others[0].1.starts_with("{state: {"), "{:?}", report.others);
}

#[test]
fn conversion_keeps_values_and_overwrites_only_when_told() {
    let folder_out = tempfile::tempdir().unwrap();
    let out = folder_out.path().join("out.safetensors");
    let keep = ConvertOptions::default();
    let expected = StateDict::read(folder().join("expected.safetensors")).unwrap();
    convert(folder().join("lemma-legacy.pth"), &out, &keep).unwrap();
    let state = StateDict::read(&out).unwrap();
    assert_eq!(state.tensors, expected.tensors);
    assert_eq!(state.metadata["source"], "lemma-legacy.pth");
    assert_eq!(state.metadata["source_format"], "PyTorch legacy");
    assert_eq!(state.metadata["source_sha256"].len(), 64);

    let error = convert(folder().join("plain-zip.pth"), &out, &keep).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert!(error.to_string().ends_with("out.safetensors: the file is already there"), "{error}");
    let narrow = ConvertOptions { dtype: Some(Dtype::Bf16), overwrite: true, ..Default::default() };
    let report = convert(folder().join("plain-zip.pth"), &out, &narrow).unwrap();
    let state = StateDict::read(&out).unwrap();
    assert_eq!(state.tensors["block2.bn1.num_batches_tracked"].dtype(), Dtype::I64);
    assert_eq!(state.tensors["half.weight"].dtype(), Dtype::Bf16);
    let half = report.rows.iter().find(|r| r.name == "half.weight").unwrap();
    assert_eq!((half.dtype, half.note.as_str()), (Dtype::Bf16, "cast from F16"));
    let some = ConvertOptions { only: vec!["block*bn1".into()], ..narrow.clone() };
    let report = convert(folder().join("plain-zip.pth"), &out, &some).unwrap();
    let dtype = |name: &str| report.rows.iter().find(|r| r.name == name).unwrap().dtype;
    assert_eq!(dtype("block2.bn1.running_mean"), Dtype::Bf16);
    assert_eq!(dtype("half.weight"), Dtype::F16);
    let error = ConvertOptions { dtype: Some(Dtype::U8), overwrite: true, ..Default::default() };
    assert_eq!(convert("absent", &out, &error).unwrap_err().kind(), ErrorKind::Argument);
    assert_eq!(convert("absent", &out, &narrow).unwrap_err().kind(), ErrorKind::Io);
    // A failed write leaves nothing, and no temporary file stays behind.
    assert!(convert(folder().join("plain-zip.pth"), out.join("x"), &keep).is_err());
    assert_eq!(std::fs::read_dir(folder_out.path()).unwrap().count(), 1);
}

#[test]
fn writing_and_reading_back_is_the_identity() {
    let folder_out = tempfile::tempdir().unwrap();
    let (a, b) = (folder_out.path().join("a"), folder_out.path().join("b"));
    let mut state = StateDict::read(folder().join("plain-zip.pth")).unwrap();
    state.tensors.insert("added".into(), HostTensor::new(Dtype::Bool, [3], vec![0, 1, 1]).unwrap());
    state.tensors.insert("ünïcode \"name\"".into(), HostTensor::from_i64([], &[7]).unwrap());
    state.metadata.insert("config".into(), "{\"k\": 1}\n".into());
    state.write_safetensors(&a).unwrap();
    let back = StateDict::read(&a).unwrap();
    assert_eq!((&back.tensors, &back.metadata), (&state.tensors, &state.metadata));
    back.write_safetensors(&b).unwrap();
    assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    // The crate of the format agrees.
    assert_eq!(
        safetensors::SafeTensors::deserialize(&std::fs::read(&a).unwrap()).unwrap().len(),
        16
    );

    StateDict::default().write_safetensors(&b).unwrap();
    assert!(StateDict::read(&b).unwrap().tensors.is_empty());
    state.tensors.insert("__metadata__".into(), HostTensor::from_i64([], &[7]).unwrap());
    assert_eq!(state.write_safetensors(&b).unwrap_err().kind(), ErrorKind::Argument);
    assert_eq!(StateDict::read(folder_out.path()).unwrap_err().kind(), ErrorKind::Argument);
    assert!(StateDict::from_bytes("x", b"").unwrap_err().to_string().contains("an empty file"));
}

#[test]
fn a_zip_archive_is_held_to_its_checksums() {
    let mut bytes = bytes_of("plain-zip.pth");
    let one = StateDict::from_bytes("x", &bytes).unwrap().tensors["block1.0.bias"].bytes().to_vec();
    let at = bytes.windows(one.len()).position(|w| w == one).unwrap();
    bytes[at + 3] ^= 0x10;
    let error = StateDict::from_bytes("x", &bytes).unwrap_err().to_string();
    assert!(error.starts_with("x: entry plain-zip/data/1: is damaged: "), "{error}");
}

/// Reads damaged bytes: no panic, no long wait, no more memory than the file explains.
fn endures(what: &str, bytes: &[u8]) -> bool {
    let start = Instant::now();
    let (result, peak) = peak(|| StateDict::from_bytes(what, bytes));
    let limit = 16 * bytes.len() + (128 << 10);
    assert!(peak <= limit, "{what}: {peak} bytes held for a file of {}", bytes.len());
    // Milliseconds in truth; the limit leaves room for a busy machine.
    assert!(start.elapsed() < Duration::from_millis(500), "{what}: {:?}", start.elapsed());
    if let Err(error) = &result {
        assert!(error.to_string().starts_with(what), "{error}");
    }
    result.is_ok()
}

#[test]
fn files_cut_off_anywhere_are_refused() {
    for (name, ..) in GOOD {
        let bytes = bytes_of(name);
        for n in 0..bytes.len() {
            assert!(!endures(&format!("{name} cut at {n}"), &bytes[..n]));
        }
        assert!(endures(name, &bytes));
    }
}

#[test]
fn damaged_bytes_are_endured() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as usize % below
    };
    for (name, ..) in GOOD {
        let bytes = bytes_of(name);
        for round in 0..6000 {
            let mut damaged = bytes.clone();
            for _ in 0..=round % 3 {
                let at = next(bytes.len());
                damaged[at] = match next(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => damaged[at] ^ (1 << next(8)),
                    _ => next(256) as u8,
                };
            }
            endures(&format!("{name} round {round}"), &damaged);
        }
    }
}

/// A file of the older container with `object` as its pickle and, if that has one, storage `0` of four floats.
fn legacy(object: &[u8]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    file.extend(b"\x80\x02M\xe9\x03.\x80\x02}.");
    file.extend(object);
    if !object.ends_with(b")tRs.") {
        file.extend(b"\x80\x02].");
        return file;
    }
    file.extend(b"\x80\x02](U\x010e.\x04\0\0\0\0\0\0\0");
    [1f32, 2.0, 3.0, 4.0].iter().for_each(|x| file.extend(x.to_le_bytes()));
    file
}

/// A pickle of `{"w": tensor}` whose shape and strides are written as the opcodes given.
fn one_tensor(offset: &[u8], size: &[u8], stride: &[u8]) -> Vec<u8> {
    [
        &b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n("[..],
        b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04NtQ",
        offset,
        size,
        stride,
        b"\x89)tRs.",
    ]
    .concat()
}

fn refusal(object: &[u8]) -> String {
    let (result, peak) = peak(|| StateDict::from_bytes("x.pth", &legacy(object)));
    assert!(peak < 100 * object.len() + (128 << 10), "{peak}");
    result.unwrap_err().to_string()
}

#[test]
fn views_of_a_storage_become_arrays() {
    let read = |offset: &[u8], size: &[u8], stride: &[u8]| {
        let file = legacy(&one_tensor(offset, size, stride));
        StateDict::from_bytes("x.pth", &file).unwrap()
    };
    let state = read(b"K\0", b"K\x02K\x02\x86", b"K\x01K\x02\x86");
    assert_eq!(state.tensors["w"], HostTensor::from_f32([2, 2], &[1., 3., 2., 4.]).unwrap());
    assert_eq!(state.source.notes["w"], "was transposed");
    let state = read(b"K\x01", b"K\x02K\x01K\x03\x87", b"K\0J\xff\xff\xff\x7fK\x01\x87");
    let expanded = HostTensor::from_f32([2, 1, 3], &[2., 3., 4., 2., 3., 4.]).unwrap();
    assert_eq!(state.tensors["w"], expanded);
    assert_eq!(state.source.notes["w"], "was expanded");
    let state = read(b"K\x03", b")", b")");
    assert_eq!(state.tensors["w"], HostTensor::from_f32([], &[4.]).unwrap());
}

#[test]
fn tensors_that_lie_are_refused() {
    let lie =
        |offset: &[u8], size: &[u8], stride: &[u8]| refusal(&one_tensor(offset, size, stride));
    let past = lie(b"K\x01", b"K\x04\x85", b"K\x01\x85");
    assert_eq!(past, "x.pth: w: elements it needs of storage 0: expected 4, got 5");
    let huge = lie(b"K\0", b"\x8a\x06\0\0\0\0\0\x01\x85", b"K\0\x85");
    assert!(huge.contains("w: tensors are larger than their file explains"), "{huge}");
    let wraps = lie(b"K\0", b"K\x02\x85", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85");
    assert!(wraps.contains("expected 4, got 9223372036854775808"), "{wraps}");
    assert!(
        lie(b"J\xff\xff\xff\xff", b")", b")").contains("offset: expected zero or more, got -1")
    );
    assert!(lie(b"K\0", b"J\xff\xff\xff\xff\x85", b"K\x01\x85").contains("no tuple of sizes"));
    assert!(lie(b"K\0", b"K\x01\x85", b")").contains("as many strides as axes: expected 1, got 0"));
    assert!(
        lie(b"K\0", &[&b"("[..], &[b'K', 1].repeat(9), b"t"].concat(), b")").contains("no tuple")
    );
}

#[test]
fn whatever_could_run_is_refused_by_name() {
    for (object, name) in [
        (&b"\x80\x02cos\nsystem\nU\x04trueq\x01\x85R."[..], "os.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "builtins.eval"),
        (b"\x80\x02(cbuiltins\nexec\nt.", "builtins.exec"),
        (b"(ios\nsystem\n.", "os.system"),
        (
            b"\x80\x02}U\x05modelctorch.storage\n_load_from_bytes\n",
            "torch.storage._load_from_bytes",
        ),
        (b"\x80\x02ccollections\nOrderedDict\ncfunctools\npartial\n", "functools.partial"),
        (b"\x80\x02c__torch__\nNet\n)\x81}b", "__torch__.Net"),
    ] {
        let error = refusal(&[object, b"."].concat());
        assert!(error.contains(&format!("refused to run `{name}`")), "{error}");
        assert!(error.starts_with("x.pth at byte "), "{error}");
    }
    // What may be named does nothing, and what is not a global is not called.
    assert!(
        refusal(b"\x80\x02U\x06systemU\x01x\x85R.").contains("calls something that is no global")
    );
    assert!(refusal(b"\x80\x02ctorch\nFloatStorage\n)R.").contains("wrong arguments"));
    assert!(refusal(b"\x80\x02c_codecs\nencode\nU\x01x\x85R.").contains("got bytes"));
    assert!(refusal(b"\x80\x02\x82\x01.").contains("opcode 0x82"));
}

#[test]
fn bombs_do_not_go_off() {
    let deep = [&b"\x80\x02)"[..], &[0x85].repeat(200_000), b"."].concat();
    assert!(refusal(&deep).contains("got [[tuple of 1]]"));
    assert!(refusal(b"\x80\x02]q\0h\0a.").contains("got [[list of 1]]"), "a list in itself");
    assert!(refusal(b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffx.").contains("cut off"));
    assert!(
        refusal(b"\x80\x02X\xff\xff\xff\x7fx.").contains("expected 2147483647 more bytes, got")
    );
    assert!(refusal(b"\x80\x02Nr\xff\xff\xff\xff.").contains("got None"));
    assert!(refusal(b"\x80\x02Nj\xff\xff\xff\xff.").contains("memo 4294967295 was never written"));
    assert!(refusal(b"\x80\x02(00.").contains("empty stack"));
    let wrapped = [&b"\x80\x02}q\0U\x05modelh\0s."[..]].concat();
    assert!(refusal(&wrapped).contains("holds no tensor"), "a dictionary in itself");
    // A list of 20,000 pairs made into a dictionary 20,000 times.
    let many = [
        &b"\x80\x02](N]q\0NNe\x86q\x01"[..],
        &b"h\x01".repeat(20_000),
        b"eq\x02\x85q\x030ccollections\nOrderedDict\nq\x04",
        &b"h\x04h\x03R0".repeat(20_000),
        b".",
    ]
    .concat();
    let start = Instant::now();
    assert!(!refusal(&many).is_empty());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
