//! The evaluation of the paper's tables as a user runs it: every figure counted again from what was read.

#[path = "common/evaluating.rs"]
mod evaluating;

use evaluating::{ROOT, eval, pairs, said, word};
use image::{RgbImage, imageops};
use lemma_gpu::data::degrade::Degradation;
use lemma_gpu::data::lmdb::Writer;
use lemma_gpu::data::metrics::{Fidelity, Values};
use lemma_gpu::data::picture;
use lemma_gpu::data::random::Random;
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};

mod recount {
    //! Figures of an evaluation, counted again from its words.

    use serde_json::Value;

    /// Letters and digits in lower case.
    pub fn plain(text: &str) -> String {
        text.to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric()).collect()
    }

    /// Records of words of a set, in their order.
    pub fn words(lines: &str, set: &str) -> Vec<Value> {
        let records = lines.lines().skip(1).map(|l| serde_json::from_str::<Value>(l).unwrap());
        records.filter(|r| r["set"] == set).map(|r| r["word"].clone()).collect()
    }

    /// Whether a judge read a word right: in LR, of method `m`, in HR.
    pub fn right(word: &Value, m: usize, j: usize) -> [bool; 3] {
        let texts = [&word["lr"][j], &word["methods"][m]["readings"][j], &word["hr"][j]];
        let label = plain(word["label"].as_str().unwrap());
        texts.map(|text| plain(text.as_str().unwrap()) == label)
    }

    /// PSNR and SSIM, means over batches of 64, of errors and similarities.
    pub fn nearness(words: &[Value], of: impl Fn(&Value) -> &Value) -> [f64; 2] {
        let batches: Vec<[f64; 2]> = words
            .chunks(64)
            .map(|batch| {
                let mean = |key: &str| {
                    let values = batch.iter().map(|w| of(w)[key].as_f64().unwrap());
                    values.sum::<f64>() / batch.len() as f64
                };
                [20.0 * (255.0 / mean("error").sqrt()).log10(), mean("ssim")]
            })
            .collect();
        [0, 1].map(|i| batches.iter().map(|b| b[i]).sum::<f64>() / batches.len() as f64)
    }
}

/// A path of the package.
fn package(path: &str) -> String {
    format!("{ROOT}/{path}")
}

#[test]
fn several_methods_and_judges_stand_in_one_table() {
    let at = tempfile::tempdir().unwrap();
    pairs(at.path(), "easy", &[("coffee", "It's"), ("exit", "EXIT!"), ("harbor", "#Harbor")]);
    pairs(at.path(), "medium", &[("station", "Station"), ("year", "?!"), ("garden", "garden")]);
    let lemma = package("weights/lemma-nano.safetensors");
    let readers = ["abinet-nano", "abinet-rendered"]
        .map(|name| package(&format!("weights/{name}.safetensors")));
    let (first, second) = (format!("crnn:{}", readers[0]), readers[1].as_str());
    let twin = format!("twin:{lemma}");
    let args = ["-d", "easy", "medium", "-m", &lemma, &twin, "--judge", &first, second];
    let output = eval(&at, &[&args[..], &["--json", "all.json", "--words", "words"]].concat());
    let text = said(&output, 0);
    for part in [
        "CRNN: words read right",
        "ABINet: words read right",
        "BICUBIC",
        "- A word is right",
        "easy 3, there 1619",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert!(!at.path().join("words.journal").exists());
    let lines = fs::read_to_string(at.path().join("words")).unwrap();
    let json = fs::read(at.path().join("all.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();

    // Every accuracy, from the readings.
    for set in json["sets"].as_array().unwrap() {
        let words = recount::words(&lines, set["name"].as_str().unwrap());
        assert_eq!((words.len(), &set["images"]), (3, &Value::from(3)));
        for (m, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let told = &set["methods"][m]["judges"][j]["readability"]["all"];
            for (version, name) in ["lr", "sr", "hr"].iter().enumerate() {
                let right = words.iter().filter(|w| recount::right(w, m, j)[version]).count();
                assert_eq!(told["right"][version], right, "{name}");
                let share = told[name]["rounded"].as_f64().unwrap();
                assert!((share - right as f64 / 3.0).abs() <= 5e-5);
            }
        }
        let [psnr, ssim] = recount::nearness(&words, |w| &w["methods"][1]);
        let told = &set["methods"][1]["nearness"];
        assert!((told["psnr"].as_f64().unwrap() - psnr).abs() < 1e-9);
        assert!((told["ssim"].as_f64().unwrap() - ssim).abs() < 1e-9);
        let twin = &set["methods"][1]["judges"][0];
        assert_eq!(twin["against_first"]["only_it_right"], 0);
        assert_eq!(twin["readability"], set["methods"][0]["judges"][0]["readability"]);
    }

    // Bins of length of both sets together: 3, 4, 6 and 7 characters, and one word without any.
    let all = &json["all"]["methods"][0]["judges"][0]["readability"];
    let bins = all["bins"].as_array().unwrap();
    let words: Vec<u64> = bins.iter().map(|b| b["words"].as_u64().unwrap()).collect();
    assert_eq!(words, [1, 0, 0, 1, 1, 0, 2, 1, 0, 0, 0, 0]);
    let right = |bin: &Value| bin["right"][1].as_u64().unwrap();
    assert_eq!(bins.iter().map(right).sum::<u64>(), right(&all["all"]));

    // What was published, beside ours.
    let rows: Vec<(&str, &str)> = json["published"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["judge"].as_str().unwrap(), r["row"].as_str().unwrap()))
        .collect();
    let retrained = "LEMMA, released re-training";
    let crnn = ["BICUBIC", "LEMMA", retrained, "HR"].map(|row| ("CRNN", row));
    assert_eq!(rows, [&crnn[..], &[("ABINet", "LEMMA")]].concat());
    let easy = &json["published"][1]["percent"]["easy"];
    assert_eq!(easy["published"], 67.1);
    let [ours, more] = ["ours", "difference"].map(|key| easy[key].as_f64().unwrap());
    assert!((ours - 67.1 - more).abs() < 1e-9);
    assert_eq!(json["published"][1]["percent"]["average"]["ours"], Value::Null);
    said(&eval(&at, &["-d", "easy", "--judge", "none", "abinet"]), 2);
    said(&eval(&at, &["-d", "easy", "-m", &lemma, &twin, "--key", "x"]), 2);
}

#[test]
fn images_of_another_program_are_evaluated() {
    let at = tempfile::tempdir().unwrap();
    let words = [("coffee", "coffee"), ("exit", "exit"), ("year", "2026")];
    pairs(at.path(), "set", &words);
    let made = at.path().join("made");
    fs::create_dir(&made).unwrap();
    let mut near = Vec::new();
    // One by the name of the sample with another ending, the others by their numbers.
    for ((word_name, _), file) in words.iter().zip(["coffee.bmp", "2.png", "000000003.png"]) {
        let image = imageops::resize(&word(word_name), 128, 32, imageops::FilterType::Triangle);
        image.save(made.join(file)).unwrap();
        let truth = image::open(at.path().join(format!("set/hr/{word_name}.png"))).unwrap();
        let [a, b] = [picture::rgb_input(&image), picture::rgb_input(&truth.into_rgb8())];
        let values = |data| Values { data, channels: 3 };
        near.push(Fidelity::of(values(&a), values(&b), 128));
    }
    let args = ["-d", "set", "--sr", "tool:made", "--recognizer", "none", "--json", "-"];
    let json: Value = serde_json::from_str(&said(&eval(&at, &args), 0)).unwrap();
    assert_eq!(json["methods"], serde_json::json!([{ "name": "tool", "from": "made" }]));
    let told = &json["sets"][0]["super_resolved"];
    assert!((told["psnr"].as_f64().unwrap() - Fidelity::mean(&near).psnr()).abs() < 1e-9);

    let refused = |says: &str| {
        let output = eval(&at, &args);
        said(&output, 2);
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(err.contains(says), "no {says:?} in:\n{err}");
    };
    fs::copy(made.join("2.png"), made.join("02.png")).unwrap();
    refused("two images of a sample");
    fs::remove_file(made.join("02.png")).unwrap();
    RgbImage::new(64, 16).save(made.join("2.png")).unwrap();
    refused("2.png: the size of a super-resolved image: expected 128×32, got 64×16");
    fs::remove_file(made.join("2.png")).unwrap();
    refused("got none of 1 of them: sample 2 (exit.png)");
    fs::remove_dir_all(&made).unwrap();
    refused("no such folder");
}

#[test]
fn an_evaluation_that_was_killed_goes_on_to_the_same_results() {
    let at = tempfile::tempdir().unwrap();
    pairs(at.path(), "set", &[("coffee", "coffee"), ("exit", "no"), ("year", "2026")]);
    let list = at.path().join("set/labels.tsv");
    let lines = fs::read_to_string(&list).unwrap();
    let (heading, lines) = lines.split_once('\n').unwrap();
    let many: String = lines.repeat(24) + "gone.png\tgone\n";
    fs::write(&list, format!("{heading}\n{many}")).unwrap();
    let results = |name: &str| ["json", "html", "words"].map(|kind| format!("{name}.{kind}"));
    let args = |name: &str| {
        let [json, html, words] = results(name);
        let all = ["-d", "set", "--json", &json, "--html", &html, "--words", &words];
        all.map(String::from).to_vec()
    };
    let run = |name: &str, more: &[&str], code: i32| {
        let args = args(name);
        let all: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let output = eval(&at, &all);
        said(&output, code);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    run("whole", &[], 1);

    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at.path()).arg("eval").args(args("killed")).stdin(Stdio::null());
    if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
        command.args(["-g", &adapter]);
    }
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let journal = at.path().join("killed.words.journal");
    let written = || fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    while written() <= 64 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(written(), 65, "killed between the first batch and the second");
    // As if it had been killed while it wrote, and then some.
    let text = fs::read_to_string(&journal).unwrap();
    let more = text.lines().nth(1).unwrap().replace("\"sample\":1,", "\"sample\":65,");
    fs::write(&journal, format!("{text}{more}\n{}", &more[..40])).unwrap();

    let begun = run("killed", &[], 2);
    assert!(begun.contains("--resume goes on with it"), "{begun}");
    let other = run("killed", &["--resume", "--recognizer", "none"], 2);
    assert!(other.contains("another: judges was"), "{other}");
    let resumed = run("killed", &["--resume"], 1);
    assert!(resumed.contains("64 of 73 images are done already"), "{resumed}");
    assert!(!journal.exists());
    for (whole, killed) in results("whole").iter().zip(results("killed")) {
        let [whole, killed] = [whole, &killed].map(|name| fs::read(at.path().join(name)).unwrap());
        assert!(whole == killed, "the same to the byte");
    }

    // And its figures are those of two batches.
    let lines = fs::read_to_string(at.path().join("whole.words")).unwrap();
    let words: Vec<Value> =
        recount::words(&lines, "set").into_iter().filter(|w| !w.is_null()).collect();
    assert_eq!(words.len(), 72);
    let json: Value =
        serde_json::from_slice(&fs::read(at.path().join("whole.json")).unwrap()).unwrap();
    let set = &json["sets"][0];
    assert_eq!(set["batches"], 2);
    for (told, found) in [
        (&set["bicubic"], recount::nearness(&words, |w| &w["bicubic"])),
        (&set["super_resolved"], recount::nearness(&words, |w| &w["methods"][0])),
    ] {
        let told = ["psnr", "ssim"].map(|key| told[key].as_f64().unwrap());
        assert!((0..2).all(|i| (told[i] - found[i]).abs() < 1e-9), "{told:?} {found:?}");
    }
    let none = eval(&at, &["-d", "set", "--resume"]);
    said(&none, 2);
}

#[test]
fn sets_of_scene_text_are_degraded_by_their_seeds() {
    let at = tempfile::tempdir().unwrap();
    let folder = at.path().join("SVT");
    fs::create_dir(&folder).unwrap();
    let images = [("coffee", 64, 16), ("exit", 80, 20), ("harbor", 30, 12)].map(|(name, w, h)| {
        (name, imageops::resize(&word(name), w, h, imageops::FilterType::CatmullRom))
    });
    let mut store = Writer::create(&folder.join("data.mdb")).unwrap();
    for (i, (label, image)) in images.iter().enumerate() {
        let bytes = picture::encode(image, picture::Format::Png).unwrap();
        store.put(format!("image-{:09}", i + 1).as_bytes(), &bytes).unwrap();
        store.put(format!("label-{:09}", i + 1).as_bytes(), label.as_bytes()).unwrap();
    }
    store.put(b"num-samples", b"3").unwrap();
    store.finish().unwrap();

    let args = ["-d", "SVT", "--protocol", "str", "--seeds", "2", "--words", "words"];
    let text =
        said(&eval(&at, &[&args[..], &["--save-images", "seen", "--json", "j"]].concat()), 0);
    assert!(text.contains("at most 1024 pixels"), "{text}");
    let json: Value = serde_json::from_slice(&fs::read(at.path().join("j")).unwrap()).unwrap();
    let rows = json["over_seeds"].as_array().unwrap();
    let images_of: Vec<u64> = rows.iter().map(|r| r["images"].as_u64().unwrap()).collect();
    assert_eq!(images_of, [3, 2], "all, and the small ones");
    assert_eq!(rows[0]["published"], serde_json::json!([3.3, 21.3, 647]));
    let lines = fs::read_to_string(at.path().join("words")).unwrap();
    for (row, small) in rows.iter().zip([false, true]) {
        for (version, told) in [&row["lr"], &row["methods"][0], &row["hr"]].iter().enumerate() {
            let each: Vec<f64> = (0..2)
                .map(|seed| {
                    let words = recount::words(&lines, &format!("SVT-seed{seed}"));
                    let pixels =
                        |w: &Value| w["size"][0].as_u64().unwrap() * w["size"][1].as_u64().unwrap();
                    let mut those: Vec<&Value> = words.iter().collect();
                    those.retain(|w| !small || pixels(w) <= 1024);
                    let right = those.iter().filter(|w| recount::right(w, 0, 0)[version]).count();
                    (right as f64 / those.len() as f64 * 1e4).round() / 1e4
                })
                .collect();
            assert_eq!(told["each"], serde_json::json!(each));
            let mean = (each[0] + each[1]) / 2.0;
            assert!((told["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
            let deviation = (each[0] - each[1]).abs() / 2f64.sqrt();
            assert!((told["deviation"].as_f64().unwrap() - deviation).abs() < 1e-12);
        }
    }

    // The poor images are those of their keys: seed, letters of the name, number.
    for (seed, i) in [(0, 0), (1, 1), (1, 2)] {
        let key: Vec<u64> =
            [seed].into_iter().chain(b"SVT".map(u64::from)).chain([i as u64 + 1]).collect();
        let poor = Degradation::Paper.apply(&images[i].1, &mut Random::new(&key));
        let file = at.path().join(format!("seen/SVT-seed{seed}/lr/{:06}.png", i + 1));
        assert_eq!(image::open(file).unwrap().into_rgb8(), picture::bicubic(&poor, 64, 16));
    }
}
