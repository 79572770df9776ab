//! Checkpoints as people's tools leave them: objects beside the tensors, weights under any key, wrappers before every name,
//! types of elements that came later, and files that are something else.

#[path = "common/pickled.rs"]
mod pickled;

use lemma_gpu::data::checkpoint::{Dtype, HostTensor, StateDict};
use pickled::{Pickled, dict, file, floats, raw, retyped, tensor, untyped};

fn read(object: &Pickled) -> StateDict {
    part(object, None).unwrap_or_else(|e| panic!("{e}"))
}

fn part(object: &Pickled, key: Option<&str>) -> Result<StateDict, lemma_gpu::Error> {
    StateDict::part_from_bytes("x.pth", &file(object), key)
}

fn refusal(object: &Pickled) -> String {
    part(object, None).expect_err("a refusal").to_string()
}

fn other<'s>(state: &'s StateDict, key: &str) -> &'s str {
    let found = state.source.others.iter().find(|(k, _)| k == key);
    &found.unwrap_or_else(|| panic!("{key} in {:?}", state.source.others)).1
}

/// `{"w": [1, 2]}`.
fn weights() -> Pickled {
    dict([("w", floats("0", [1.0, 2.0]))])
}

fn is_weights(state: &StateDict) {
    assert_eq!(state.tensors.keys().collect::<Vec<_>>(), ["w"]);
    assert_eq!(state.tensors["w"].to_f32().unwrap(), [1.0, 2.0]);
}

#[test]
fn a_header_of_any_length_is_one_of_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let mut state = StateDict::default();
    state.tensors.insert("w".into(), HostTensor::from_f32([2], &[1.0, 2.0]).unwrap());
    state.write_safetensors(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let (json, data) = (&bytes[8..8 + header], &bytes[8 + header..]);
    // Lengths whose first bytes are those of a pickle of each protocol, and some around them.
    for length in (0x78..0x600).step_by(8) {
        let mut file = (length as u64).to_le_bytes().to_vec();
        file.extend(json);
        file.resize(8 + length, b' ');
        file.extend(data);
        is_weights(&StateDict::from_bytes("x", &file).unwrap_or_else(|e| panic!("{length}: {e}")));
    }
}

#[test]
fn objects_beside_the_tensors_are_left_out_by_name() {
    let beside: [(&[u8], &str); 9] = [
        (b"cargparse\nNamespace\n)\x81}U\x02lrG?\xf0\0\0\0\0\0\0sb", "argparse.Namespace object"),
        (b"cpathlib\nPurePosixPath\n(U\x04runsU\x011tR", "pathlib.PurePosixPath object"),
        (
            b"ceasydict\nEasyDict\n)\x81}U\x03voc}sbU\x03vocU\x03alls",
            "easydict.EasyDict {voc: \"all\"}",
        ),
        (
            b"clightning_fabric.utilities.data\nAttributeDict\n)\x81U\x02lrK\x01s",
            "lightning_fabric.utilities.data.AttributeDict {lr: 1}",
        ),
        (b"comegaconf.dictconfig\nDictConfig\n)\x81}b", "omegaconf.dictconfig.DictConfig object"),
        (b"cdatetime\ndatetime\nC\x02ab\x85R", "datetime.datetime object"),
        (b"cfunctools\npartial\ncmy\nf\n\x85R", "functools.partial object"),
        (b"cbuiltins\ngetattr\ncmy.config\nKind\nU\x01A\x86R)R", "builtins.getattr object"),
        (b"cmy.models\nNet\n", "my.models.Net"),
    ];
    for (ops, says) in beside {
        let state =
            read(&dict([("model", weights()), ("args", raw(ops)), ("epoch", raw(b"K\x03"))]));
        is_weights(&state);
        assert_eq!(other(&state, "args"), says);
        assert_eq!(other(&state, "epoch"), "3");
    }
}

#[test]
fn what_a_package_makes_tensors_with_stays_refused() {
    let made = |call: &str| {
        let mut tensor = floats("0", [1.0, 2.0]);
        let own = b"ctorch._utils\n_rebuild_tensor_v2\n";
        tensor.ops = [call.as_bytes(), tensor.ops.strip_prefix(own).unwrap()].concat();
        tensor
    };
    let error = refusal(&dict([("w", floats("1", [3.0, 4.0])), ("v", made("cmy.zoo\nbuild\n"))]));
    assert!(error.contains("x.pth at byte ") && error.contains("`my.zoo.build`"), "{error}");
    // Beside the weights it is left out like any other object, and so is a whole module, which is not weights.
    let state = read(&dict([("model", weights()), ("ema", made("cmy.zoo\nbuild\n"))]));
    assert_eq!(other(&state, "ema"), "my.zoo.build object");
    let error = refusal(&dict([("model", raw(b"cmy.zoo\nNet\n)\x81"))]));
    assert!(error.contains("no tensor") && error.contains("model is a my.zoo.Net"), "{error}");
    // Objects of modules that do many things are objects like others.
    for object in ["urllib.parse\nParseResult", "dill._dill\n_create_type", "tempfile\nX"] {
        let call = raw(format!("c{object}\n)R").as_bytes());
        is_weights(&read(&dict([("model", weights()), ("x", call)])));
    }
    // Nobody means well who names these, wherever.
    for (module, name) in [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")] {
        let call = raw(format!("c{module}\n{name}\n)R").as_bytes());
        let error = refusal(&dict([("model", weights()), ("x", call)]));
        assert!(error.contains(&format!("refused to run `{module}.{name}`")), "{error}");
    }
}

#[test]
fn one_dictionary_of_tensors_is_taken_whatever_its_key() {
    let scalar = || tensor("FloatStorage", "9", &[], &0.5f32.to_le_bytes());
    for key in ["model_state_dict", "params_ema", "netG", "generator", "my own"] {
        let object = [(key, weights()), ("loss", scalar()), ("epoch", raw(b"K\x03"))];
        let state = read(&dict(object));
        is_weights(&state);
        assert_eq!(state.source.wrappers, [key]);
        assert_eq!(other(&state, "loss"), "tensor F32 []");
        let deep = read(&dict([("a", dict([(key, weights())]))]));
        assert_eq!(deep.source.wrappers, ["a", key]);
    }
    // What an optimizer remembers is no candidate, nor is a dictionary of metrics.
    let moments = dict([("state", dict([("0", weights())])), ("param_groups", raw(b"]"))]);
    let metrics = dict([("best", scalar())]);
    let state = read(&dict([("optimizer", moments), ("metrics", metrics), ("net", weights())]));
    is_weights(&state);
    // The states of generators are no weights, whatever is beside them.
    let state = || tensor("ByteStorage", "8", &[4], &[1, 2, 3, 4]);
    let rng = || ("rng", dict([("torch", state())]));
    for object in [
        dict([("generator", weights()), ("rng_state", state())]),
        dict([("generator", weights()), rng()]),
        dict([("generator", weights()), ("loss", scalar()), rng()]),
    ] {
        let found = read(&object);
        is_weights(&found);
        assert_eq!(found.source.wrappers, ["generator"]);
    }
    // The usual key wins over something small beside it, and a dictionary that stands twice is one.
    let large = || {
        dict([
            ("w", floats("0", [1.0, 2.0])),
            ("v", floats("1", [1.0, 2.0])),
            ("u", floats("2", [1.0, 2.0])),
        ])
    };
    let state = read(&dict([("criterion", weights()), ("state_dict", large())]));
    assert_eq!(
        (state.tensors.len(), &state.source.wrappers[..]),
        (3, &["state_dict".to_string()][..])
    );
    let twice = raw(b"}(U\x01a}q\x01U\x01bh\x01u");
    assert!(refusal(&twice).contains("no tensor"));
}

#[test]
fn of_several_dictionaries_a_key_chooses() {
    let ema = || dict([("w", floats("1", [3.0, 4.0]))]);
    let object = dict([("params", weights()), ("params_ema", ema())]);
    let error = refusal(&object);
    assert!(error.contains("got params (1 tensors), params_ema (1 tensors)"), "{error}");
    assert!(error.contains("hint: --key NAME chooses"), "{error}");
    is_weights(&part(&object, Some("params")).unwrap());
    let state = part(&object, Some("params_ema")).unwrap();
    assert_eq!(state.tensors["w"].to_f32().unwrap(), [3.0, 4.0]);
    let error = part(&object, Some("parms")).unwrap_err().to_string();
    assert!(
        error.contains("expected one of the dictionaries params, params_ema, got parms"),
        "{error}"
    );
    // Levels are joined by dots; keys may hold dots themselves.
    let deep = dict([("a.b", dict([("c", object.clone()), ("d", weights())]))]);
    let state = part(&deep, Some("a.b.c.params_ema")).unwrap();
    assert_eq!(state.source.wrappers, ["a.b", "c", "params_ema"]);
    is_weights(&part(&deep, Some("a.b.d")).unwrap());
    assert!(part(&deep, Some("a.b.c")).unwrap_err().to_string().contains("params (1 tensors)"));
    // What is left of a key stands before names.
    let flat = dict([(
        "model",
        dict([("enc.w", floats("0", [1.0, 2.0])), ("dec.w", floats("1", [3.0, 4.0]))]),
    )]);
    let state = part(&flat, Some("model.enc")).unwrap();
    is_weights(&state);
    assert_eq!(state.source.wrappers, ["model", "enc."]);
    assert_eq!(other(&state, "other names"), "1 tensors beside enc");
    assert!(part(&flat, Some("model.en")).is_err() && part(&flat, Some("model.enc.w")).is_err());
}

#[test]
fn a_part_of_weights_takes_its_part_of_the_configuration() {
    let lemma = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/lemma-nano.safetensors");
    let state = StateDict::read_part(lemma, Some("position_prior")).unwrap();
    assert!(state.tensors.contains_key("vision.cls.weight"));
    assert!(!state.tensors.contains_key("block1.0.weight"));
    let config: serde_json::Value = serde_json::from_str(&state.metadata["config"]).unwrap();
    assert!(config["vision"]["nhead"] == 2 && config["language"]["nhead"] == 4, "{config}");
}

#[test]
fn wrappers_before_every_name_are_taken_off_in_any_order() {
    let named = |prefix: &str| dict([(format!("{prefix}w"), floats("0", [1.0, 2.0]))]);
    for prefix in [
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.",
        "model._orig_mod.module.",
        "netG.module.",
        "module.module.",
    ] {
        let state = read(&named(prefix));
        is_weights(&state);
        assert_eq!(state.source.wrappers.concat(), prefix);
        assert_eq!(state.source.order, ["w"]);
    }
    let counter = || tensor("LongStorage", "9", &[], &7i64.to_le_bytes());
    let averaged = [("n_averaged", counter()), ("module.w", floats("0", [1.0, 2.0]))];
    let state = read(&dict(averaged));
    is_weights(&state);
    assert_eq!(other(&state, "n_averaged"), "7");
    // A part that was compiled or wrapped by itself, and names that only some have in common.
    let part = dict([("a._orig_mod.w", floats("0", [1.0, 2.0])), ("b.w", floats("1", [3.0, 4.0]))]);
    assert_eq!(read(&part).tensors.keys().collect::<Vec<_>>(), ["a.w", "b.w"]);
    let some = dict([("model.w", floats("0", [1.0, 2.0])), ("loss.w", floats("1", [3.0, 4.0]))]);
    assert_eq!(read(&some).tensors.keys().collect::<Vec<_>>(), ["loss.w", "model.w"]);
    // A name of nothing but wrappers costs no more than its length.
    let deep = dict([("module.".repeat(20_000), floats("0", [1.0, 2.0]))]);
    let start = std::time::Instant::now();
    assert_eq!(read(&deep).source.wrappers.len(), 8);
    assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
    // Nothing is lost where two names would become one.
    let both = [("a._orig_mod.w", floats("0", [1.0, 2.0])), ("a.w", floats("1", [3.0, 4.0]))];
    assert_eq!(read(&dict(both)).tensors.len(), 2);
    let both = [("module.n_averaged", floats("0", [1.0, 2.0])), ("n_averaged", counter())];
    assert_eq!(read(&dict(both)).tensors.len(), 2);
}

#[test]
fn tensors_of_subclasses_and_with_attributes_are_plain_tensors() {
    let own = || floats("0", [1.0, 2.0]);
    for (class, state) in [
        ("torch\nTensor", &b"}U\x04noteU\x01xs"[..]),
        ("torch\nTensor", b"}(U\x0apersistent\x88U\x0a_is_buffer\x88u"),
        ("my.tensors\nNamed", b"N"),
        ("torch.nn.parameter\nBuffer", b"}"),
    ] {
        is_weights(&read(&dict([("w", retyped(own(), class, state))])));
    }
    let parameter = |tensor: Pickled, rest: &[u8]| {
        let ops =
            [&b"ctorch._utils\n_rebuild_parameter_with_state\n("[..], &tensor.ops, rest, b"tR"];
        Pickled { ops: ops.concat(), ..tensor }
    };
    is_weights(&read(&dict([("w", parameter(own(), b"\x88}}U\x03tagU\x01ys"))])));
    let mut fastai = own();
    let call = b"ctorch._utils\n_rebuild_tensor_v2\n(";
    let args = fastai.ops.strip_prefix(call).unwrap().to_vec();
    fastai.ops =
        [&b"cfastai.torch_core\n_fa_rebuild_tensor\n(cfastai.torch_core\nTensorBase\n"[..], &args]
            .concat();
    is_weights(&read(&dict([("w", fastai)])));
    // A view that says it is negated holds other values than its storage.
    let mut negated = own();
    let end = negated.ops.len() - 2;
    negated.ops.splice(end.., *b"}U\x03neg\x88stR");
    let state = read(&dict([("w", own()), ("v", negated)]));
    is_weights(&state);
    assert!(other(&state, "v").contains("negated"));
}

#[test]
fn types_that_are_not_read_cost_themselves_alone() {
    let own = || ("w", floats("0", [1.0, 2.0]));
    for (name, dtype, bytes, value) in [
        ("uint16", Dtype::U16, 60000u16.to_le_bytes().to_vec(), 60000.0),
        ("uint32", Dtype::U32, 4_000_000_000u32.to_le_bytes().to_vec(), 4e9),
        ("uint64", Dtype::U64, (1u64 << 40).to_le_bytes().to_vec(), 1_099_511_627_776.0),
        ("int16", Dtype::I16, (-7i16).to_le_bytes().to_vec(), -7.0),
    ] {
        let state = read(&dict([own(), ("n", untyped(name, "1", &[1], &bytes))]));
        assert_eq!(state.tensors["n"].dtype(), dtype);
        assert_eq!(
            state.tensors["n"].convert(Dtype::F64).unwrap().bytes(),
            f64::to_le_bytes(value)
        );
    }
    let odd = HostTensor::new(Dtype::U64, [1], u64::MAX.to_le_bytes().to_vec()).unwrap();
    assert!(odd.to_f32().is_err() && odd.convert(Dtype::I64).is_err());
    for (name, size) in
        [("float8_e4m3fn", 1), ("float8_e5m2", 1), ("complex32", 4), ("float4_e2m1fn_x2", 1)]
    {
        let state = read(&dict([own(), ("n", untyped(name, "1", &[3], &vec![0; 3 * size]))]));
        is_weights(&state);
        assert_eq!(other(&state, "n"), format!("tensor {name} [3], a type that is not read"));
    }
    let state = read(&dict([own(), ("n", tensor("ComplexFloatStorage", "1", &[2], &[0; 16]))]));
    is_weights(&state);
    assert_eq!(other(&state, "n"), "tensor complex64 [2], a type that is not read");
    let state = read(&dict([own(), ("n", untyped("float6_of_tomorrow", "1", &[3], &[0; 3]))]));
    assert_eq!(other(&state, "n"), "tensor of an unknown type");
    let sparse = raw(b"ctorch._utils\n_rebuild_sparse_tensor\n()tR");
    let state = read(&dict([own(), ("n", sparse)]));
    assert_eq!(other(&state, "n"), "sparse tensor, which is not read");
    // An untyped storage is as long as it is, whatever its tensor says.
    let error = refusal(&dict([own(), ("n", untyped("uint32", "1", &[3], &[0; 8]))]));
    assert!(error.contains("n: elements it needs of storage 1: expected 2, got 3"), "{error}");
}

#[test]
fn types_of_safetensors_are_read_or_left_out_by_name() {
    let header = concat!(
        r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#,
        r#""a":{"dtype":"U16","shape":[2],"data_offsets":[8,12]},"#,
        r#""b":{"dtype":"U32","shape":[1],"data_offsets":[12,16]},"#,
        r#""c":{"dtype":"U64","shape":[1],"data_offsets":[16,24]},"#,
        r#""d":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[24,28]},"#,
        r#""e":{"dtype":"F8_E5M2","shape":[4],"data_offsets":[28,32]},"#,
        r#""f":{"dtype":"C64","shape":[1],"data_offsets":[32,40]}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([1.0f32, 2.0].map(f32::to_le_bytes).concat());
    bytes.extend([0; 32]);
    let state = StateDict::from_bytes("x", &bytes).unwrap();
    assert_eq!(state.tensors.keys().collect::<Vec<_>>(), ["a", "b", "c", "w"]);
    assert_eq!(state.source.order, ["w", "a", "b", "c"]);
    assert_eq!(other(&state, "d"), "tensor F8_E4M3 [4], a type that is not read");
    assert_eq!(other(&state, "f"), "tensor C64 [1], a type that is not read");
}

#[test]
fn files_that_are_something_else_are_called_by_their_name() {
    for (bytes, says) in [
        (&b"<!DOCTYPE html><html>Sign in"[..], "a web page: the download failed"),
        (b"\xef\xbb\xbf\n <html lang=\"en\">", "a web page: the download failed"),
        (b"{\"error\": \"not found\"}", "JSON text"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "a gzip file"),
        (b"BZh91AY&SY", "a bzip2 file"),
        (b"\xfd7zXZ\0\0\x04", "an xz file"),
        (b"\x28\xb5\x2f\xfd\x04", "a Zstandard file"),
        (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
        (b"GGUF\x03\0\0\0", "a GGUF file"),
        (b"", "an empty file"),
        (b"hello", "\"hello\""),
    ] {
        let error = StateDict::from_bytes("x", bytes).unwrap_err().to_string();
        assert!(error.contains(&format!("got {says}")), "{error}");
    }
}

fn archive(names: &[&str]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for name in names {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(b"x").unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn archives_of_something_else_are_called_by_their_name() {
    for (names, says) in [
        (&["m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"][..], "a TorchScript archive"),
        (&["m/archive_format", "m/models/model.json"], "an archive of torch.export"),
        (&["a.npy", "b.npy"], "arrays of numpy"),
        (&["weights/best.pth", "readme"], "among them weights/best.pth"),
        (&["readme"], "1 entries, 0 of them data.pkl"),
    ] {
        let error = StateDict::from_bytes("x", &archive(names)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
