//! What a user may name as input: several files, lists, folders with anything in them, lines, photographs, blanks.

use image::{ImageFormat, Rgb, RgbImage, imageops};
use serde_json::Value;
use std::fs;
use std::process::Stdio;

#[path = "common/command.rs"]
mod command;
use command::*;

fn png(image: RgbImage) -> Vec<u8> {
    encoded(&image.into(), ImageFormat::Png)
}

/// The words of the demonstration side by side, on their own mean color.
fn line(words: &[&str]) -> RgbImage {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/demo");
    let mut line = RgbImage::new(64 * words.len() as u32, 16);
    for (i, word) in words.iter().enumerate() {
        let word = image::open(format!("{folder}/{word}.png")).expect("a demonstration image");
        imageops::replace(&mut line, &word.into_rgb8(), 64 * i as i64, 0);
    }
    line
}

#[test]
fn several_inputs_are_taken() {
    let word_as = |format| encoded(&coffee(), format);
    let at = folder(&[
        word("a.png"),
        ("b.jfif", word_as(ImageFormat::Jpeg)),
        ("c.tif", word_as(ImageFormat::Tiff)),
        ("two/a.png", word("").1),
        ("list", b"b.jfif\r\ntwo\nnone.png\n".to_vec()),
    ]);
    let at = at.path();
    let names = |text: String| -> Vec<String> {
        text.lines().map(|l| l.split('\t').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let read = run(at, &["read", "b.jfif", "c.tif", "two"]).ends(0, &["3 images done"]);
    assert_eq!(names(read.text()), ["b.jfif coffee", "c.tif coffee", "two/a.png coffee"]);
    let read = run(at, &["read", "-i", "a.png", "b.jfif", "-q"]).ends(0, &[]);
    assert_eq!(names(read.text()), ["a.png coffee", "b.jfif coffee"]);

    // Names that would fall together keep their folders; what is only read becomes PNG.
    let out = "infer -i a.png b.jfif c.tif two/a.png -o out --text";
    run(at, &out.split(' ').collect::<Vec<_>>()).ends(0, &["4 images done"]);
    assert_eq!(files(&at.join("out")), ["a.png", "b.jfif", "c.png", "two/a.png"]);
    let jpeg = image::guess_format(&fs::read(at.join("out/b.jfif")).unwrap());
    assert_eq!(jpeg.unwrap(), ImageFormat::Jpeg);

    // A list, from a file and from a pipe; what it names and is not there fails alone.
    let read = run(at, &["read", "--files-from", "list"]).ends(1, &["none.png", "2 images done"]);
    assert_eq!(names(read.text()), ["b.jfif coffee", "two/a.png coffee"]);
    fs::write(at.join("zeros"), b"a.png\0c.tif\0").unwrap();
    let mut piped = command(at, &["read", "--files-from", "-", "-q"]);
    piped.stdin(fs::File::open(at.join("zeros")).unwrap());
    assert_eq!(names(ran(piped).ends(0, &[]).text()), ["a.png coffee", "c.tif coffee"]);

    run(at, &["infer", "a.png", "x.png"])
        .ends(2, &["x.png: the input does not exist", "-o: a.png -o x.png"]);
    run(at, &["infer", "a.png", "b.jfif", "-o", "x.png"]).ends(2, &["expected a folder"]);
    run(at, &["infer", "-i", "a.png", "-o", "x.png", "-s", "4"]).ends(2, &["always twice"]);
    run(at, &["read", "-q"]).ends(2, &["no image is named"]);
    assert!(!at.join("x.png").exists());
}

#[test]
fn what_a_folder_holds_beside_images_is_counted() {
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec();
    let at = folder(&[
        word("in/a.png"),
        ("in/b.jpg", heic.clone()),
        ("in/c.heic", heic),
        ("in/d.txt", vec![]),
        ("in/sub/e.txt", vec![]),
    ]);
    #[cfg(unix)]
    {
        let made = std::process::Command::new("mkfifo").arg(at.path().join("in/pipe.png")).status();
        assert!(made.unwrap().success());
        std::os::unix::fs::symlink(at.path().join("in/sub"), at.path().join("in/link.png"))
            .unwrap();
    }
    let said = ["1 HEIC (convert it: ", "1 not PNG", "in/b.jpg", "got HEIC, as iPhones take them"];
    let read = run(at.path(), &["read", "-i", "in"]).ends(1, &said);
    assert_eq!(read.text().lines().count(), 1);
    if cfg!(unix) {
        let said =
            ["note: 4 files left alone", "1 of pipes, sockets and devices", "1 link to folders"];
        assert!(said.iter().all(|part| read.err.contains(part)), "{}", read.err);
    }
}

#[test]
fn a_flood_of_equal_errors_is_counted() {
    let names: Vec<String> = (0..40).map(|i| format!("in/{i:02}.png")).collect();
    let mut all: Vec<(&str, Vec<u8>)> = names.iter().map(|n| (n.as_str(), vec![1; 9])).collect();
    all.push(word("in/word.png"));
    let at = folder(&all);
    let args = ["read", "-i", "in", "--json", "r.json"];
    let read =
        run(at.path(), &args).ends(1, &["… and 30 more of these: not an image", "40 failed"]);
    assert_eq!(read.err.matches("error: ").count(), 10, "{}", read.err);
    let report: Value =
        serde_json::from_slice(&fs::read(at.path().join("r.json")).unwrap()).unwrap();
    let failed = report["images"].as_array().unwrap().iter().filter(|i| i["error"].is_string());
    assert_eq!(failed.count(), 40, "the report has them all");
}

#[test]
fn lines_blanks_and_photographs_are_read_as_what_they_are() {
    let words = ["coffee", "exit", "station", "coffee", "harbor", "exit", "coffee"];
    let photo = RgbImage::from_fn(600, 180, |_, y| Rgb([if y / 60 == 1 { 32 } else { 210 }; 3]));
    let noise = RgbImage::from_fn(90, 30, |x, y| Rgb([120 + ((x * 7 + y * 5) % 4) as u8; 3]));
    let at = folder(&[
        ("line.png", png(line(&words))),
        ("white.png", png(RgbImage::from_pixel(90, 30, Rgb([255; 3])))),
        ("noise.png", png(noise)),
        ("photo.png", png(photo.clone())),
    ]);
    let readings = |args: &[&str]| -> (String, Vec<String>) {
        let ran = run(at.path(), &[args, &["line.png", "white.png", "noise.png"]].concat());
        let ran = ran.ends(0, &["1 split"]);
        let text = ran.text();
        (ran.err, text.lines().map(|l| l.split_once('\t').unwrap().1.to_string()).collect())
    };
    for command in [["read", "--text"], ["infer", "--text"]] {
        let (_, lines) = readings(&command);
        let text = lines[0].split('\t').next().unwrap();
        assert!(text.starts_with("coffee") && text.ends_with("coffee"), "{text}");
        assert!((30..46).contains(&text.len()), "{text}");
        assert_eq!(lines[1..], ["\t0.0000", "\t0.0000"], "{command:?}");
    }
    let squeezed =
        run(at.path(), &["read", "line.png", "--fit", "stretch"]).ends(0, &["stretched"]);
    assert!(squeezed.text().split('\t').nth(1).unwrap().len() < 26);

    let smaller = "smaller than";
    run(at.path(), &["infer", "photo.png", "-o", "x.png"])
        .ends(0, &["600×180 → 128×32", "the result is smaller than the image", "single words"]);
    run(at.path(), &["infer", "photo.png", "line.png", "-o", "out"])
        .ends(0, &["note: 1 of 2 results are smaller than their images"]);
    let small = run(at.path(), &["infer", "line.png", "-o", "y.png"]).ends(0, &[]);
    assert!(!small.err.contains(smaller), "{}", small.err);
}

/// Small files of large images: however many threads decode, they take the memory of one.
#[cfg(target_os = "linux")]
#[test]
fn decoders_share_the_memory_of_one() {
    let large = encoded(&image::DynamicImage::new_luma8(8000, 8000), ImageFormat::Png);
    assert!(large.len() < 1 << 20);
    let at = folder(&[("a.png", large.clone()), ("b.png", large)]);
    let peak = |args: &[&str]| {
        let mut command = command(at.path(), args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = peak.and_then(|peak| peak.trim().split(' ').next()?.parse::<u64>().ok());
            most = most.max(kib.unwrap_or(0));
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        most
    };
    let [one, two] = [&["read", "-i", "a.png"][..], &["read", "-i", ".", "-j", "2"]].map(peak);
    assert!(one > 200 << 10, "{one} KiB: an image has 183 MiB");
    assert!(two < one + (100 << 10), "{two} KiB for two, {one} KiB for one");
}

/// A pipe to which nobody writes, and one from which nobody reads: what waits for them can never end.
#[cfg(target_os = "linux")]
#[test]
fn one_signal_ends_a_run_whatever_it_waits_for() {
    let at = folder(&[]);
    let [pipe, full] = ["pipe", "full"].map(|name| {
        let pipe = at.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        pipe
    });
    let heard = signalled(&pipe, Stdio::piped(), || ());
    assert!(heard.contains("what is in flight does not end"), "{heard}");
    let err = fs::OpenOptions::new().read(true).write(true).open(&full).unwrap();
    signalled(&pipe, Stdio::from(err), || {
        let mut filling = without_waiting(&full).unwrap();
        while std::io::Write::write(&mut filling, b".").is_ok() {}
    });
}

/// Opens a pipe to write to it, where somebody reads it or waits to; what it has no room for is an error.
#[cfg(target_os = "linux")]
fn without_waiting(pipe: &std::path::Path) -> std::io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    const O_NONBLOCK: i32 = 0o4000;
    fs::OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(pipe)
}

/// What `read` of `pipe` says that ends by a signal to terminate, sent when it waits for the pipe and what comes `before` is
/// done.
#[cfg(target_os = "linux")]
fn signalled(pipe: &std::path::Path, err: Stdio, before: impl Fn()) -> String {
    use std::process::Command;
    use std::time::{Duration, Instant};
    const NO_READER: i32 = 6;
    let mut command = command(pipe.parent().unwrap(), &["read", "-i", "pipe"]);
    let mut child = command.stdout(Stdio::null()).stderr(err).spawn().unwrap();
    let begun = Instant::now();
    // The system lets nobody in to write while nobody reads. An image is opened when it is its turn, and no earlier.
    let _silent = loop {
        match without_waiting(pipe) {
            Ok(writer) => break writer,
            Err(e) => assert_eq!(e.raw_os_error(), Some(NO_READER), "{e}"),
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        assert!(begun.elapsed() < Duration::from_secs(240), "the run does not begin");
        std::thread::sleep(Duration::from_millis(20));
    };
    before();
    let sent = Instant::now();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    while child.try_wait().unwrap().is_none() {
        if sent.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("the run goes on after its signal");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{err}");
    err.into_owned()
}
