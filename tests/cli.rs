//! The command as a user drives it: the built binary, files on disk, exit codes, pipes and signals.

use image::{DynamicImage, GenericImageView, ImageFormat, RgbImage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[path = "common/command.rs"]
mod command;
use command::*;
#[path = "common/skip.rs"]
mod skip;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/lemma-nano.safetensors");
const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/abinet-nano.safetensors");
const PTH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pth");

/// A JPEG whose EXIF says that it has to be turned a quarter clockwise.
fn exif_turned(upright: &DynamicImage) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
    upright.rotate270().write_with_encoder(encoder).expect("an image in memory");
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01".to_vec();
    // Tag 0x0112, orientation: one 16-bit value, 6; then no further directory.
    exif.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let segment = [&[0xFF, 0xE1], &length[..], &exif].concat();
    jpeg.splice(2..2, segment);
    jpeg
}

fn size(path: PathBuf) -> (u32, u32) {
    image::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).dimensions()
}

/// Every kind of input, each the same word.
fn every_kind() -> Vec<(&'static str, Vec<u8>)> {
    let rgb = coffee().into_rgb8();
    let word = DynamicImage::from(rgb.clone());
    let png = |image: DynamicImage| encoded(&image, ImageFormat::Png);
    vec![
        ("bmp.bmp", encoded(&word, ImageFormat::Bmp)),
        ("exif.jpg", exif_turned(&word)),
        ("gray.png", png(word.to_luma8().into())),
        ("gray16.png", png(word.to_luma16().into())),
        ("graya.png", png(word.to_luma_alpha8().into())),
        ("jpeg.jpeg", encoded(&word, ImageFormat::Jpeg)),
        ("rgb.PNG", png(word.clone())),
        ("sub/rgba.png", png(word.to_rgba8().into())),
        ("sub/deeper/rgba16.png", png(word.to_rgba16().into())),
        ("tall.png", png(word.rotate90())),
        ("webp.webp", encoded(&word, ImageFormat::WebP)),
    ]
}

#[test]
fn a_folder_of_every_kind_goes_through() {
    let mut inputs = every_kind();
    let kinds: Vec<&str> = inputs.iter().map(|i| i.0).collect();
    let rgb = coffee().into_rgb8();
    let line = RgbImage::from_fn(160, 16, |x, y| *rgb.get_pixel(x % 64, y));
    let dot = RgbImage::from_pixel(1, 1, image::Rgb([9, 200, 90]));
    inputs.push(("line.png", encoded(&line.into(), ImageFormat::Png)));
    inputs.push(("dot.png", encoded(&dot.into(), ImageFormat::Png)));
    inputs.push(("sub/bad.png", inputs[2].1[..90].to_vec()));
    inputs.push(("notes.txt", b"not an image".to_vec()));
    let at = folder(&inputs.iter().map(|(n, b)| (*n, b.clone())).collect::<Vec<_>>());
    let at = at.path();
    for (name, _) in &inputs {
        let (from, to) = (at.join(name), at.join("in").join(name));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(from, to).unwrap();
    }
    let args = "infer -i in -o out --recursive --text --json r.json --sheet sheets --maps maps";
    let all: Vec<&str> = args.split(' ').collect();
    let first = run(at, &all).ends(
        1,
        &["sub/bad.png", "note: 1 file left alone", "13 images done", "1 failed", "limited by"],
    );

    // Same names, whole images, of the size that the fit gives.
    let mut expected: Vec<String> = kinds.iter().map(|k| k.to_string()).collect();
    expected.extend(["line.png".into(), "dot.png".into()]);
    expected.sort();
    assert_eq!(files(&at.join("out")), expected);
    for name in &expected {
        let wide = if name == "line.png" { (320, 32) } else { (128, 32) };
        assert_eq!(size(at.join("out").join(name)), wide, "{name}");
    }
    let format = |name: &str| image::guess_format(&fs::read(at.join("out").join(name)).unwrap());
    assert_eq!(format("jpeg.jpeg").unwrap(), ImageFormat::Jpeg);
    assert_eq!(format("webp.webp").unwrap(), ImageFormat::WebP);
    assert_eq!(format("bmp.bmp").unwrap(), ImageFormat::Bmp);

    // The text: a line for each image that went through, in the order of the names.
    let text = first.text();
    let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split('\t').collect()).collect();
    assert_eq!(lines.len(), expected.len());
    let names: Vec<&str> = lines.iter().map(|l| l[0]).collect();
    assert!(names.is_sorted() && names[0] == "in/bmp.bmp", "{names:?}");
    for line in &lines {
        let confidence: f64 = line[2].parse().expect("a number");
        assert!((0.0..=1.0).contains(&confidence));
        if kinds.contains(&&line[0]["in/".len()..]) {
            assert_eq!(line[1], "coffee", "{}", line[0]);
        }
    }

    // The report says the same and more.
    let report: Value = serde_json::from_slice(&fs::read(at.join("r.json")).unwrap()).unwrap();
    assert_eq!(report["totals"]["images"], 14);
    assert_eq!(report["totals"]["failed"], 1);
    assert_eq!(report["totals"]["turned"], 1);
    assert!(report["adapter"]["name"].is_string());
    assert_eq!(report["model"]["weights"], "shipped");
    let images: BTreeMap<&str, &Value> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| (i["input"].as_str().unwrap(), i))
        .collect();
    let rgb = images["in/rgb.PNG"];
    assert_eq!(rgb["text"], "coffee");
    assert_eq!(rgb["characters"].as_array().unwrap().len(), 6);
    assert_eq!(rgb["characters"][0]["character"], "c");
    assert!(rgb["milliseconds"]["device"].as_f64().unwrap() > 0.0);
    assert_eq!(images["in/line.png"]["fit"], "split");
    assert!(images["in/line.png"]["windows"].as_u64().unwrap() > 1);
    assert_eq!(images["in/tall.png"]["turned"], true);
    assert_eq!(images["in/exif.jpg"]["turned"], false);
    assert_eq!(images["in/exif.jpg"]["input_size"], serde_json::json!([64, 16]));
    assert!(images["in/sub/bad.png"]["error"].as_str().unwrap().contains("PNG"));
    assert!(images["in/sub/bad.png"]["output"].is_null());

    // Figures under names of their own.
    let sheets = files(&at.join("sheets"));
    assert_eq!(sheets.len(), 13);
    assert!(
        sheets.contains(&"sub/deeper/rgba16.png".into()) && sheets.contains(&"jpeg.png".into())
    );
    assert!(size(at.join("sheets/rgb.png")).0 > 400);
    let maps = files(&at.join("maps"));
    for name in ["rgb-selected.png", "rgb-characters.png", "line-characters-2.png"] {
        assert!(maps.contains(&name.into()), "{name} in {maps:?}");
    }

    // Again: nothing is touched unless asked for.
    run(at, &all).ends(2, &["exist already", "--overwrite", "--skip-existing"]);
    fs::remove_file(at.join("in/sub/bad.png")).unwrap();
    let skipping = ["infer", "-i", "in", "-o", "out", "--recursive", "--skip-existing"];
    run(at, &skipping).ends(0, &["nothing to do: the results of all 13 images are there"]);
    // One more image, very long; only that is done.
    let long = RgbImage::from_fn(10_000, 20, |x, y| *coffee_at(&rgb_image(), x, y));
    fs::write(at.join("in/long.png"), encoded(&long.into(), ImageFormat::Png)).unwrap();
    fs::write(at.join("out/dot.png"), "mine").unwrap();
    let stretched = [&skipping[..], &["--fit", "stretch"]].concat();
    run(at, &stretched).ends(0, &["1 image done", "13 skipped"]);
    assert_eq!(size(at.join("out/long.png")), (128, 32));
    assert_eq!(fs::read(at.join("out/dot.png")).unwrap(), b"mine");
}

fn rgb_image() -> RgbImage {
    coffee().into_rgb8()
}

fn coffee_at(word: &RgbImage, x: u32, y: u32) -> &image::Rgb<u8> {
    word.get_pixel(x / 4 % 64, y % 16)
}

#[test]
fn one_image_goes_where_it_is_told() {
    let at = folder(&[word("in.png")]);
    let at = at.path();
    // Standard input to standard output, in the format asked for.
    let piped = |args: &[&str]| {
        let mut child = command(at, args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&word("").1).unwrap();
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        Ran { code: output.status.code(), out: output.stdout, err }
    };
    let out = piped(&["infer", "-i", "-", "-o", "-", "-q", "-f", "webp"]).ends(0, &[]);
    assert_eq!(image::guess_format(&out.out).unwrap(), ImageFormat::WebP);
    let through = image::load_from_memory(&out.out).unwrap();
    assert_eq!(through.dimensions(), (128, 32));
    assert_eq!(out.err, "");

    // A file to a file, over one that is there; the same picture.
    fs::write(at.join("out.bmp"), "old").unwrap();
    run(at, &["infer", "-i", "in.png", "-o", "out.bmp"]).ends(2, &["out.bmp", "--overwrite"]);
    assert_eq!(fs::read(at.join("out.bmp")).unwrap(), b"old");
    let over = ["infer", "-i", "in.png", "-o", "out.bmp", "--overwrite", "--json", "-"];
    let report = run(at, &over).ends(0, &["in.png → out.bmp", "64×16 → 128×32", "stretched"]);
    let report: Value = serde_json::from_str(&report.text()).unwrap();
    assert_eq!(report["images"][0]["output"], "out.bmp");
    assert_eq!(image::open(at.join("out.bmp")).unwrap().into_rgb8(), through.into_rgb8());

    // Only the text, by the model's own files: as the model inside reads it.
    let given = ["infer", "-i", "in.png", "--text", "-m", SHIPPED, "--recognizer", READER];
    assert!(run(at, &given).ends(0, &[]).text().starts_with("in.png\tcoffee\t0."));
    assert_eq!(files(at), ["in.png", "out.bmp"]);
}

#[test]
fn the_recognizer_reads_alone() {
    let at = folder(&[word("a.png"), word("b/c.png"), ("bad.png", vec![1, 2, 3])]);
    let args = ["read", "-i", ".", "--recursive", "--json", "r.json"];
    let read = run(at.path(), &args).ends(1, &["bad.png", "not an image", "2 images done"]);
    let text = read.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("./a.png\tcoffee\t0."), "{text}");
    assert!(lines[1].starts_with("./b/c.png\tcoffee\t0."), "{text}");
    let report: Value =
        serde_json::from_slice(&fs::read(at.path().join("r.json")).unwrap()).unwrap();
    assert_eq!(report["model"]["head"], "fusion");
    let vision = run(at.path(), &["read", "-i", "a.png", "--head", "vision", "--json", "-"]);
    let vision: Value = serde_json::from_str(&vision.ends(0, &[]).text()).unwrap();
    assert_eq!(vision["model"]["head"], "vision");
    assert_eq!(vision["images"][0]["text"], "coffee");
    run(at.path(), &["read", "-i", "a.png", "-m", SHIPPED])
        .ends(1, &["lemma-nano", "expected a checkpoint of ABINet", "got a checkpoint of LEMMA"]);
}

/// Jobs that share a folder leave together what one leaves, and start again where they were.
#[test]
fn parts_of_a_folder_are_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("in")).unwrap();
    for i in 0..5 {
        fs::write(at(&format!("in/{i}.png")), encoded(&coffee(), ImageFormat::Png)).unwrap();
    }
    let texts = |args: &[&str]| run(folder.path(), args).ends(0, &[]).text();
    let parts = ["1/3", "2/3", "3/3"].map(|part| texts(&["read", "in", "--shard", part]));
    assert_eq!(parts.concat(), texts(&["read", "in"]));
    assert_eq!(parts.map(|part| part.lines().count()), [1, 2, 2]);

    let infer = |part: &str| {
        let args = ["infer", "in", "-o", "out", "--skip-existing", "--shard", part];
        run(folder.path(), &args).ends(0, &[]);
        fs::read_dir(at("out")).unwrap().count()
    };
    assert_eq!([infer("1/2"), infer("1/2"), infer("2/2")], [2, 2, 5]);
    // There may be more jobs than images.
    assert_eq!(texts(&["read", "in", "--shard", "1/9"]), "");
    run(folder.path(), &["read", "in", "--shard", "0/2"]).ends(2, &["counted from 1"]);
}

/// Processes of one launcher would write into one folder.
#[test]
fn training_is_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut launched =
        command(folder.path(), &["train", "-s", "srcnn", "-d", "synth:", "-o", "run"]);
    launched.env("OMPI_COMM_WORLD_SIZE", "2");
    ran(launched).ends(2, &["got 2 (OMPI_COMM_WORLD_SIZE)"]);
    assert!(!folder.path().join("run").exists());
}

#[test]
fn halves_read_the_same() {
    let at = folder(&[word("coffee.png")]);
    let image = |precision: &str| {
        let args = ["infer", "-i", "coffee.png", "-o", "-", "-f", "png", "-q", "--precision"];
        run(at.path(), &[&args[..], &[precision]].concat())
    };
    let words = |precision: &str| {
        let args = ["infer", "-i", "coffee.png", "--text", "-q", "--precision", precision];
        let ran = run(at.path(), &args);
        let text = ran.text();
        (ran, text.split('\t').nth(1).map(String::from))
    };
    let (halves, word) = words("f16");
    let lacking = halves.code == Some(4) && halves.err.contains("shader-f16");
    if !skip::has_or_skips("f16", !lacking) {
        return;
    }
    halves.ends(0, &[]);
    assert_eq!(word.as_deref(), Some("coffee"));
    assert_eq!(words("f32").1, word);
    let [whole, half] = ["f32", "f16"].map(|precision| {
        let ran = image(precision).ends(0, &[]);
        image::load_from_memory(&ran.out).expect("a picture").to_rgb8()
    });
    let pairs = || whole.as_raw().iter().zip(half.as_raw());
    let most = pairs().map(|(a, b)| a.abs_diff(*b)).max();
    assert!(most <= Some(2), "{most:?} of 255");
    assert!(pairs().any(|(a, b)| a != b), "not a bit differs");
    let args =
        ["trace", "-m", SHIPPED, "-i", "x", "-o", "y", "--grad", "train", "--precision", "f16"];
    run(at.path(), &args).ends(2, &["expected f32, got f16"]);
}

#[test]
fn what_cannot_be_done_is_refused_before_the_work() {
    let at = folder(&[word("in/a.png"), ("empty/x.txt", vec![]), ("x.json", vec![])]);
    let refused = |args: &str, says: &[&str]| {
        let all: Vec<&str> = args.split(' ').filter(|a| !a.is_empty()).collect();
        let ran = run(at.path(), &all).ends(2, says);
        assert!(ran.out.is_empty());
    };
    refused("infer -i none.png -o x.png", &["none.png", "does not exist"]);
    refused("infer -i in/a.png", &["nothing to write", "-o OUT"]);
    refused("infer -i in/a.png -o x.tif", &["x.tif", "expected png", "got tif"]);
    refused("infer -i in/a.png -o x", &["got no extension", "/ at its end"]);
    refused("infer -i in/a.png -o x.png -f jpeg", &["x.png", "JPEG", "PNG"]);
    refused("infer -i in/a.png -o x.png -f tiff", &["tiff", "possible values", "png"]);
    refused("infer -i in/a.png -o x.png --fit squash", &["squash", "stretch"]);
    refused("infer -i in/a.png -o x.png -b 0", &["auto", "4096"]);
    refused("infer -i in/a.png -o - --text", &["standard output", "-o - and --text"]);
    refused("infer -i in/a.png -o in/a.png --overwrite", &["replace its input"]);
    refused("infer -i in/a.png -o empty/../in/a.png --overwrite", &["replace its input"]);
    refused("infer -i in -o in --overwrite", &["replace its input"]);
    refused("infer -i in -o in/../in --overwrite", &["replace its input"]);
    refused("infer -i in -o -", &["expected a folder"]);
    refused("infer -i in -o x.png", &["expected a folder"]);
    refused("infer -i in -o out --sheet out", &["two results"]);
    refused("infer -i in --json x.json", &["x.json", "exists already"]);
    refused("infer -i empty -o out", &["no images", "got 1 other file"]);
    refused("infer -i in/a.png -o x.png --skip-existing --overwrite", &["cannot be used with"]);
    refused("read -i in/a.png --text --json -", &["standard output"]);
    refused("infer", &["Usage: lemma-gpu infer", "--sheet"]);
    refused("", &["Usage: lemma-gpu", "infer", "Exit codes"]);
    assert_eq!(files(at.path()), ["empty/x.txt", "in/a.png", "x.json"]);
    run(at.path(), &["infer", "-i", "in", "-o", "out", "-m", "none.pth"]).ends(1, &["none.pth"]);
    run(at.path(), &["infer", "-i", "in", "-o", "out", "-m", READER])
        .ends(1, &["expected a checkpoint of LEMMA or ", "got a checkpoint of ABINet"]);
}

#[test]
fn without_a_usable_adapter_the_code_is_3() {
    let at = folder(&[word("a.png")]);
    let args = ["infer", "-i", "a.png", "-o", "b.png"];
    let mut unknown = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    unknown.current_dir(at.path()).args(args).args(["-g", "no such adapter"]);
    ran(unknown).ends(3, &["no such adapter"]);
    if cfg!(target_os = "linux") {
        let mut none = command(at.path(), &args);
        none.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        ran(none).ends(3, &["adapter", "sudo apt install mesa-vulkan-drivers", "dnf", "macOS"]);
    }
    assert_eq!(files(at.path()), ["a.png"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_whole_files_only() {
    interrupted("-INT", 130);
    interrupted("-TERM", 143);
}

#[cfg(unix)]
fn interrupted(signal: &str, code: i32) {
    let names: Vec<String> = (0..60).map(|i| format!("in/{i:02}.png")).collect();
    let at = folder(&names.iter().map(|n| word(n)).collect::<Vec<_>>());
    let args = ["infer", "-i", "in", "-o", "out", "-b", "1", "--json", "r.json"];
    let mut command = command(at.path(), &args);
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let out = at.path().join("out");
    let begun = std::time::Instant::now();
    while !out.is_dir() || files(&out).iter().filter(|f| !f.starts_with('.')).count() < 2 {
        assert!(begun.elapsed().as_secs() < 240, "no result after four minutes");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(err.contains("Ctrl-C again") && err.contains("not done"), "{err}");
    let written = files(&out);
    assert!((2..60).contains(&written.len()), "{} files", written.len());
    for name in &written {
        assert!(names.contains(&format!("in/{name}")), "{name}");
        assert_eq!(size(out.join(name)), (128, 32), "{name}");
    }
    let report = fs::read(at.path().join("r.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["totals"]["done"], written.len());
    assert_eq!(report["totals"]["interrupted"], 60 - written.len());
}

#[test]
fn info_tells_of_adapters_and_weights() {
    let at = Path::new(env!("CARGO_MANIFEST_DIR"));
    let adapters = run(at, &["info"]).ends(0, &[]).text();
    assert!(adapters.starts_with("0: ") && adapters.contains("max_buffer_size"), "{adapters}");
    // The list needs nothing that its command would.
    let list = Command::new(env!("CARGO_BIN_EXE_lemma-gpu")).args(["infer", "-glist"]).output();
    assert_eq!(String::from_utf8_lossy(&list.unwrap().stdout), adapters);
    let weights = run(at, &["info", SHIPPED]).ends(0, &[]).text();
    for part in ["LEMMA", "2590165", "sha256", "hidden_units", "abcdefghijklmnopqrstuvwxyz"] {
        assert!(weights.contains(part), "{part} in {weights}");
    }
    let memory = run(at, &["info", "--memory", "--batch", "8"]).ends(0, &[]).text();
    for part in ["8 images", "weights", "activations", "together"] {
        assert!(memory.contains(part), "{part} in {memory}");
    }
}

#[test]
fn convert_takes_the_good_and_refuses_the_bad() {
    let at = folder(&[]);
    let pth = |name: &str| format!("{PTH}/{name}");
    let table = run(at.path(), &["convert", &pth("lemma-zip.pth"), "x.safetensors"]).ends(0, &[]);
    assert!(table.text().contains("block1.0.weight"), "{}", table.text());
    let info = run(at.path(), &["info", "x.safetensors", "--tensors"]).ends(0, &[]).text();
    assert!(info.contains("block1.0.weight"));
    run(at.path(), &["convert", &pth("lemma-zip.pth"), "x.safetensors"]).ends(2, &["--overwrite"]);
    for (bad, says) in [
        ("evil-zip.pth", "posix"),
        ("evil-legacy.pth", "posix"),
        ("truncated-zip.pth", "truncated-zip.pth"),
        ("short-storage-zip.pth", "short-storage-zip.pth"),
        ("not-a-checkpoint.pth", "not-a-checkpoint.pth"),
    ] {
        run(at.path(), &["convert", &pth(bad), "y.safetensors"]).ends(1, &[bad, says]);
    }
    assert_eq!(files(at.path()), ["x.safetensors"]);
}

#[test]
fn shells_and_manuals_are_served() {
    let at = Path::new(env!("CARGO_MANIFEST_DIR"));
    for shell in ["bash", "zsh", "fish"] {
        let text = run(at, &["completions", shell]).ends(0, &[]).text();
        assert!(text.contains("skip-existing") && text.contains("stretch"), "{shell}");
    }
    let man = run(at, &["man"]).ends(0, &[]).text();
    assert!(man.contains(".TH") && man.contains("infer"));
    let infer = run(at, &["man", "infer"]).ends(0, &[]).text();
    assert!(infer.contains(r"lemma\-gpu\-infer") && infer.contains(r"\-\-sheet"), "{infer}");
    run(at, &["man", "nothing"]).ends(2, &["expected infer, read"]);
    let help = run(at, &["infer", "--help"]).ends(0, &[]).text();
    assert!(help.contains("standard input") && help.contains("--rotate"), "{help}");
}
