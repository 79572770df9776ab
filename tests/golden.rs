//! Whole models against tensors that the released PyTorch code computed in f64: the official sizes with procedural weights,
//! every named output and every submodule, and the shipped small models against their own reference.

#[path = "common/agreement.rs"]
mod agreement;
mod common;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/skip.rs"]
mod skip;

use agreement::{expect_agreement, expect_complete};
use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::engine::trace::{self, Activation, Detail, Subject};
use lemma_gpu::engine::{Engine, SuperResolver};
use lemma_gpu::gpu::{Gpu, GpuOptions, Precision};
use lemma_gpu::models::ModelKind;
use lemma_gpu::models::lemma;
use lemma_gpu::models::procedural::Procedural;
use lemma_gpu::models::word::Loading;
use lemma_gpu::ops::{Filter, resize};
use lemma_gpu::tensor::{Cx, Host, Tensor};
use reference::{golden, open};

fn shipped(name: &str) -> StateDict {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/weights");
    StateDict::read(format!("{folder}/{name}.safetensors")).expect("a weights file")
}

/// Every module by itself, and, of the pass as it runs, so many values that fusion leaves.
fn check(gpu: &Gpu, model: ModelKind, file: &str, apart: &[&str], least: usize, as_run: usize) {
    let reference = golden(file);
    let subject = Subject::Procedural(Procedural { model, seed: 1 });
    let run = |detail| trace::run(gpu, &subject, &reference, detail).expect("runs");
    let activations = run(Detail::EveryModule);
    expect_agreement(&activations, &reference, least);
    expect_complete(&activations, &reference, apart);
    expect_agreement(&run(Detail::AsRun), &reference, as_run);
}

#[test]
fn official_lemma() {
    let gpu = open();
    check(&gpu, ModelKind::Lemma, "lemma_eval", &["trace.", "input."], 2 * 603 + 18, 714);
}

#[test]
fn official_abinet() {
    let gpu = open();
    let apart = ["trace.", "input.", "grad.", "target."];
    check(&gpu, ModelKind::Abinet, "abinet_eval", &apart, 2 * 385 + 19, 511);
}

#[test]
fn official_text_focus_recognizer() {
    let gpu = open();
    let apart = ["trace.", "grad_of.", "lab."];
    check(&gpu, ModelKind::TextFocus, "transformer", &apart, 2 * 135 + 4, 138);
}

/// One of the systems that the file of all others holds: every module by itself, and, of the pass as it runs, so many values
/// that fusion leaves.
fn check_system(model: ModelKind, key: &str, apart: &[&str], as_run: usize) {
    let gpu = open();
    let reference = golden("baselines");
    let subject = Subject::Procedural(Procedural { model, seed: 1 });
    let run = |detail| trace::run(&gpu, &subject, &reference, detail).expect("runs");
    let activations = run(Detail::EveryModule);
    let mut own = reference.clone();
    own.tensors.retain(|name, _| name.starts_with(&format!("{key}.")));
    let info = trace::info(&reference).expect("info");
    let modules = info["systems"][key]["trace"].as_array().expect("a list of modules").len();
    own.metadata.insert("info".into(), info["systems"][key].to_string());
    let apart: Vec<String> =
        ["trace.", "grad"].iter().chain(apart).map(|a| format!("{key}.{a}")).collect();
    let apart: Vec<&str> = apart.iter().map(String::as_str).collect();
    expect_agreement(&activations, &reference, 2 * modules + 1);
    expect_complete(&activations, &own, &apart);
    expect_agreement(&run(Detail::AsRun), &reference, as_run);
}

#[test]
fn official_srcnn() {
    check_system(ModelKind::Srcnn, "srcnn", &[], 7);
}

#[test]
fn official_srresnet() {
    check_system(ModelKind::SrResNet, "srres", &[], 31);
}

#[test]
fn official_tsrn() {
    check_system(ModelKind::Tsrn, "tsrn", &[], 104);
}

#[test]
fn official_text_gestalt() {
    // Strokes are seen in training alone.
    check_system(ModelKind::TextGestalt, "tg", &["stroke."], 101);
}

#[test]
fn official_tbsrn() {
    check_system(ModelKind::Tbsrn, "tbsrn", &[], 114);
}

#[test]
fn official_pcan() {
    check_system(ModelKind::Pcan, "pcan", &[], 186);
}

#[test]
fn official_rcan() {
    check_system(ModelKind::Rcan, "rcan", &[], 440);
}

#[test]
fn official_san() {
    check_system(ModelKind::San, "san", &[], 667);
}

#[test]
fn official_tatt() {
    // Rotated images are seen in training alone.
    check_system(ModelKind::Tatt, "tatt", &["rot."], 175);
}

#[test]
fn official_c3() {
    check_system(ModelKind::C3, "c3", &[], 106);
}

/// A checkpoint of each network is recognized and super-resolves the images of the file as the network does in a trace.
#[test]
fn checkpoints_of_every_network() {
    let engine = Engine::new(GpuOptions { adapter: common::adapter(), ..Default::default() });
    let engine = engine.expect("an adapter");
    let reference = golden("baselines");
    let info = trace::info(&reference).expect("info");
    let values = |name: &str| {
        let t = &reference.tensors[name];
        let values = t.to_f32().expect("floats").into_iter().map(f64::from).collect();
        Host::new(t.shape(), values).permute(&[0, 2, 3, 1])
    };
    let input = values("input.lr").to_f32();
    for (kind, key, white) in [
        (ModelKind::Srcnn, "srcnn", 1.0),
        (ModelKind::SrResNet, "srres", 1.0),
        (ModelKind::Tsrn, "tsrn", 1.0),
        (ModelKind::TextGestalt, "tg", 1.0),
        (ModelKind::Tbsrn, "tbsrn", 1.0),
        (ModelKind::Pcan, "pcan", 1.0),
        (ModelKind::Rcan, "rcan", 255.0),
        (ModelKind::San, "san", 1.0),
    ] {
        let source = &Procedural { model: kind, seed: 1 };
        let learns: &dyn Fn(&str) -> bool = &|_| false;
        let loading = Loading { source, sizes: None, warps: true, frozen: Some(learns) };
        let (_, parameters) = kind.load(engine.gpu(), loading).expect("a network").expect("loads");
        let state = parameters.state_dict(engine.gpu()).expect("a state dict");
        let network = SuperResolver::load(&engine, state).expect("loads");
        assert_eq!(network.kind(), kind);
        let got = network.super_resolve(&input).expect("runs");
        let want = values(&format!("{key}.sr"));
        let planes = want.shape.last();
        let want: Vec<f32> =
            want.to_f32().chunks_exact(planes).flat_map(|p| [p[0], p[1], p[2]]).collect();
        let got: Vec<f32> = got.iter().map(|v| v * white).collect();
        let error = relative(&want, &got);
        let noise = info["dev32"][format!("{key}.sr")][1].as_f64().expect("its noise in f32");
        let bound = (10.0 * noise).max(1e-5);
        assert!(error <= bound, "{key}: {error:.2e} > {bound:.0e}");
    }
}

/// Bicubic as TextZoom has it among its networks: with aligned corners, unlike the enlargement that LEMMA's evaluation measures.
#[test]
fn official_bicubic() {
    let gpu = open();
    let reference = golden("baselines");
    let values = |name: &str| {
        let t = &reference.tensors[name];
        let values = t.to_f32().expect("floats").into_iter().map(f64::from).collect();
        Host::new(t.shape(), values).permute(&[0, 2, 3, 1])
    };
    let cx = Cx::new(&gpu);
    let image = values("input.lr").upload(&gpu);
    let got = resize(&cx, &image, (32, 128), Filter::Bicubic, true).expect("resizes");
    cx.submit().expect("submits");
    let got = got.to_host(&gpu).expect("reads").to_f32();
    let error = relative(&values("bicubic.sr").to_f32(), &got);
    assert!(error <= 1e-5, "{error:.2e}");
}

/// ‖got − want‖ / ‖want‖.
fn relative(want: &[f32], got: &[f32]) -> f64 {
    assert_eq!(want.len(), got.len());
    let square = |v: f32| f64::from(v) * f64::from(v);
    let difference: f64 = want.iter().zip(got).map(|(w, g)| square(w - g)).sum();
    (difference / want.iter().map(|v| square(*v)).sum::<f64>()).sqrt()
}

fn to_planes(image: &Host) -> Vec<f32> {
    image.permute(&[0, 3, 1, 2]).to_f32()
}

/// Errors of the production pass, with everything fused that a trace keeps apart: of its image and of its guidance.
fn errors_of_fused(
    network: &lemma::Network,
    gpu: &Gpu,
    reference: &StateDict,
    [input, image, guidance]: [&str; 3],
) -> [f64; 2] {
    let values = |name: &str| reference.tensors[name].to_f32().expect("floats");
    let planes = values(input).into_iter().map(f64::from).collect();
    let input = Host::new(reference.tensors[input].shape(), planes);
    let cx = Cx::new(gpu);
    let output = network.forward(&cx, &input.permute(&[0, 2, 3, 1]).upload(gpu)).expect("runs");
    cx.submit().expect("submits");
    let hosts = Tensor::read_all(gpu, &[&output.image, &output.guidance.map]).expect("reads");
    [(image, &hosts[0]), (guidance, &hosts[1])]
        .map(|(name, host)| relative(&values(name), &to_planes(host)))
}

const NAMES: [&str; 3] = ["input.lr", "sr", "tp_map"];

fn official(gpu: &Gpu) -> lemma::Network {
    let weights = Procedural { model: ModelKind::Lemma, seed: 1 };
    lemma::Network::with_config(gpu, &weights, lemma::LemmaConfig::default()).expect("loads")
}

/// The device with weights and activations stored as f16; none where what needs it is skipped.
fn open_in_halves() -> Option<Gpu> {
    let features = open().summary().features.clone();
    let precision = Precision::F16;
    let options = GpuOptions { adapter: common::adapter(), precision, ..Default::default() };
    skip::has_or_skips("f16", features.contains(&"shader-f16"))
        .then(|| Gpu::new(options).expect("an adapter with shader-f16"))
}

/// With weights and activations stored as f16, whose own error is 5e-4. The official sizes have procedural weights, which
/// carry rounding further than trained ones do; the guidance takes other pixels where scores are close.
#[test]
fn lemma_in_halves() {
    let Some(gpu) = open_in_halves() else { return };
    let nano = lemma::Network::load(&gpu, &shipped("lemma-nano")).expect("loads");
    for (what, network, file, names, bounds) in [
        ("official", official(&gpu), "lemma_eval", NAMES, [2e-2, 3e-2]),
        ("shipped", nano, "parity-nano", ["input", "sr", "guidance"], [1.5e-3, 3e-2]),
    ] {
        let errors = errors_of_fused(&network, &gpu, &golden(file), names);
        for ((name, error), bound) in names[1..].iter().zip(errors).zip(bounds) {
            assert!(error <= bound, "{what} {name}: {error:.2e} > {bound:.0e}");
            assert!(error > 1e-5, "{what} {name}: {error:.2e} is not the error of halves");
        }
    }
}

/// The shipped models against reference outputs that PyTorch computed in f32.
#[test]
fn shipped_models() {
    let gpu = open();
    let reference = golden("parity-nano");
    let bound = 1e-5;
    let compare = |activations: &[Activation], pairs: &[(&str, &str)]| {
        for (ours, theirs) in pairs {
            let a = activations.iter().find(|a| a.name == *ours).expect("an activation");
            let want = reference.tensors[*theirs].to_f32().expect("numbers");
            let error = relative(&want, &a.value.to_f32());
            assert!(error <= bound, "{theirs}: {error:.2e} > {bound:.0e}");
        }
    };
    let state = shipped("lemma-nano");
    let lemma = trace::run(&gpu, &Subject::State(&state), &reference, Detail::AsRun).expect("runs");
    compare(
        &lemma,
        &[
            ("prior.input", "prior_input"),
            ("prior.img_logits", "img_logits"),
            ("prior.text_logits", "text_logits"),
            ("prior.vision_lengths", "vision_lengths"),
            ("prior.lengths", "pt_lengths"),
            ("prior.attn_map", "attn_map"),
            ("tp_map", "guidance"),
            ("sr", "sr"),
        ],
    );
    let state = shipped("abinet-nano");
    let abinet =
        trace::run(&gpu, &Subject::State(&state), &reference, Detail::AsRun).expect("runs");
    compare(&abinet, &[("iter1.alignment.logits", "abinet_logits")]);
}
