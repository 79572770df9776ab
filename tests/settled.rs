//! Weights that have lost their configuration: either they work as before, or they are refused with the way out. And files
//! that claim more than they hold.

use image::RgbImage;
use lemma_gpu::data::checkpoint::{HostTensor, StateDict};
use lemma_gpu::engine::{Given, Head, Reading, configuration, settle};
use lemma_gpu::gpu::GpuOptions;
use lemma_gpu::models::abinet::AbinetConfig;
use lemma_gpu::models::lemma::LemmaConfig;
use lemma_gpu::{Engine, Lemma, Recognizer, Source};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/abinet-nano.safetensors");
const LEMMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/lemma-nano.safetensors");

fn engine() -> Engine {
    let adapter = std::env::var("LEMMA_GPU_ADAPTER").ok();
    Engine::new(GpuOptions { adapter, ..Default::default() }).expect("an adapter for the tests")
}

/// Weights without their metadata.
fn bare(path: &str) -> StateDict {
    let mut state = StateDict::read(path).expect("shipped weights");
    state.metadata.clear();
    state
}

/// The same with one value a little different, so that they are not those that ship.
fn changed(path: &str, name: &str) -> StateDict {
    let mut state = bare(path);
    let tensor = &state.tensors[name];
    let mut values = tensor.to_f32().expect("floats");
    values[0] += 1e-3;
    let tensor = HostTensor::from_f32(tensor.shape(), &values).expect("a tensor");
    state.tensors.insert(name.into(), tensor);
    state
}

fn given(config: Value) -> Given {
    Given { config: Some(config), ..Given::default() }
}

#[test]
fn weights_that_ship_are_known_without_their_metadata() {
    for path in [READER, LEMMA] {
        let whole = configuration(&StateDict::read(path).unwrap()).unwrap();
        let mut state = bare(path);
        let notes = settle(&mut state, &Given::default()).unwrap();
        assert!(notes[0].contains("as in the weights that ship"), "{notes:?}");
        assert_eq!(configuration(&state).unwrap(), whole);
        // And what is settled stays so.
        assert_eq!(settle(&mut state, &Given::default()).unwrap(), [""; 0]);
    }
}

#[test]
fn head_counts_are_asked_for_and_never_guessed() {
    let engine = engine();
    let mut reader = changed(READER, "vision.cls.bias");
    let error = Recognizer::load(&engine, reader.clone()).map(drop).unwrap_err().to_string();
    assert!(error.contains("for vision.nhead, language.nhead"), "{error}");
    assert!(error.contains("hint: --config FILE"), "{error}");
    let e = settle(&mut reader, &given(json!({"vision": {"nhead": 2}}))).unwrap_err().to_string();
    assert!(e.contains("for language.nhead\n"), "{e}");
    let heads = json!({"vision": {"nhead": 2}, "language": {"nhead": 4}});
    settle(&mut reader, &given(heads)).unwrap();
    let whole = StateDict::read(READER).unwrap();
    assert_eq!(configuration(&reader).unwrap(), configuration(&whole).unwrap());

    let mut lemma = changed(LEMMA, "block1.0.bias");
    let error = Lemma::load(&engine, lemma.clone()).map(drop).unwrap_err().to_string();
    let open = "guidance.nhead, position_prior.vision.nhead, position_prior.language.nhead";
    assert!(error.contains(open), "{error}");
    let config = configuration(&StateDict::read(LEMMA).unwrap()).unwrap();
    settle(&mut lemma, &given(config.clone())).unwrap();
    assert_eq!(configuration(&lemma).unwrap(), config);
    // A slip is told, and so are sizes that make no network.
    for (wrong, says) in [
        (json!({"guidance": {"nheads": 4}}), "guidance.nheads"),
        (json!({"guidance": {"nhead": 3}}), "a divisor of 32"),
        (json!({"guidance": {"nhead": "four"}}), "invalid type"),
        (json!({"position_prior": 4}), "invalid type"),
    ] {
        let error = settle(&mut lemma.clone(), &given(wrong)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// Tensors of the shapes that `config` asks for, as far as these tell sizes.
fn shapes(config: &AbinetConfig, prefix: &str) -> Vec<(String, Vec<usize>)> {
    let (v, l) = (&config.vision, &config.language);
    let mut all = Vec::new();
    let mut put =
        |name: String, shape: &[usize]| all.push((format!("{prefix}{name}"), shape.to_vec()));
    for i in 0..5 {
        for j in 0..v.resnet_blocks[i] {
            let name = format!("vision.backbone.resnet.layer{}.{j}.conv1.weight", i + 1);
            put(name, &[v.resnet_planes[i], 1]);
        }
    }
    for i in 0..v.encoder_layers {
        let name = format!("vision.backbone.transformer.layers.{i}.linear1.weight");
        put(name, &[v.d_inner, 1]);
    }
    for i in 0..l.num_layers {
        put(format!("language.model.layers.{i}.linear1.weight"), &[l.d_inner, 1]);
    }
    put("language.proj.weight".into(), &[l.d_model, 1]);
    put("vision.attention.k_encoder.0.0.weight".into(), &[v.unet_channels, 1]);
    put("vision.cls.weight".into(), &[config.num_classes, 1]);
    put("vision.attention.pos_encoder.pe".into(), &[config.max_length, 1]);
    put("alignment.cls.weight".into(), &[config.num_classes, 1]);
    all
}

fn hollow(shapes: Vec<(String, Vec<usize>)>) -> StateDict {
    let mut state = StateDict::default();
    for (name, shape) in shapes {
        let zeros = vec![0.0; shape.iter().product()];
        state.tensors.insert(name, HostTensor::from_f32(shape, &zeros).expect("a tensor"));
    }
    state
}

#[test]
fn sizes_of_the_released_networks_are_known_by_their_shapes() {
    let official = AbinetConfig::default();
    let mut state = hollow(shapes(&official, ""));
    let notes = settle(&mut state, &Given::default()).unwrap();
    assert!(notes[0].contains("vision.nhead 8, language.nhead 8"), "{notes:?}");
    assert_eq!(configuration(&state).unwrap(), serde_json::to_value(&official).unwrap());

    let official = LemmaConfig::default();
    let mut all = shapes(&official.position_prior, "position_prior.");
    let g = &official.guidance;
    let mut put = |name: String, shape: &[usize]| all.push((name, shape.to_vec()));
    put("block1.0.weight".into(), &[1]);
    put("block2.gru1.gru.weight_hh_l0".into(), &[1, official.hidden_units]);
    (0..official.srb_nums).for_each(|k| put(format!("block{}.conv1.weight", k + 2), &[1]));
    put("stn_head.stn_fc2.weight".into(), &[1]);
    for (list, count) in [("text_Encoder", g.encoder_layers), ("text_decoder", g.decoder_layers)] {
        for i in 0..count {
            put(format!("guidanceGen.{list}.layers.{i}.linear1.weight"), &[g.d_inner, 1]);
        }
    }
    for (i, n) in g.attn_conv.iter().enumerate() {
        put(format!("guidanceGen.attn_conv.{}.weight", 3 * i), &[*n]);
    }
    let mut state = hollow(all);
    let notes = settle(&mut state, &Given::default()).unwrap();
    assert!(notes[0].contains("guidance.nhead 4, guidance.select_num 500"), "{notes:?}");
    assert_eq!(configuration(&state).unwrap(), serde_json::to_value(&official).unwrap());
}

/// The reader that ships with `classes` classes, those above its own never seen but one: `winner` gets the score of 'e'.
fn widened(classes: usize, winner: usize) -> StateDict {
    let mut state = StateDict::read(READER).unwrap();
    state.metadata.clear();
    let e = 5;
    for (name, tensor) in state.tensors.clone() {
        let Some(axis) = tensor.shape().iter().position(|n| *n == 37) else { continue };
        let (shape, values) = (tensor.shape().to_vec(), tensor.to_f32().unwrap());
        let (outer, inner): (usize, usize) =
            (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        let mut wide = Vec::new();
        for o in 0..outer {
            for c in 0..classes {
                let from = match c {
                    c if c == winner => e,
                    c if c == e => winner,
                    c => c,
                };
                let own = &values[(o * 37 + from.min(36)) * inner..][..inner];
                let never = if name.ends_with("cls.bias") { -1e4 } else { 0.0 };
                match from < 37 {
                    true => wide.extend_from_slice(own),
                    false => wide.extend(vec![never; inner]),
                }
            }
        }
        let mut shape = shape;
        shape[axis] = classes;
        state.tensors.insert(name, HostTensor::from_f32(shape, &wide).unwrap());
    }
    state
}

fn reading(reader: &Recognizer) -> Reading {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/demo/exit.png"));
    let image: RgbImage =
        lemma_gpu::data::picture::decode(&bytes.unwrap(), "exit.png").unwrap().image;
    reader.read(&[image], Head::Vision).unwrap().remove(0)
}

#[test]
fn classes_need_their_characters_and_then_all_of_them_are_read() {
    let engine = engine();
    // The same classes under other numbers: class 41 of 63 is read where the shipped reader sees an e.
    let state = widened(63, 41);
    let heads = json!({"vision": {"nhead": 2}, "language": {"nhead": 4}});
    let error = settle(&mut state.clone(), &given(heads.clone())).unwrap_err().to_string();
    assert!(error.contains("for charset_chars") && error.contains("hint: --charset"), "{error}");
    let charset: String = ('!'..='~').take(62).collect();
    let whole = Given { config: Some(heads), charset: Some(charset.clone()) };
    let mut settled = state.clone();
    settle(&mut settled, &whole).unwrap();
    let plain = reading(&Recognizer::load(&engine, Source::Shipped).unwrap());
    assert_eq!(plain.text(), "exit");
    let own = reading(&Recognizer::load(&engine, settled.clone()).unwrap());
    let character = |class: usize| charset.chars().nth(class - 1).unwrap();
    let expected: String = [41, 24, 9, 20].map(character).iter().collect();
    assert_eq!(own.text(), expected);
    assert!((own.confidence - plain.confidence).abs() < 1e-3);
    // Whatever a file says, there is a character for each class, and none that a terminal would obey.
    let with = |charset: &str| {
        let given = Given { charset: Some(charset.into()), ..Given::default() };
        settle(&mut settled.clone(), &given).unwrap_err().to_string()
    };
    assert!(with("abc").contains("expected 4: 3 characters and the end, got 63"));
    let evil: String = charset.chars().skip(1).chain(['\u{1b}']).collect();
    assert!(with(&evil).contains("none that controls a terminal"), "{}", with(&evil));
    let twice: String = charset.chars().skip(1).chain(['~', '~']).skip(1).collect();
    assert!(with(&twice).contains("twice"), "{}", with(&twice));
    let mut lying = settled.clone();
    let config = lying.metadata["config"].replace("\"num_classes\":63", "\"num_classes\":37");
    lying.metadata.insert("config".into(), config);
    assert!(Recognizer::load(&engine, lying).is_err());
}

#[test]
fn a_tensor_that_was_left_out_is_missed_with_its_reason() {
    let mut state = StateDict::read(READER).unwrap();
    state.tensors.remove("vision.cls.bias");
    let what = "tensor F8_E4M3 [37], a type that is not read";
    state.source.others.push(("vision.cls.bias".into(), what.into()));
    let error = Recognizer::load(&engine(), state).map(drop).unwrap_err().to_string();
    assert!(error.contains(&format!("missing: vision.cls.bias: left out, {what}")), "{error}");
}

#[test]
fn a_small_file_that_claims_a_large_model_is_refused_at_once() {
    let engine = engine();
    let start = Instant::now();
    let mut config = LemmaConfig::default();
    let vision = &mut config.position_prior.vision;
    (vision.resnet_planes, vision.resnet_blocks) = ([2048; 5], [64; 5]);
    (vision.d_model, vision.d_inner, vision.encoder_layers) = (2048, 2048, 64);
    let language = &mut config.position_prior.language;
    (language.d_model, language.d_inner, language.num_layers) = (2048, 2048, 64);
    let mut state = StateDict::default();
    for name in ["block1.0.weight", "position_prior.vision.cls.weight"] {
        state.tensors.insert(name.into(), HostTensor::from_f32([1], &[0.0]).unwrap());
    }
    state.metadata.insert("config".into(), serde_json::to_string(&config).unwrap());
    let error = Lemma::load(&engine, state).map(drop).unwrap_err().to_string();
    assert!(error.contains("missing, 2 misshapen") && error.contains("and "), "{error}");
    let mut state = StateDict::default();
    for name in ["vision.cls.weight", "alignment.cls.weight"] {
        state.tensors.insert(name.into(), HostTensor::from_f32([1], &[0.0]).unwrap());
    }
    let text = serde_json::to_string(&config.position_prior).unwrap();
    state.metadata.insert("config".into(), text);
    assert!(Recognizer::load(&engine, state).is_err());
    // Ten thousand names are walked in milliseconds; their values would take gigabytes and minutes.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
