//! Measures against the reference's stored figures, and `lemma-gpu eval` as a user runs it.

#[path = "common/evaluating.rs"]
mod evaluating;

use evaluating::{ROOT, eval, pairs, said, word};
use image::RgbImage;
use lemma_gpu::data::checkpoint::StateDict;
use lemma_gpu::data::metrics::{Fidelity, Values, psnr};
use lemma_gpu::data::picture;
use lemma_gpu::engine::enlarge;
use lemma_gpu::gpu::GpuOptions;
use lemma_gpu::models::procedural::images;
use lemma_gpu::{Engine, ErrorKind, Recognizer, Source};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

fn golden(name: &str) -> StateDict {
    StateDict::read(Path::new(ROOT).join(format!("tests/golden/{name}.safetensors"))).expect(name)
}

/// Images `[N, H, W, C]` of planes `[N, C, H, W]`.
fn channels_last(file: &StateDict, name: &str) -> (Vec<Vec<f32>>, usize) {
    let tensor = &file.tensors[name];
    let values: Vec<f32> = tensor.to_f32().expect("numbers");
    let (channels, pixels) = (tensor.shape()[1], tensor.shape()[2] * tensor.shape()[3]);
    let turned = |planes: &[f32]| {
        (0..pixels * channels).map(|i| planes[i % channels * pixels + i / channels]).collect()
    };
    (values.chunks_exact(channels * pixels).map(turned).collect(), channels)
}

fn engine() -> Engine {
    Engine::new(GpuOptions {
        adapter: std::env::var("LEMMA_GPU_ADAPTER").ok(),
        ..GpuOptions::default()
    })
    .expect("an adapter")
}

#[test]
fn psnr_and_ssim_equal_the_reference() {
    let file = golden("metrics");
    let info: Value = serde_json::from_str(&file.metadata["info"]).unwrap();
    let figure = |v: &Value| [v[0].as_f64().unwrap(), v[1].as_f64().unwrap()];
    let (sr, channels) = channels_last(&file, "sr");
    let high = file.tensors["hr_u8"].bytes().to_vec();
    let bytes = 3 * 32 * 128;
    let turned = |image: &[u8]| -> Vec<f32> {
        (0..bytes).map(|i| f32::from(image[i % 3 * 4096 + i / 3]) / 255.0).collect()
    };
    let high: Vec<Vec<f32>> = high.chunks_exact(bytes).map(turned).collect();
    let compare = |images: &[Vec<f32>], channels| -> Vec<Fidelity> {
        let one = |(a, b): (&Vec<f32>, &Vec<f32>)| {
            Fidelity::of(Values { data: a, channels }, Values { data: b, channels: 3 }, 128)
        };
        images.iter().zip(&high).map(one).collect()
    };
    let near = |found: Fidelity, want: [f64; 2]| {
        let errors = [(found.psnr() - want[0]).abs(), (found.ssim - want[1]).abs()];
        println!("PSNR off by {:.1e}, SSIM by {:.1e}", errors[0], errors[1]);
        assert!(errors[0] < 1e-5 && errors[1] < 1e-6, "{found:?} for {want:?}");
    };
    let each = compare(&sr, channels);
    for (found, want) in each.iter().zip(info["sr_each"].as_array().unwrap()) {
        near(*found, figure(want));
    }
    near(Fidelity::mean(&each), figure(&info["sr_batch_psnr_ssim"]));
    assert!((psnr(Fidelity::mean(&each).error) - 18.7398706800).abs() < 1e-5);

    // The baseline, of the first images of the procedural pool.
    let low = images(1, "input:lr", 4, 16, 64, 8);
    let rgb: Vec<f32> = low.iter().map(|b| f32::from(*b) / 255.0).collect();
    let engine = engine();
    let up = enlarge(&engine, &rgb).expect("runs");
    let first = &channels_last(&file, "lr_up").0[0];
    for (i, pixel) in up[..bytes].chunks_exact(3).enumerate() {
        assert!((0..3).all(|c| (pixel[c] - first[4 * i + c]).abs() < 2e-6), "pixel {i}");
    }
    let up: Vec<Vec<f32>> = up.chunks_exact(bytes).map(<[f32]>::to_vec).collect();
    near(Fidelity::mean(&compare(&up, 3)), figure(&info["lr_batch_psnr_ssim"]));
    assert_eq!(enlarge(&engine, &rgb[1..]).unwrap_err().kind(), ErrorKind::Shape);
}

#[test]
fn a_recognizer_reads_values_as_images() {
    let judge = Recognizer::load(&engine(), Source::Shipped).expect("loads");
    let read = |values: &[f32], size| judge.read_values(values, size, Default::default());
    let word = word("coffee");
    let high = picture::bicubic(&word, 128, 32);
    let both = [picture::rgb_input(&high), picture::rgb_input(&high)].concat();
    let readings = read(&both, (32, 128)).unwrap();
    assert_eq!(readings, judge.read(&[high.clone(), high], Default::default()).unwrap());
    assert_eq!(readings[0].text(), "coffee");
    assert_eq!(read(&picture::rgb_input(&word), (16, 64)).unwrap()[0].text(), "coffee");
    assert!(read(&[], (16, 64)).unwrap().is_empty());
    for (values, size) in [(&both[1..], (32, 128)), (&both[..], (16, 32)), (&both[..], (0, 0))] {
        assert_eq!(read(values, size).unwrap_err().kind(), ErrorKind::Shape);
    }
}

#[test]
fn a_user_evaluates_three_sets() {
    let at = tempfile::tempdir().unwrap();
    pairs(at.path(), "easy", &[("coffee", "Coffee!"), ("exit", "EXIT"), ("harbor", "wrong")]);
    pairs(at.path(), "medium", &[("station", "STATION")]);
    pairs(at.path(), "hard", &[("garden", "<b>gardens</b>"), ("year", "?")]);
    let args = ["--data", "easy", "medium", "hard", "--json", "out/all.json", "--html"];
    let output = eval(&at, &[&args[..], &["out/report.html", "--save-images", "seen"]].concat());
    let text = said(&output, 0);
    for part in ["PSNR per image", "average as in the paper", "only LR right", "easy 3, there 1619"]
    {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    let json = fs::read(at.path().join("out/all.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let sets = json["sets"].as_array().unwrap();
    let words = |i: usize| sets[i]["readability"]["all"]["words"].as_u64().unwrap();
    assert_eq!([words(0), words(1), words(2)], [3, 1, 2]);
    assert_eq!(sets[2]["unusual_labels"]["without a letter or digit"], 1);
    let accuracy = |i: usize| sets[i]["readability"]["all"]["sr"]["rounded"].as_f64().unwrap();
    let average = (1619.0 * accuracy(0) + 1411.0 * accuracy(1) + 1343.0 * accuracy(2)) / 4373.0;
    let told = json["all"]["weighted_accuracy_lr_sr_hr"][1].as_f64().unwrap();
    assert!((told - average).abs() < 1e-12);
    let near = &json["published_nearness"][0];
    assert_eq!((&near["row"], &near["published"]["psnr"]), (&"BICUBIC".into(), &20.35.into()));
    let weighted = &json["all"]["bicubic_nearness_weighted"];
    assert_eq!(&near["ours"], weighted);
    assert!(accuracy(0) < 1.0 && sets[0]["bicubic"]["psnr"].as_f64().unwrap() > 20.0);

    let html = fs::read_to_string(at.path().join("out/report.html")).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("&lt;b&gt;gardens"));
    assert!(html.contains("<svg") && html.contains("data:image/png;base64,"));
    // Letters of an image in base64 may spell anything.
    let html: String =
        html.split("base64,").map(|p| p.split_once('"').map_or(p, |p| p.1)).collect();
    let foreign = ["src=\"http", "href=", "url(", "<script", "@import", "NaN"];
    assert!(foreign.iter().all(|f| !html.contains(f)), "the page holds everything itself");

    // What was saved is a set again, with the same figures for the true images.
    let again = eval(&at, &["-d", "seen/easy", "--json", "-"]);
    let again: Value = serde_json::from_str(&said(&again, 0)).unwrap();
    assert_eq!(again["sets"][0]["super_resolved"], sets[0]["super_resolved"]);
    let labels = fs::read_to_string(at.path().join("seen/easy/labels.tsv")).unwrap();
    assert!(labels.contains("000001.png\tCoffee!\tcoffee\t"), "{labels}");

    // A second run replaces nothing.
    let refused = eval(&at, &["-d", "easy", "--json", "out/all.json"]);
    said(&refused, 2);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--overwrite"));
}

#[test]
fn any_source_of_words_is_a_set() {
    let at = tempfile::tempdir().unwrap();
    let fonts = Path::new(ROOT).join("src/data/picture/font");
    let fonts = fonts.to_str().unwrap();
    let mut synth = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    synth.current_dir(at.path()).args(["synth", "-o", "drawn", "-n", "3", "--fonts", fonts]);
    said(&synth.output().expect("the binary starts"), 0);
    let sharp = at.path().join("sharp");
    fs::create_dir(&sharp).unwrap();
    word("coffee").save(sharp.join("a.png")).unwrap();
    fs::write(sharp.join("labels.tsv"), "a.png\tcoffee\n").unwrap();

    let words = format!("synth:count=3,fonts={fonts}");
    let args = ["--data", "drawn", &words, "sharp", "--recognizer", "none", "--json", "-"];
    let json: Value = serde_json::from_str(&said(&eval(&at, &args), 0)).unwrap();
    let sets = json["sets"].as_array().unwrap();
    let images: Vec<u64> = sets.iter().map(|s| s["images"].as_u64().unwrap()).collect();
    assert_eq!(images, [3, 3, 1]);
    assert_eq!(sets[0]["super_resolved"], sets[1]["super_resolved"], "stored and drawn");
    said(&eval(&at, &["--data", "drawn", "drawn/data.mdb"]), 2);
}

#[test]
fn broken_samples_are_counted_and_the_rest_evaluated() {
    let at = tempfile::tempdir().unwrap();
    pairs(at.path(), "set", &[("coffee", "coffee"), ("exit", "exit"), ("year", "2026")]);
    let folder = at.path().join("set");
    fs::write(folder.join("lr/exit.png"), b"no image").unwrap();
    fs::remove_file(folder.join("hr/year.png")).unwrap();
    let tiny = RgbImage::new(1, 1);
    for side in ["lr", "hr"] {
        tiny.save(folder.join(side).join("tiny.png")).unwrap();
        RgbImage::new(10_000, 20).save(folder.join(side).join("long.png")).unwrap();
    }
    let mut labels = fs::read_to_string(folder.join("labels.tsv")).unwrap();
    labels += "no tab\ntiny.png\tx\nlong.png\tabcdefghijklmnopqrstuvwxyz\n../set.png\t\n";
    fs::write(folder.join("labels.tsv"), labels).unwrap();
    let output = eval(&at, &["--data", "set", "--recognizer", "none", "--json", "-"]);
    let json: Value = serde_json::from_str(&said(&output, 1)).unwrap();
    let set = &json["sets"][0];
    assert_eq!((&set["images"], &set["readability"]), (&Value::from(3), &Value::Null));
    assert_eq!(set["left_out"]["unreadable image"], 1);
    assert_eq!(set["left_out"]["missing image"], 3);
    assert_eq!(json["all"]["left_out"], 4);
    assert_eq!(set["unusual_labels"]["longer than 25 characters"], 1);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("left out: set: sample 2: unreadable image"), "{told}");
    assert!(told.contains("set/lr/exit.png: not an image"), "{told}");

    fs::remove_file(folder.join("lr/coffee.png")).unwrap();
    fs::write(folder.join("labels.tsv"), "coffee.png\tcoffee\n").unwrap();
    said(&eval(&at, &["--data", "set"]), 1);
    fs::write(folder.join("labels.tsv"), "").unwrap();
    for bad in [
        &["--data", "set"][..],
        &["--data", "nowhere"],
        &["--recognizer", "abinet"],
        &["--data", "set", "--recognizer", "crnn"],
    ] {
        said(&eval(&at, bad), 2);
    }
}
