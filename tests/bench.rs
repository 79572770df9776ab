//! `lemma-gpu bench` as a user runs it.

use serde_json::Value;
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.arg("bench").args(arguments);
    if !arguments.contains(&"--seconds") {
        command.args(["--seconds", "0.05"]);
    }
    if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
        command.args(["--adapter", &adapter]);
    }
    command.output().expect("the program runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("JSON alone on standard output")
}

fn positive(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!(number > 0.0 && number.is_finite(), "{number}");
    number
}

#[test]
fn kernels_have_shares_of_what_the_adapter_can_do() {
    // Far from either bound on any adapter, since ranking compares each value with all others.
    let filter = "sort_descending [8, 1024]";
    let output = bench(&["--filter", filter, "--json", "-"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report = json(&output.stdout);
    let clock = report["kernel_clock"].as_str().expect("a clock");
    assert!(["gpu", "host"].contains(&clock), "{clock}");
    assert!(!report["adapter"]["driver"].as_str().expect("a driver").is_empty());
    let [flops, bandwidth] = ["flops", "bandwidth"].map(|k| positive(&report["peak"][k]));
    let kernels = report["kernels"].as_array().expect("kernels");
    assert_eq!(kernels.len(), 1, "{kernels:?}");
    let k = &kernels[0];
    let share = positive(&k["share"]);
    assert!(share <= 1.2, "{share}");
    let [work, bytes, seconds] = ["flops", "bytes", "seconds"].map(|key| positive(&k[key]));
    assert_eq!(work, 8.0 * 1024.0 * 1024.0);
    let bound = (work / flops).max(bytes / bandwidth);
    assert!((share * seconds / bound - 1.0).abs() < 1e-9, "{share} of {seconds} s");
    assert!(k["rounds"].as_u64() >= Some(3));
    assert!(report["models"].as_array().expect("models").is_empty());
}

/// A peak that is measured wrong by a hundred times shows in the shares: a large product and a large copy reach more than a
/// hundredth of what an adapter can do, and no kernel more than it can. On a CPU the copy lies partly in caches.
#[test]
fn peaks_bound_what_large_kernels_reach() {
    for (filter, least) in [("matmul [512, 512]", 0.02), ("layout permute [64, 1024, 64]", 0.01)] {
        let output = bench(&["--filter", filter, "--json", "-"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let report = json(&output.stdout);
        let kernels = report["kernels"].as_array().expect("kernels");
        assert_eq!(kernels.len(), 1, "{filter}: {kernels:?}");
        let share = positive(&kernels[0]["share"]);
        assert!((least..=1.5).contains(&share), "{filter}: {share} of the peak");
    }
}

#[test]
fn networks_are_timed_cold_and_warm_and_a_page_holds_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("new/bench.html");
    let page_name = page.to_str().expect("a name");
    let output = bench(&["--filter", "ABINet nano, batch 1", "--html", page_name]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("model ABINet nano, batch 1 ") && text.contains("p99 ms"), "{text}");
    let html = std::fs::read_to_string(&page).expect("the page");
    assert!(html.contains("<td>model ABINet nano, batch 1</td>"), "{html}");
    assert!(!html.contains("src=") && !html.contains("href="), "it loads something");

    let again = bench(&["--filter", "ABINet nano, batch 1", "--html", page_name]);
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
    assert!(stderr(&again).contains("--overwrite"), "{}", stderr(&again));
    assert_eq!(std::fs::read_to_string(&page).expect("the page"), html);
}

#[test]
fn a_profile_adds_up_along_the_modules() {
    let filter = "profile LEMMA nano, forward";
    let output = bench(&["--profile", "--batch", "1", "--filter", filter, "--json", "-"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report = json(&output.stdout);
    let profiles = report["profiles"].as_array().expect("profiles");
    assert_eq!(profiles.len(), 1);
    let tree = &profiles[0]["tree"];
    let below = tree["below"].as_array().expect("scopes");
    let names: Vec<&str> = below.iter().map(|b| b["name"].as_str().expect("a name")).collect();
    for module in ["position_prior", "guidanceGen", "block2", "block6"] {
        assert!(names.contains(&module), "{module} in {names:?}");
    }
    assert!(!names.contains(&"(itself)"), "every dispatch has a module: {names:?}");
    let sum: f64 = below.iter().map(|b| positive(&b["seconds"])).sum();
    let whole = positive(&tree["seconds"]);
    assert!((sum / whole - 1.0).abs() < 1e-9, "{sum} of {whole}");
    let kernels = profiles[0]["kernels"].as_array().expect("kernels");
    let dispatches: u64 = kernels.iter().filter_map(|k| k["dispatches"].as_u64()).sum();
    assert_eq!(Some(dispatches), tree["dispatches"].as_u64());
}

#[test]
fn a_step_that_takes_more_images_is_left_out_and_said() {
    let output = bench(&["--profile", "--batch", "1", "--filter", "training step"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("training step, batch 1: left out, since it takes 2 images"), "{text}");
}

#[test]
fn mistakes_are_named_before_anything_is_measured() {
    for (arguments, named) in [
        (&["--seconds", "0"][..], "a number above 0"),
        (&["--seconds", "nan"], "a number above 0"),
        (&["--batch", "0"], "--batch"),
        (&["--filter", "no such thing"], "no such thing"),
    ] {
        let output = bench(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(named), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_path_that_cannot_be_written_ends_it_early() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "kept").expect("a file");
    let below = file.join("bench.json");
    let output = bench(&["--json", below.to_str().expect("a name")]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("file"), "{}", stderr(&output));
    assert!(output.stdout.is_empty(), "nothing was measured");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "kept");
}

#[test]
fn tuning_is_kept_for_later_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().to_str().expect("a name");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
        command.args(arguments).args(["--cache", cache]);
        if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
            command.args(["--adapter", &adapter]);
        }
        let output = command.output().expect("the program runs");
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(run(&["info", "--tuning"]).contains("nothing was measured"));
    let tuned = run(&["tune", "--batch", "1"]);
    let kept = tuned.lines().last().and_then(|l| l.strip_prefix("kept in ")).expect("a file");
    let table = json(&std::fs::read(kept).expect("the file"));
    let choices = table["choices"].as_object().expect("choices");
    // The 3×3 convolutions of the trunk: 1024 pixels, 9 times 32 channels.
    assert!(choices.contains_key("windows 1024 288 32 1"), "{choices:?}");
    let shown = run(&["info", "--tuning"]);
    assert_eq!(tuned.lines().count(), shown.lines().count() + 1);
    assert!(shown.contains("windows"), "{shown}");
    assert!(run(&["info", "--tuning", "--no-tune"]).contains("nothing was measured"));
    // What was measured is not measured again.
    let again = run(&["tune", "--batch", "1"]);
    assert_eq!(again, tuned);
    // A driver's update makes it void.
    let text = std::fs::read_to_string(kept).expect("the file");
    std::fs::write(kept, text.replace("\"driver\": \"", "\"driver\": \"another "))
        .expect("written");
    assert!(run(&["info", "--tuning"]).contains("nothing was measured"));
    std::fs::write(kept, "{").expect("written");
    assert!(run(&["info", "--tuning"]).contains("nothing was measured"));
}

#[test]
fn tuning_without_a_folder_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"))
        .args(["tune", "--cache", "off"])
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("expected a folder, got off"), "{}", stderr(&output));
}
