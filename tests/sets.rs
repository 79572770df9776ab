//! Sets of words as other tools lay them out: files of labels, LMDBs of every version, folders of sets.

use lemma_gpu::ErrorKind;
use lemma_gpu::data::lmdb::Reader;
use lemma_gpu::data::words::{
    Layout, Loader, LoaderOptions, Mix, Order, Reason, Rules, Store, open,
};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const WORDS: [&str; 3] = ["coffee", "exit", "station"];

/// The error of what must not open.
#[track_caller]
fn refused(path: &Path) -> String {
    let e = open(path.to_str().unwrap()).err().expect("an error");
    let text = e.to_string();
    assert!(text.lines().count() <= 2 && !text.contains('\0'), "{text}");
    text
}

fn word(name: &str) -> Vec<u8> {
    fs::read(format!("{ROOT}/weights/demo/{name}.png")).unwrap()
}

/// A folder of images with a file of labels.
fn labeled(at: &Path, labels: &str, content: &[u8]) {
    fs::create_dir_all(at).unwrap();
    WORDS.iter().for_each(|w| fs::write(at.join(format!("{w}.png")), word(w)).unwrap());
    fs::write(at.join(labels), content).unwrap();
}

#[test]
fn the_label_files_of_other_tools_are_read() {
    let root = tempfile::tempdir().unwrap();
    let lines = |form: &dyn Fn(&str) -> String| WORDS.iter().map(|w| form(w)).collect::<String>();
    let sets = [
        ("deep-text", "gt.txt", lines(&|w| format!("{w}.png\t{w}\n"))),
        ("trdg", "labels.txt", lines(&|w| format!("{w}.png {w}\n"))),
        (
            "easyocr",
            "labels.csv",
            "filename,words\n".to_string() + &lines(&|w| format!("{w}.png,{w}\n")),
        ),
        ("icdar", "gt.txt", "\u{feff}".to_string() + &lines(&|w| format!("{w}.png, \"{w}\"\n"))),
        (
            "header",
            "labels.tsv",
            "filename\twords\n".to_string() + &lines(&|w| format!("{w}.png\t{w}\n")),
        ),
        ("backslash", "labels.tsv", lines(&|w| format!(".\\{w}.png\t{w}\r\n"))),
        ("prefix", "labels.tsv", lines(&|w| format!("./{w}.png\t{w}\n"))),
        ("blanks", "labels.tsv", lines(&|w| format!("{w}.png {w}\n"))),
    ];
    for (name, file, text) in &sets {
        let at = root.path().join(name);
        labeled(&at, file, text.as_bytes());
        for path in [at.clone(), at.join(file)] {
            let source = open(path.to_str().unwrap()).unwrap();
            assert_eq!(source.len(), 3, "{name}");
            for (i, word) in WORDS.iter().enumerate() {
                assert_eq!(source.get(i).unwrap().label, *word, "{name}");
            }
        }
    }
    let at = root.path().join("utf-16");
    let text: Vec<u8> = sets[0].2.encode_utf16().flat_map(u16::to_le_bytes).collect();
    labeled(&at, "labels.tsv", &[&[0xFF, 0xFE][..], &text].concat());
    let e = refused(&at);
    assert!(e.contains("labels.tsv: labels in UTF-16") && e.contains("iconv"), "{e}");
    let at = root.path().join("elsewhere");
    labeled(&at, "gt.txt", b"train/coffee.png\tcoffee\ntrain/exit.png\texit\n");
    let e = refused(&at);
    assert!(
        e.contains("none of the files it names is there") && e.contains("train/coffee.png"),
        "{e}"
    );
}

#[test]
fn lmdbs_of_version_1_0_are_read() {
    // Written by the Python package lmdb 3.0.0 with lib_version=1.
    let at = tempfile::tempdir().unwrap();
    let stored = format!("{ROOT}/tests/lmdb/version-3.mdb");
    fs::copy(&stored, at.path().join("data.mdb")).unwrap();
    let reader = Reader::open(at.path()).unwrap();
    assert_eq!(reader.entries(), 18);
    let big: Vec<u8> = (0..250).collect::<Vec<u8>>().repeat(20);
    assert_eq!(reader.get(b"zbig").unwrap().unwrap(), big, "on pages of its own");
    assert_eq!(reader.get(b"label-000000007").unwrap().unwrap(), b"word7");
    assert_eq!(reader.get(b"label-00000000").unwrap(), None);
    let source = open(at.path().to_str().unwrap()).unwrap();
    assert_eq!(source.len(), 8);
    for i in 0..8 {
        let sample = source.get(i).unwrap();
        assert_eq!((sample.label, sample.hr.height()), (format!("word{}", i + 1), 6));
    }
    // A later version is named for what it is; damage is an error.
    let whole = fs::read(&stored).unwrap();
    let mut later = whole.clone();
    later[28] = 4;
    fs::write(at.path().join("data.mdb"), later).unwrap();
    assert!(refused(at.path()).contains("data version is 4"));
    for at_byte in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at_byte] ^= 0x5A;
        fs::write(at.path().join("data.mdb"), bytes).unwrap();
        if let Ok(source) = open(at.path().to_str().unwrap()) {
            (0..source.len().min(9)).for_each(|i| drop(source.get(i)));
        }
    }
}

/// The pages of a file made four times as long, as machines of Apple's have them.
fn on_larger_pages(file: &[u8]) -> Vec<u8> {
    const SMALL: usize = 4096;
    const LARGE: usize = 4 * SMALL;
    let mut large = vec![0; file.len() / SMALL * LARGE];
    let mut number = 0;
    while number * SMALL < file.len() {
        let page = &file[number * SMALL..];
        let number_at = |at: usize| u32::from_le_bytes(page[at..at + 4].try_into().unwrap());
        // A value on pages of its own goes on behind the first one's header.
        let pages = if page[10] & 4 != 0 { number_at(12) as usize } else { 1 };
        large[number * LARGE..][..pages * SMALL].copy_from_slice(&page[..pages * SMALL]);
        if number < 2 {
            large[number * LARGE + 40..][..4].copy_from_slice(&(LARGE as u32).to_le_bytes());
        }
        number += pages;
    }
    large
}

#[test]
fn pages_may_have_any_length() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().join("set");
    store(&at, &["river", "plaza", "garden", "coffee"]);
    let words = || {
        let source = open(at.to_str().unwrap()).unwrap();
        (0..source.len())
            .map(|i| source.get(i).unwrap())
            .map(|s| (s.label, s.hr))
            .collect::<Vec<_>>()
    };
    let before = words();
    assert_eq!(before.len(), 4);
    let file = at.join("data.mdb");
    fs::write(&file, on_larger_pages(&fs::read(&file).unwrap())).unwrap();
    assert!(words() == before);
}

#[test]
fn a_store_that_is_laid_out_otherwise_says_how() {
    let at = tempfile::tempdir().unwrap();
    // Written by the Python package lmdb 3.0.0 with the databases train and val.
    fs::copy(format!("{ROOT}/tests/lmdb/named.mdb"), at.path().join("data.mdb")).unwrap();
    let e = refused(at.path());
    assert!(e.contains("no such key; inside are databases named train, val"), "{e}");
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("img-000000001", "x"), ("num-samples", "1")], "its keys begin with img-000000001, num"),
        (&[("image-000000001", "x"), ("num-samples", "9")], "what its 2 entries can be, got 9"),
        (
            &[("image_hr-000000001", "x"), ("image_lr-000000001", "x"), ("num-samples", "2")],
            "got 2",
        ),
        (&[("image_hr-000000001", "x")], "no such key; its keys begin with image_hr-000000001"),
    ];
    for (i, (entries, says)) in cases.into_iter().enumerate() {
        let folder = at.path().join(i.to_string());
        fs::create_dir(&folder).unwrap();
        let mut writer = lemma_gpu::data::lmdb::Writer::create(&folder.join("data.mdb")).unwrap();
        entries.iter().for_each(|(k, v)| writer.put(k.as_bytes(), v.as_bytes()).unwrap());
        writer.finish().unwrap();
        let e = refused(&folder);
        assert!(e.contains(says), "{e}");
    }
}

/// A set of the demonstration words under these labels.
fn store(at: &Path, labels: &[&str]) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    let mut store = Store::create(at, Layout::Lmdb).unwrap();
    for (i, label) in labels.iter().enumerate() {
        let image = word(WORDS[i % 3]);
        store.add(label, &image, Some(&image), &[]).unwrap();
    }
    store.finish().unwrap();
}

#[test]
fn labels_of_other_scripts_are_folded_counted_or_left_out() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().join("set");
    store(&at, &["Łódź", "café", "北京", "Straße", "Hotel 北", "Ελλάδα", "naïve"]);
    let mix = Arc::new(Mix::open(&[at.to_str().unwrap()]).unwrap());
    let options = LoaderOptions { batch: 7, order: Order::Once, ..LoaderOptions::default() };
    for rules in [Rules::LEMMA, Rules::ABINET] {
        let mut loader = Loader::new(mix.clone(), LoaderOptions { rules, ..options }).unwrap();
        let batch = loader.next().unwrap().unwrap();
        let words: Vec<&str> = batch.labels.iter().map(|l| l.word.as_str()).collect();
        assert_eq!(words, ["lodz", "cafe", "strasse", "hotel", "naive"]);
        let report = loader.report();
        assert_eq!(report.count(Reason::OtherScript), 2);
        assert_eq!((report.count(Reason::LostLetters), report.total()), (1, 2));
        let report = report.to_string();
        assert!(report.contains("2 × label in another script, as sample 3 of source 1: \"北京\""));
        assert!(report.contains("1 × letters outside the alphabet") && report.contains("Hotel 北"));
    }
    let foreign = root.path().join("foreign");
    store(&foreign, &["北京", "上海", "Москва"]);
    let mix = Arc::new(Mix::open(&[foreign.to_str().unwrap()]).unwrap());
    let e =
        Loader::new(mix, LoaderOptions { batch: 2, ..LoaderOptions::default() }).unwrap().next();
    let e = e.unwrap().unwrap_err().to_string();
    assert!(e.contains("3 × label in another script"), "{e}");
}

#[test]
fn an_argument_with_an_at_sign_is_a_path_where_there_is_one() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name).to_str().unwrap().to_string();
    for name in ["set@2", "set", "all/A", "all/B"] {
        store(&root.path().join(name), &["a", "b"]);
    }
    let samples = |name: &str| Mix::open(&[at(name)]).map(|mix| (mix.len(), mix.epoch_len()));
    assert_eq!(samples("set@2").unwrap(), (2, 2));
    assert_eq!(samples("set@3").unwrap(), (2, 6));
    assert_eq!(samples("set@2@3").unwrap(), (2, 6));
    // A folder of sets is all of them, in training, too.
    assert_eq!(samples("all").unwrap(), (4, 4));
    assert_eq!(samples("all@0.5").unwrap(), (4, 2));
    let e = open(&at("all")).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::Argument);
    assert!(e.to_string().contains("2 sets below it"), "{e}");
}

#[test]
fn a_label_that_no_line_can_hold_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("set");
    let image = word("exit");
    let mut store = Store::create(&place, Layout::Folder).unwrap();
    for label in ["a\tb", "a\nb", "a\r", "\0"] {
        let e = store.add(label, &image, Some(&image), &[]).unwrap_err();
        assert!(e.kind() == ErrorKind::Argument && e.to_string().contains("no tab"), "{e}");
    }
    store.add("it's \"fine\", ok", &image, Some(&image), &[]).unwrap();
    store.finish().unwrap();
    let source = open(place.to_str().unwrap()).unwrap();
    assert_eq!((source.len(), source.get(0).unwrap().label), (1, "it's \"fine\", ok".into()));
}

fn eval(at: &Path, args: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
    command.current_dir(at).arg("eval").args(args).stdin(Stdio::null());
    if let Ok(adapter) = std::env::var("LEMMA_GPU_ADAPTER") {
        command.args(["-g", &adapter]);
    }
    let output = command.output().expect("the binary starts");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, err)
}

#[test]
fn sets_below_a_folder_are_evaluated_and_saved_again() {
    let root = tempfile::tempdir().unwrap();
    store(&root.path().join("data/one/A"), &["coffee", "a\tb", "北京"]);
    store(&root.path().join("data/two/A"), &["coffee"]);
    let lost = root.path().join("data/lost");
    let names: String = (0..30).map(|i| format!("{i}.png\tx\n")).collect();
    labeled(&lost, "gt.txt", format!("coffee.png\tcoffee\n{names}").as_bytes());
    let args = ["-d", "data", "--fold", "--json", "-", "--save-images", "seen"];
    let (output, err) = eval(root.path(), &args);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sets = json["sets"].as_array().unwrap();
    let names: Vec<&str> = sets.iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["lost", "A", "two-A"]);
    assert_eq!(sets[1]["images"], 3);
    assert_eq!(sets[1]["readability"]["all"]["words"], 2, "another script is no word to read");
    assert_eq!(sets[0]["left_out"]["missing image"], 30);
    assert_eq!(err.matches("left out: ").count(), 10, "{err}");
    for part in ["… and 20 more of these: missing image", "1 sample not saved", "in another script"]
    {
        assert!(err.contains(part), "{part}: {err}");
    }
    let labels = fs::read_to_string(root.path().join("seen/A/labels.tsv")).unwrap();
    let columns: Vec<usize> = labels.lines().map(|l| l.split('\t').count()).collect();
    assert_eq!(columns[0], 5);
    assert_eq!(columns.len(), 3, "{labels}");
    let again = open(root.path().join("seen/A").to_str().unwrap()).unwrap();
    assert_eq!(again.get(0).unwrap().label, "coffee");
}

/// A set goes through every form and comes back; parts are the whole; what cannot be read is left out and said.
#[test]
fn sets_are_packed_into_one_another() {
    let root = tempfile::tempdir().unwrap();
    let run = |args: &[&str], code: i32| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lemma-gpu"));
        let ran = command.current_dir(root.path()).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(code), "{args:?}: {said}");
        said
    };
    let samples = |name: &str| {
        let source = open(root.path().join(name).to_str().unwrap()).unwrap();
        (0..source.len()).map(|i| source.get(i).unwrap()).collect::<Vec<_>>()
    };
    run(&["pack", "synth:count=7", "-o", "first.tar"], 0);
    let first = samples("first.tar");
    assert_eq!(first.len(), 7);
    assert!(first.iter().all(|s| s.lr.is_some() && !s.characters.is_empty()));
    let forms: [(&str, &str, &[&str]); 3] = [
        ("first.tar", "lmdb", &[]),
        ("lmdb", "folder", &["--format", "folder"]),
        ("folder", "tars", &["--per-tar", "3"]),
    ];
    for (from, to, more) in forms {
        run(&[&["pack", from, "-o", to], more].concat(), 0);
        assert_eq!(samples(to), first, "{to}");
    }
    assert_eq!(fs::read_dir(root.path().join("tars")).unwrap().count(), 3);

    run(&["pack", "tars", "lmdb", "-o", "a.tar", "--shard", "1/2"], 0);
    run(&["pack", "tars", "lmdb", "-o", "b.tar", "--shard", "2/2"], 0);
    assert_eq!([samples("a.tar"), samples("b.tar")].concat(), [first.clone(), first].concat());

    labeled(&root.path().join("bad"), "gt.txt", b"coffee.png\tcoffee\nnone.png\tnone\n");
    let said = run(&["pack", "bad", "-o", "good.tar"], 1);
    assert!(said.contains("1 words in good.tar") && said.contains("missing image"), "{said}");
    assert_eq!(samples("good.tar").len(), 1);
    let said = run(&["pack", "lmdb", "-o", "a.tar"], 2);
    assert!(said.contains("is kept"), "{said}");
    run(&["pack", "nowhere", "-o", "c.tar"], 2);
    assert!(!root.path().join("c.tar").exists());
}
