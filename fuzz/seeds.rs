//! Good inputs to begin with, and the words of each format.

use super::mutate::Random;
use lemma_gpu::data::checkpoint::{HostTensor, StateDict};
use lemma_gpu::data::lmdb::Writer;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR").trim_end_matches("/fuzz"))
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(root().join("tests/golden/pth").join(name)).expect("a file of the package")
}

/// Inputs of the target `name`, at least one.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let files = |names: &[&str]| names.iter().map(|n| golden(n)).collect::<Vec<_>>();
    match name {
        "pickle" => PICKLES.iter().map(|p| p.to_vec()).collect(),
        "pytorch_zip" => files(&["plain-zip.pth", "lemma-zip.pth", "state_dict-zip.pth"]),
        "pytorch_legacy" => files(&["plain-legacy.pth", "lemma-legacy.pth", "abinet-legacy.pth"]),
        "safetensors" => vec![golden("expected.safetensors"), reference()],
        "header" => vec![HEADER.to_vec()],
        "lmdb" => vec![pairs(false), pairs(true)],
        "labels" => label_files(),
        "image" => pictures(),
        "settings" => vec![SETTINGS.to_vec()],
        "trace" => vec![json(&reference())],
        _ => panic!("a target without seeds: {name}"),
    }
}

/// Words of the format that the target `name` reads.
pub fn words(name: &str) -> &'static [&'static [u8]] {
    match name {
        "pickle" | "pytorch_zip" | "pytorch_legacy" => OPCODES,
        "safetensors" | "header" | "trace" => {
            &[b"\"F32\"", b"\"U64\"", b"\"F8_E4M3\"", b"[]", b"[0]", b",", b"__metadata__"]
        }
        "lmdb" => &[b"num-samples", b"image_hr-000000001", b"label-", b"places-000000001"],
        "labels" => &[b"a.png\t", b"\r\n", b"..\\", b"0.1:0.2 ", b"\xff\xfe", b"\0", b"file\t"],
        "image" => &[b"IHDR", b"IDAT", b"\xff\xda", b"\xff\xc2", b"VP8X", b"RIFF", b"EXIF"],
        _ => &[b"=", b"[loss]\n", b"batch", b"schedule", b"{", b"}", b"inf", b"-0"],
    }
}

const OPCODES: &[&[u8]] = &[
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_tensor_v3\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n",
    b"ctorch\nuint16\n",
    b"ctorch.storage\nUntypedStorage\n",
    b"ccollections\nOrderedDict\n",
    b"cx\ny\n",
    b")R",
    b"tR",
    b"(",
    b"}q\0",
    b"h\0",
    b"s",
    b"U\x05model",
    b"\x86",
    b"\x81",
    b"b",
    b".",
];

/// Pickled objects over a storage `0` of four floats: a tensor, one of a subclass, one of an untyped storage, and an object
/// beside a dictionary.
const PICKLES: &[&[u8]] = &[
    b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04NtQK\0K\x02K\x02\x86K\x01K\x02\x86\x89)tRs.",
    b"\x80\x02}U\x01wctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04NtQK\0K\x04\x85K\x01\x85\x89)t}U\x01aK\x01stRs.",
    b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v3\n((U\x07storagectorch.storage\nUntypedStorage\nU\x010U\x03cpuK\x10NtQK\0K\x04\x85K\x01\x85\x89)ctorch\nuint32\ntRs.",
    b"\x80\x02}(U\x05model}q\0U\x01actorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04NtQK\0K\x04\x85K\x01\x85\x89)tRsU\x01ncargparse\nNamespace\n)\x81}U\x02lrG?\xf0\0\0\0\0\0\0sbu.",
];

const HEADER: &[u8] = br#"{"__metadata__":{"config":"{}","info":"{\"grad_names\":[\"a\"]}"},"model.a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"model.b":{"dtype":"U16","shape":[4],"data_offsets":[24,32]}}"#;

const LABELS: &str = "file\tlabel\textra\na.png\tExit 24\tx\r\nb.png\tcafé\n./a.png\t\n";
const PLACES: &[u8] = b"a.png\t0.05:0.21 0.23:0.4 0.5:0.6 0.7:0.9\n";

const SETTINGS: &[u8] = b"batch = 8\nlr = 2e-4\nsteps = 100\n[loss]\nfinetune = 0.5\n[schedule]\nkind = \"cosine\"\nwarmup = 10\n[abinet.vision]\nnhead = 2\n";

/// A reference of `trace`: whole tensors and packed tables.
fn reference() -> Vec<u8> {
    let mut state = StateDict::default();
    let info = r#"{"trace":["a 1","b 2"],"grad_names":["a","b"],"seed":3,"dev32":{"a":[1,1e-6]}}"#;
    state.metadata.insert("info".into(), info.into());
    let tables = [("a", 3), ("trace.l2", 2), ("trace.first16", 32), ("trace.rel32", 2)];
    let grads = [
        ("grad.l2", 2),
        ("grad.maxabs", 2),
        ("grad.first8", 16),
        ("grad.probe", 8),
        ("grad.rel32", 2),
    ];
    for (name, n) in tables.into_iter().chain(grads) {
        let tensor = HostTensor::from_f32([n], &vec![0.5; n]).expect("a tensor");
        state.tensors.insert(name.into(), tensor);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.safetensors");
    state.write_safetensors(&path).expect("a file");
    std::fs::read(path).expect("what was written")
}

/// Label files as tools write them, in either encoding, and one of places.
fn label_files() -> Vec<Vec<u8>> {
    let utf16 = LABELS.encode_utf16().flat_map(u16::to_le_bytes);
    vec![
        LABELS.into(),
        b"\xef\xbb\xbfa.png, \"exit\"\r\na.png, \"a, \"\"b\"\"\"\r\n".to_vec(),
        b"filename,words\na.png,exit\n".to_vec(),
        b"a.png exit 24\n".to_vec(),
        b"\xff\xfe".iter().copied().chain(utf16).collect(),
        PLACES.to_vec(),
    ]
}

/// The header of a safetensors file.
fn json(file: &[u8]) -> Vec<u8> {
    let length = u64::from_le_bytes(file[..8].try_into().expect("a length"));
    file[8..8 + length as usize].to_vec()
}

/// A `data.mdb` of pairs, or of single images so many that it has branches.
fn pairs(many: bool) -> Vec<u8> {
    let image = std::fs::read(root().join("weights/demo/exit.png")).expect("a file of the package");
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::create(&folder.path().join("data.mdb")).expect("a store");
    let mut put = |key: String, value: &[u8]| writer.put(key.as_bytes(), value).expect("an entry");
    let count = if many { 200 } else { 3 };
    for i in 1..=count {
        if many {
            put(format!("label-{i:09}"), b"exit");
        } else {
            put(format!("image_hr-{i:09}"), &image);
            put(format!("image_lr-{i:09}"), &image);
            put(format!("label-{i:09}"), b"exit");
        }
    }
    put("num-samples".into(), count.to_string().as_bytes());
    writer.finish().expect("a store");
    std::fs::read(folder.path().join("data.mdb")).expect("what was written")
}

/// One small picture in every format that the image crate writes here.
fn pictures() -> Vec<Vec<u8>> {
    use image::{ImageFormat, Rgb, RgbImage};
    let mut random = Random(7);
    let picture = RgbImage::from_fn(20, 9, |_, _| Rgb([random.below(256) as u8, 90, 200]));
    let formats = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::Gif,
        ImageFormat::Pnm,
    ];
    formats
        .into_iter()
        .map(|format| {
            let mut bytes = std::io::Cursor::new(Vec::new());
            picture.write_to(&mut bytes, format).expect("a picture");
            bytes.into_inner()
        })
        .collect()
}
