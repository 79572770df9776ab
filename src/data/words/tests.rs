//! Sets written, damaged, read and loaded.

use super::*;
use crate::ErrorKind;
use crate::data::augment::Augment;
use crate::data::lmdb::{FILE, Writer};
use crate::data::picture::{Format, RgbImage, encode};
use image::Rgb;
use std::path::Path;
use std::sync::Arc;

fn picture(w: u32, h: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(w, h, |x, y| {
        Rgb([(x * 9 + seed * 40) as u8, (y * 23) as u8, (x * y + seed) as u8])
    })
}

fn png(w: u32, h: u32, seed: u32) -> Vec<u8> {
    encode(&picture(w, h, seed), Format::Png).unwrap()
}

fn set(place: &Path, layout: Layout, count: u32) {
    let mut store = Store::create(place, layout).unwrap();
    for i in 0..count {
        let lr = png(45, 15, i);
        store.add(&format!("word{i}"), &png(90, 30, i), Some(&lr), &[]).unwrap();
    }
    store.finish().unwrap();
}

#[test]
fn a_set_comes_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let forms = [
        ("lmdb", Layout::Lmdb),
        ("folder", Layout::Folder),
        ("words.tar", Layout::Tar(None)),
        ("tars", Layout::Tar(Some(2))),
    ];
    for (name, layout) in forms {
        let place = folder.path().join(name);
        set(&place, layout, 5);
        let source = open(place.to_str().unwrap()).unwrap();
        assert_eq!(source.len(), 5);
        for i in 0..5 {
            let sample = source.get(i).unwrap();
            assert_eq!(sample.label, format!("word{i}"));
            assert_eq!(sample.hr, picture(90, 30, i as u32));
            assert_eq!(sample.lr, Some(picture(45, 15, i as u32)));
        }
        let again = Store::create(&place, layout).err().unwrap();
        assert_eq!(again.kind(), ErrorKind::Argument, "what is there is kept");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 4, "nothing half done lies about");
    for layout in [Layout::Folder, Layout::Tar(None)] {
        drop(Store::create(&folder.path().join("dropped"), layout).unwrap());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
    let names = std::fs::read_dir(folder.path().join("tars")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["000000.tar", "000001.tar", "000002.tar"]);
}

/// A tar as other programs write it: files of a sample in any order, in folders, with others between.
#[test]
fn a_tar_of_others_is_read_and_what_is_wrong_with_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("others.TAR");
    let [sharp, coarse] = [png(90, 30, 1), png(45, 15, 1)];
    let places = br#"{"places": "0.1:0.4 0.5:0.9", "more": 1}"#;
    let files: [(&str, &[u8]); 12] = [
        ("README.md", b"words"),
        ("a/0.txt", b"Hi\n"),
        ("a/0.lr.png", &coarse),
        ("a/0.hr.PNG", &sharp),
        ("a/0.json", places),
        ("b/0.jpg", &sharp),
        ("b/0.cls", b"7"),
        ("b/.hidden.png", &sharp),
        ("c.v2/1.txt", b"no image"),
        ("d.png", b"no image either"),
        ("e.hr.png", &sharp),
        ("e.json", b"{"),
    ];
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    let bytes = tar.into_inner().unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let source = open(path.to_str().unwrap()).unwrap();
    let names: Vec<_> = (0..source.len()).map(|i| source.file(i).unwrap()).collect();
    assert_eq!(names, ["a/0", "b/0", "c.v2/1", "d", "e"]);
    let pair = source.get(0).unwrap();
    assert_eq!((pair.label.as_str(), pair.characters.len()), ("Hi", 2));
    assert_eq!((pair.hr, pair.lr), (picture(90, 30, 1), Some(picture(45, 15, 1))));
    let single = source.get(1).unwrap();
    assert_eq!((single.label.as_str(), single.lr), ("", None));
    assert_eq!(source.get(2).unwrap_err().reason, Reason::Missing);
    assert_eq!(source.get(3).unwrap_err().reason, Reason::Unreadable);
    assert_eq!(source.get(4).unwrap().flaw.unwrap().reason, Reason::Places);

    let says = |bytes: &[u8], part: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = open(path.to_str().unwrap()).err().expect("an error");
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains(part), "{error}");
    };
    says(&bytes[..2600], "cut short");
    says(&bytes[..1600], "has no end");
    says(&bytes[..bytes.len() - 1024], "has no end");
    says(&[7; 1024], "damaged");
    says(&[0; 1024], "no sample");
    says(b"", "has no end");
}

#[test]
fn single_images_are_kept_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let sharp = png(90, 30, 3);
    for (name, layout) in [("l", Layout::Lmdb), ("f", Layout::Folder), ("t.tar", Layout::Tar(None))]
    {
        let place = folder.path().join(name);
        let mut store = Store::create(&place, layout).unwrap();
        store.add("one", &sharp, None, &[(0.1, 0.3), (0.4, 0.5), (0.6, 0.9)]).unwrap();
        let both = store.add("two", &sharp, Some(&sharp), &[]);
        assert_eq!(both.is_err(), layout == Layout::Folder, "a folder has one sort");
        store.finish().unwrap();
        let sample = open(place.to_str().unwrap()).unwrap().get(0).unwrap();
        assert_eq!((sample.hr, sample.lr), (picture(90, 30, 3), None));
        assert_eq!((sample.label.as_str(), sample.characters.len()), ("one", 3));
    }
}

#[test]
fn folders_of_sharp_images_and_labels_with_a_header() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("images")).unwrap();
    std::fs::write(folder.path().join("images/a.png"), png(50, 20, 1)).unwrap();
    let labels = "file\tlabel\tmore\nimages/a.png\tHello\tx\n\nimages/none.png\tGone\n";
    std::fs::write(folder.path().join("labels.tsv"), labels).unwrap();
    let source = open(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(source.len(), 2);
    let sample = source.get(0).unwrap();
    assert_eq!((sample.lr, sample.label.as_str()), (None, "Hello"));
    assert_eq!(source.get(1).unwrap_err().reason, Reason::Missing);
}

#[test]
fn places_of_characters_come_back_as_they_were_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = open("synth:count=12,seed=3").unwrap();
    let samples: Vec<Sample> = (0..12).map(|i| drawn.get(i).unwrap()).collect();
    let mut names = vec!["synth:count=12,seed=3".to_string()];
    let forms = [
        ("lmdb", Layout::Lmdb),
        ("folder", Layout::Folder),
        ("words.tar", Layout::Tar(None)),
        ("tars", Layout::Tar(Some(2))),
    ];
    for (name, layout) in forms {
        let place = folder.path().join(name);
        let mut store = Store::create(&place, layout).unwrap();
        for s in &samples {
            let [hr, lr] =
                [&s.hr, s.lr.as_ref().unwrap()].map(|image| encode(image, Format::Png).unwrap());
            store.add(&s.label, &hr, Some(&lr), &s.characters).unwrap();
        }
        store.finish().unwrap();
        let source = open(place.to_str().unwrap()).unwrap();
        for (i, sample) in samples.iter().enumerate() {
            assert!(!sample.characters.is_empty());
            assert!(source.get(i).unwrap() == *sample, "{name}: sample {i}");
        }
        names.push(place.to_str().unwrap().into());
    }
    // Whatever happens to the images on the way, the same happens to the places.
    let take = |name: &String| -> Vec<Batch> {
        let mix = Arc::new(Mix::open(&[name]).unwrap());
        let augment = Some(Augment::new(3));
        let options = LoaderOptions { batch: 6, seed: 3, augment, ..Default::default() };
        Loader::new(mix, options).unwrap().take(6).map(Result::unwrap).collect()
    };
    let want = take(&names[0]);
    let known = |b: &Batch| b.characters.iter().filter(|c| !c.is_empty()).count();
    let known: usize = want.iter().map(known).sum();
    assert!(known > 0 && known < 36, "some are bent, and some are not: {known}");
    assert!(take(&names[1]) == want && take(&names[2]) == want);
}

/// Words of two characters of which the first has places, and the others something else.
const PLACES_OF_FIVE: [Option<&[u8]>; 5] =
    [Some(b"0.1:0.4 0.5:0.9"), Some(b"0.1:0.4"), Some(b"0.4:0.1 0:1"), None, Some(b"\xff\0 :")];

#[test]
fn malformed_places_are_counted_and_their_words_used() {
    let folder = tempfile::tempdir().unwrap();
    let (lmdb, files) = (folder.path().join("lmdb"), folder.path().join("files"));
    [&lmdb, &files].iter().for_each(|path| std::fs::create_dir(path).unwrap());
    let mut writer = Writer::create(&lmdb.join(FILE)).unwrap();
    let (mut labels, mut places) = (String::new(), b"file\tplaces\nnone.png\t0:1\n\n".to_vec());
    for (i, given) in PLACES_OF_FIVE.into_iter().enumerate() {
        let (n, image) = (i + 1, png(90, 30, i as u32));
        writer.put(format!("label-{n:09}").as_bytes(), b"ab").unwrap();
        writer.put(format!("image-{n:09}").as_bytes(), &image).unwrap();
        std::fs::write(files.join(format!("{n}.png")), &image).unwrap();
        labels += &format!("{n}.png\tab\n");
        if let Some(given) = given {
            writer.put(format!("places-{n:09}").as_bytes(), given).unwrap();
            places.extend([format!("{n}.png\t").as_bytes(), given, b"\n"].concat());
        }
    }
    writer.put(b"num-samples", b"5").unwrap();
    writer.finish().unwrap();
    std::fs::write(files.join("labels.tsv"), labels).unwrap();
    std::fs::write(files.join("places.tsv"), places).unwrap();
    for place in [&lmdb, &files] {
        let options = LoaderOptions { order: Order::Once, batch: 5, ..Default::default() };
        let mut loader = Loader::new(mix(&[place]), options).unwrap();
        let batch = loader.next().unwrap().unwrap();
        assert_eq!(batch.len(), 5);
        assert_eq!(batch.characters[0], [(0.1, 0.4), (0.5, 0.9)]);
        assert!(batch.characters[1..].iter().all(Vec::is_empty));
        let report = loader.report();
        assert_eq!((report.count(Reason::Places), report.total()), (3, 0), "{report}");
        let told = "3 × malformed places of characters, used without, as sample 2 of source 1: \
                    1 places for 2 characters";
        assert!(report.to_string().contains(told), "{report}");
    }
}

/// An LMDB in which most samples are bad, each in its own way.
fn damaged(folder: &Path) {
    let mut writer = Writer::create(&folder.join(FILE)).unwrap();
    let long = "x".repeat(26);
    let mut half = png(90, 30, 1);
    half.truncate(half.len() / 2);
    let samples: [(Option<&str>, Option<Vec<u8>>); 10] = [
        (Some("good"), Some(png(90, 30, 1))),
        (None, Some(png(90, 30, 2))),
        (Some("lost"), None),
        (Some("noise"), Some(vec![7; 300])),
        (Some("half"), Some(half)),
        (Some(""), Some(png(90, 30, 3))),
        (Some(&long), Some(png(90, 30, 4))),
        (Some("dot"), Some(png(1, 1, 5))),
        (Some("line"), Some(png(10_000, 20, 6))),
        (Some("a"), Some(png(40, 20, 7))),
    ];
    for (i, (label, image)) in samples.into_iter().enumerate() {
        let n = i + 1;
        if let Some(label) = label {
            writer.put(format!("label-{n:09}").as_bytes(), label.as_bytes()).unwrap();
        }
        if let Some(image) = image {
            writer.put(format!("image-{n:09}").as_bytes(), &image).unwrap();
        }
    }
    writer.put(b"num-samples", b"10").unwrap();
    writer.finish().unwrap();
}

fn mix(names: &[&Path]) -> Arc<Mix> {
    let names: Vec<&str> = names.iter().map(|p| p.to_str().unwrap()).collect();
    Arc::new(Mix::open(&names).unwrap())
}

#[test]
fn bad_samples_are_counted_by_reason_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    damaged(folder.path());
    let mix = mix(&[folder.path()]);
    let options = LoaderOptions { batch: 5, rules: Rules::ABINET, ..LoaderOptions::default() };
    let mut loader = Loader::new(mix.clone(), options).unwrap();
    for _ in 0..20 {
        let batch = loader.next().unwrap().unwrap();
        assert_eq!((batch.len(), batch.lr.len()), (5, 5 * 16 * 64 * 4));
        assert!(batch.labels.iter().all(|l| l.word == "good" || l.word == "a"));
        assert!(batch.hr.iter().all(|v| v.is_finite()));
    }
    let count = |reason| loader.report().count(reason);
    use Reason::*;
    let counts =
        [Missing, Unreadable, EmptyLabel, LongLabel, Tiny, ExtremeAspect, Storage].map(count);
    assert_eq!(counts, [1, 2, 2, 1, 1, 1, 0], "{}", loader.report());
    assert_eq!(loader.report().total(), 8);

    let once = LoaderOptions { order: Order::Once, batch: 4, ..options };
    let mut loader = Loader::new(mix, once).unwrap();
    let sizes: Vec<usize> = loader.by_ref().map(|b| b.unwrap().len()).collect();
    assert_eq!(sizes, [1, 0, 1]);
    assert_eq!(loader.report().total(), 8);
    assert!(loader.report().to_string().contains("2 × empty label, as sample 2 of source 1"));
}

#[test]
fn a_source_without_a_good_sample_is_an_error_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(&folder.path().join(FILE)).unwrap();
    for n in 1..=70 {
        writer.put(format!("image-{n:09}").as_bytes(), b"no image").unwrap();
    }
    writer.put(b"num-samples", b"70").unwrap();
    writer.finish().unwrap();
    let mix = mix(&[folder.path()]);
    let mut loader = Loader::new(mix, LoaderOptions::default()).unwrap();
    let error = loader.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("unreadable image"), "{error}");
}

#[test]
fn damaged_counts_and_files_are_refused() {
    for number in [None, Some("many"), Some("-3"), Some("99999999999"), Some("0"), Some("1")] {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(&folder.path().join(FILE)).unwrap();
        if let Some(number) = number {
            writer.put(b"num-samples", number.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        assert!(Mix::open(&[folder.path().to_str().unwrap()]).is_err(), "{number:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().to_str().unwrap();
    assert_eq!(open(name).err().unwrap().kind(), ErrorKind::Argument);
    for wrong in ["synth:count=0", "synth:count=x", "synth:color=red", "synth:fonts=/nowhere"] {
        assert_eq!(open(wrong).err().unwrap().kind(), ErrorKind::Argument, "{wrong}");
    }
}

#[test]
fn batches_depend_on_seed_and_position_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    set(&a, Layout::Lmdb, 11);
    std::fs::create_dir(&b).unwrap();
    damaged(&b);
    let mix = mix(&[&a, &b]);
    let options = |threads, ahead, from, seed| LoaderOptions {
        batch: 4,
        seed,
        order: Order::Shuffled { from },
        rules: Rules::ABINET,
        threads,
        ahead,
        ..LoaderOptions::default()
    };
    let start = Position::default();
    let take = |options| -> Vec<Batch> {
        Loader::new(mix.clone(), options).unwrap().take(17).map(Result::unwrap).collect()
    };
    let whole = take(options(1, 1, start, 3));
    assert!(take(options(4, 6, start, 3)) == whole, "threads show");
    assert!(take(options(2, 3, start, 4)) != whole, "the seed does not show");

    // 21 samples: five batches an epoch. Interrupted after 7 batches and resumed.
    let mut loader = Loader::new(mix.clone(), options(3, 5, start, 3)).unwrap();
    assert_eq!(loader.batches_per_epoch(), 5);
    loader.by_ref().take(7).for_each(drop);
    let at = loader.position();
    assert_eq!(at, Position { epoch: 1, batch: 2 });
    assert!(take(options(2, 2, at, 3))[..10] == whole[7..]);

    // The same photograph is degraded anew in each epoch.
    let good = |b: &Batch| {
        b.labels.iter().position(|l| l.word == "good").map(|i| b.lr[i * 4096..][..4096].to_vec())
    };
    let seen: Vec<_> = whole.iter().filter_map(good).collect();
    assert!(seen.len() > 2 && seen.iter().any(|s| *s != seen[0]));
}

#[test]
fn a_position_or_batch_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    damaged(folder.path());
    let mix = mix(&[folder.path()]);
    let refused = |options| Loader::new(mix.clone(), options).err().map(|e| e.kind());
    let default = LoaderOptions::default();
    assert_eq!(refused(default), Some(ErrorKind::Argument), "64 of 10");
    assert_eq!(refused(LoaderOptions { batch: 0, ..default }), Some(ErrorKind::Argument));
    let from = Position { epoch: 0, batch: 2 };
    let order = Order::Shuffled { from };
    let beyond = LoaderOptions { batch: 5, order, ..default };
    assert_eq!(refused(beyond), Some(ErrorKind::Argument));
}

#[test]
fn augmented_batches_depend_on_seed_and_position_alone_and_know_no_places_of_bent_words() {
    let mix = Arc::new(Mix::open(&["synth:count=40"]).unwrap());
    let take = |augment, threads| -> Vec<Batch> {
        let options = LoaderOptions { batch: 20, seed: 3, augment, threads, ..Default::default() };
        Loader::new(mix.clone(), options).unwrap().take(2).map(Result::unwrap).collect()
    };
    let augment = Some(Augment::new(3));
    let (plain, augmented) = (take(None, 1), take(augment, 1));
    assert!(take(augment, 4) == augmented);
    let mut counts = [0; 3];
    for (before, after) in plain.iter().zip(&augmented) {
        assert_eq!((&before.places, &before.labels), (&after.places, &after.labels));
        for i in 0..20 {
            let image = |b: &Batch| b.hr[i * 16384..][..16384].to_vec();
            let coarse = |b: &Batch| b.lr[i * 4096..][..4096].to_vec();
            let changed = image(before) != image(after);
            assert_eq!(changed, coarse(before) != coarse(after), "both images or none");
            let known = !after.characters[i].is_empty();
            assert!(!known || after.characters[i] == before.characters[i]);
            counts[usize::from(changed) + usize::from(!known)] += 1;
        }
    }
    // As it was; changed, with places; bent.
    assert!(counts.iter().all(|&n| n > 3), "{counts:?}");
}
