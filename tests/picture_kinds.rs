//! Picture files of every kind: what is read, what is named, and what lacks only its end.

use image::{DynamicImage, ImageFormat, RgbImage};
use lemma_gpu::ErrorKind;
use lemma_gpu::data::picture::*;
use std::io::Cursor;
use std::path::Path;

/// A file of `tests/pictures`: the word `coffee` at 72×20 pixels, as Pillow 13 writes it.
fn stored(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name);
    std::fs::read(path).expect(name)
}

fn drawn() -> DynamicImage {
    let image = RgbImage::from_fn(30, 17, |x, y| image::Rgb([x as u8 / 2 * 16, y as u8 * 15, 90]));
    image.into()
}

fn file(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("an image in memory");
    bytes.into_inner()
}

const JPEGS: [&str; 5] =
    ["baseline.jpg", "gray.jpg", "progressive.jpg", "restarts.jpg", "rows.jpg"];

#[test]
fn a_jpeg_that_lacks_only_its_end_is_whole() {
    for name in JPEGS {
        let bytes = stored(name);
        let whole = decode(&bytes, name).unwrap();
        assert!(whole.note.is_none());
        for lacking in [1, 2] {
            let cut = decode(&bytes[..bytes.len() - lacking], name).unwrap();
            assert!(cut.image == whole.image, "{name} without {lacking}");
            assert!(cut.note.unwrap().contains("no end"));
        }
    }
}

#[test]
fn a_jpeg_that_lacks_pixels_is_an_error() {
    for name in JPEGS {
        let bytes = stored(name);
        let whole = decode(&bytes, name).unwrap().image;
        let scan = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
        let mut refused = 0;
        for keep in scan..bytes.len() - 2 {
            match decode(&bytes[..keep], "cut.jpg") {
                // The last bits may be filling, or of blocks beyond the border.
                Ok(cut) => assert!(cut.image == whole, "{name} {keep}"),
                Err(e) => {
                    assert!(e.to_string().starts_with("cut.jpg: the JPEG file ends too early"));
                    refused += 1;
                }
            }
        }
        assert!(10 * refused > 9 * (bytes.len() - scan), "{name}: {refused}");
    }
}

#[test]
fn tiff_gif_and_pnm_are_read() {
    let image = drawn();
    for (format, says) in
        [(ImageFormat::Tiff, "TIFF"), (ImageFormat::Pnm, "PNM"), (ImageFormat::Gif, "GIF")]
    {
        let found = decode(&file(&image, format), "x").unwrap();
        assert_eq!((found.kind.to_string().as_str(), found.format), (says, Format::Png));
        assert_eq!(found.note, None);
        let near = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= 8;
        let pairs = || found.image.as_raw().iter().zip(image.as_bytes());
        assert!(found.image.dimensions() == (30, 17) && pairs().all(near), "{says}");
        assert!(format == ImageFormat::Gif || pairs().all(|(a, b)| a == b), "{says}");
    }
    let sixteen = DynamicImage::from(image.to_rgb16());
    for format in [ImageFormat::Tiff, ImageFormat::Pnm] {
        assert!(decode(&file(&sixteen, format), "x").unwrap().image == image.to_rgb8());
    }
    let fax = decode(&stored("fax.tif"), "fax.tif").unwrap().image;
    assert!(fax.pixels().all(|p| p.0 == [0; 3] || p.0 == [255; 3]), "a page of a telefax");
    assert!(fax.pixels().any(|p| p.0 == [0; 3]) && fax.pixels().any(|p| p.0 == [255; 3]));
}

/// A TIFF file of one row of 8-bit RGBA pixels, whose alpha is `extra`: 1 multiplied into the colors, 2 not.
fn tiff(pixels: &[[u8; 4]], extra: u16, big_endian: bool) -> Vec<u8> {
    let n = pixels.len() as u32;
    // Tag, type (3 short, 4 long), count and value.
    let entries: [(u16, u16, u32, u32); 11] = [
        (256, 3, 1, n),
        (257, 3, 1, 1),
        (258, 3, 4, 8 + 2 + 11 * 12 + 4),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8 + 2 + 11 * 12 + 4 + 8),
        (277, 3, 1, 4),
        (278, 3, 1, 1),
        (279, 4, 1, 4 * n),
        (284, 3, 1, 1),
        (338, 3, 1, extra.into()),
    ];
    let short = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let long = |v: u32| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut file = if big_endian { b"MM".to_vec() } else { b"II".to_vec() };
    file.extend(short(42));
    file.extend(long(8));
    file.extend(short(entries.len() as u16));
    for (tag, kind, count, value) in entries {
        file.extend([short(tag), short(kind)].concat());
        file.extend(long(count));
        match (kind, count) {
            (3, 1) => file.extend([short(value as u16), [0; 2]].concat()),
            _ => file.extend(long(value)),
        }
    }
    file.extend(long(0));
    file.extend([8u16; 4].map(short).concat());
    file.extend(pixels.concat());
    file
}

#[test]
fn colors_that_were_multiplied_by_their_alpha_are_seen_as_they_were() {
    let straight = [[200, 40, 0, 255], [200, 40, 0, 128], [200, 40, 0, 51], [0, 0, 0, 0]];
    let multiplied = straight.map(|[r, g, b, a]| {
        let by = |v: u8| ((u32::from(v) * u32::from(a) + 127) / 255) as u8;
        [by(r), by(g), by(b), a]
    });
    assert_ne!(straight, multiplied);
    for big_endian in [false, true] {
        let seen = |pixels: &[[u8; 4]], extra| {
            decode(&tiff(pixels, extra, big_endian), "x.tif").expect("a TIFF").image.into_raw()
        };
        let want = seen(&straight, 2);
        let near = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1);
        // On white, as the word is dark: the half-transparent pixel lies between.
        assert_eq!(want[..3], [200, 40, 0]);
        assert!(near(&want[3..6], &[227, 147, 127]), "{want:?}");
        assert!(near(&seen(&multiplied, 1), &want), "{:?}", seen(&multiplied, 1));
        // What was multiplied is not taken for it where the file says otherwise, and the other way round.
        assert!(!near(&seen(&multiplied, 2), &want));
        assert!(near(&seen(&straight, 1), &want), "colors above their alpha were not multiplied");
    }
}

#[test]
fn of_several_pages_the_first_is_taken_and_told() {
    let word = decode(&stored("baseline.jpg"), "x").unwrap().image;
    for (name, says) in [("pages.tif", "several pages"), ("frames.gif", "several frames")] {
        let found = decode(&stored(name), name).unwrap();
        assert!(found.note.unwrap().contains(says), "{name}");
        let off: u64 =
            found.image.iter().zip(word.iter()).map(|(a, b)| a.abs_diff(*b) as u64).sum();
        assert!(off / (word.len() as u64) < 16, "{name}: {off}");
    }
}

#[test]
fn files_of_the_new_kinds_that_are_damaged_are_errors() {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    let files = [ImageFormat::Tiff, ImageFormat::Pnm, ImageFormat::Gif].map(|f| file(&drawn(), f));
    for whole in [files.to_vec(), vec![stored("pages.tif"), stored("fax.tif")]].concat() {
        for keep in [3, 12, 30, whole.len() / 4] {
            let e = decode(&whole[..keep], "cut.file").expect_err("half an image");
            assert!(
                e.kind() == ErrorKind::Format && e.to_string().starts_with("cut.file: "),
                "{e}"
            );
        }
        for _ in 0..200 {
            let mut bytes = whole.clone();
            for _ in 0..1 + next() % 4 {
                let at = next() % bytes.len();
                bytes[at] = next() as u8;
            }
            if let Ok(decoded) = decode(&bytes, "x") {
                assert!(decoded.image.width() > 0 && decoded.image.height() > 0);
            }
        }
    }
}

#[test]
fn other_kinds_of_images_are_named_with_what_to_do() {
    let cases: [(&[u8], &[&str]); 5] = [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", &["HEIC, as iPhones take them", "convert"]),
        (b"\0\0\0\x14ftypavif\0\0\0\0mif1", &["AVIF", "convert"]),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0", &["JPEG 2000", "convert"]),
        (b"%PDF-1.7\n%\xe2\xe3", &["PDF", "pdftoppm"]),
        (b"8BPS\0\x01\0\0", &["Photoshop"]),
    ];
    for (bytes, says) in cases {
        let e = decode(bytes, "photo.jpg").unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Format);
        let e = e.to_string();
        assert!(e.starts_with("photo.jpg: an image format that is not read"), "{e}");
        assert!(says.iter().all(|part| e.contains(part)) && !e.contains("not an image"), "{e}");
    }
}
