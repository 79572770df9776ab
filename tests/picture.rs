//! Picture files in and out, and the arithmetic against Pillow's stored results.

use image::{DynamicImage, GrayAlphaImage, ImageFormat, Rgb, RgbaImage};
use lemma_gpu::ErrorKind;
use lemma_gpu::data::picture::*;
use safetensors::SafeTensors;
use std::io::Cursor;

fn golden() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/image.safetensors");
    std::fs::read(path).expect("the golden file")
}

fn rgb(file: &SafeTensors, name: &str) -> RgbImage {
    let tensor = file.tensor(name).expect(name);
    let &[h, w, 3] = tensor.shape() else { panic!("{name} is no image") };
    RgbImage::from_raw(w as u32, h as u32, tensor.data().to_vec()).expect("as many bytes")
}

#[test]
fn resizing_luma_and_mask_equal_pillow_to_the_bit() {
    let bytes = golden();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let image = rgb(&file, "image.in.hwc");
    for (w, h) in [(128, 32), (64, 16), (35, 11)] {
        let name = format!("image.out.pil_bicubic_{w}x{h}");
        assert!(bicubic(&image, w, h) == rgb(&file, &name), "{name} differs");
    }
    assert_eq!(luma(&image), file.tensor("image.out.pil_luma").unwrap().data());
    // The file keeps the mask as Pillow does, 255 for 1.
    let stored = file.tensor("image.out.mask").unwrap();
    assert!(mask(&image).iter().map(|&m| m * 255).eq(stored.data().iter().copied()));
}

/// A picture with something in it everywhere.
fn drawn(w: u32, h: u32) -> RgbImage {
    RgbImage::from_fn(w, h, |x, y| {
        Rgb([(x * 7 + y * 3) as u8, (x * x / 3 + y) as u8, (x ^ (y * 5)) as u8])
    })
}

fn file(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn lossless_files_come_back_as_they_went() {
    for (w, h) in [(1, 1), (2, 7), (71, 23), (10_000, 20)] {
        let image = drawn(w, h);
        for format in [Format::Png, Format::WebP, Format::Bmp] {
            let back = decode(&encode(&image, format).unwrap(), "x").unwrap();
            assert!(back.image == image, "{format} {w}×{h}");
            assert_eq!((back.format, back.stored_size, back.color), (format, (w, h), "8-bit RGB"));
        }
        let jpeg = decode(&encode(&image, Format::Jpeg).unwrap(), "x").unwrap();
        assert_eq!((jpeg.format, jpeg.image.dimensions()), (Format::Jpeg, (w, h)));
    }
}

#[test]
fn every_color_type_becomes_rgb() {
    let image = DynamicImage::ImageRgb8(drawn(9, 5));
    let gray = DynamicImage::ImageLuma8(image.to_luma8());
    let cases = [
        (gray.clone(), "8-bit gray", gray.to_rgb8()),
        (gray.to_luma_alpha8().into(), "8-bit gray+alpha", gray.to_rgb8()),
        (image.clone(), "8-bit RGB", image.to_rgb8()),
        (image.to_rgba8().into(), "8-bit RGBA", image.to_rgb8()),
        (gray.to_luma16().into(), "16-bit gray", gray.to_rgb8()),
        (gray.to_luma_alpha16().into(), "16-bit gray+alpha", gray.to_rgb8()),
        (image.to_rgb16().into(), "16-bit RGB", image.to_rgb8()),
        (image.to_rgba16().into(), "16-bit RGBA", image.to_rgb8()),
    ];
    for (stored, color, want) in cases {
        let back = decode(&file(&stored, ImageFormat::Png), "x").unwrap();
        assert_eq!(back.color, color);
        assert!(back.image == want, "{color}");
    }
}

#[test]
fn transparency_lies_on_what_it_can_be_seen_on() {
    let pixels =
        |alpha: &[u8]| -> Vec<u8> { alpha.iter().flat_map(|&a| [200, 100, 0, a]).collect() };
    let image = RgbaImage::from_raw(3, 1, pixels(&[255, 128, 0])).unwrap();
    let back = decode(&file(&image.into(), ImageFormat::Png), "x").unwrap().image;
    assert_eq!(back.as_raw(), &[200, 100, 0, 227, 177, 127, 255, 255, 255]);
    let gray = GrayAlphaImage::from_raw(2, 1, vec![10, 0, 10, 255]).unwrap();
    let back = decode(&file(&gray.into(), ImageFormat::Png), "x").unwrap().image;
    assert_eq!(back.as_raw(), &[255, 255, 255, 10, 10, 10]);
    // White letters: what lies between them is black, whatever is hidden there.
    let white = GrayAlphaImage::from_raw(2, 1, vec![250, 0, 250, 255]).unwrap();
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let rgba = DynamicImage::from(DynamicImage::from(white.clone()).into_rgba8());
        let back = decode(&file(&rgba, format), "x").unwrap().image;
        assert_eq!(back.as_raw(), &[0, 0, 0, 250, 250, 250], "{format:?}");
    }
}

/// A JPEG that asks its reader to turn it, as a telephone's does.
fn jpeg_with_orientation(image: &RgbImage, orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = encode(image, Format::Jpeg).unwrap();
    let mut segment = vec![0xFF, 0xE1];
    segment.extend((exif.len() as u16 + 2).to_be_bytes());
    segment.extend(exif);
    bytes.splice(2..2, segment);
    bytes
}

#[test]
fn the_exif_orientation_is_applied() {
    // Left half white, right half black: 6 asks for a quarter clockwise, 3 for half a turn.
    let image = RgbImage::from_fn(32, 16, |x, _| Rgb([if x < 16 { 255 } else { 0 }; 3]));
    let plain = decode(&jpeg_with_orientation(&image, 1), "x").unwrap();
    assert!(!plain.reoriented && plain.image.get_pixel(2, 2).0[0] > 200);
    let quarter = decode(&jpeg_with_orientation(&image, 6), "x").unwrap();
    assert!(quarter.reoriented);
    assert_eq!((quarter.stored_size, quarter.image.dimensions()), ((32, 16), (16, 32)));
    assert!(quarter.image.get_pixel(8, 2).0[0] > 200 && quarter.image.get_pixel(8, 29).0[0] < 50);
    let half = decode(&jpeg_with_orientation(&image, 3), "x").unwrap();
    assert!(half.image.get_pixel(2, 2).0[0] < 50);
}

#[test]
fn a_file_cut_anywhere_is_an_error_that_names_it() {
    for format in Format::ALL {
        let whole = encode(&drawn(60, 40), format).unwrap();
        for keep in [0, 1, 3, 12, 30, whole.len() / 2, whole.len() * 9 / 10, whole.len() - 20] {
            let e = decode(&whole[..keep], "cut.file").expect_err(&format!("{format} {keep}"));
            assert_eq!(e.kind(), ErrorKind::Format, "{e}");
            assert!(e.to_string().starts_with("cut.file: "), "{e}");
        }
    }
}

#[test]
fn damage_never_panics() {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    for format in Format::ALL {
        let whole = encode(&drawn(40, 20), format).unwrap();
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
fn what_is_no_image_is_refused() {
    for bytes in
        [&b""[..], b"hello, world, this is a text", b"\x7fELF\x02\x01\x01\0\0\0\0", &[0; 64]]
    {
        let e = decode(bytes, "notes.png").unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Format);
        assert!(e.to_string().contains("PNG, JPEG, WebP, BMP, TIFF, GIF or PNM"), "{e}");
    }
}

#[test]
fn a_header_that_declares_too_much_takes_no_memory() {
    // Overwrites width and height where each format keeps them.
    let mut bmp = encode(&drawn(8, 8), Format::Bmp).unwrap();
    bmp[18..26].copy_from_slice(&[0x60, 0xEA, 0, 0, 0x60, 0xEA, 0, 0]);
    let mut jpeg = encode(&drawn(8, 8), Format::Jpeg).unwrap();
    let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
    let mut png = Vec::new();
    png.extend(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x10\x06\0\0\0");
    png.extend(crc32(&png[12..29]).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    for bytes in [bmp, jpeg, png] {
        let e = decode(&bytes, "bomb").unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Format);
        assert!(e.to_string().contains("too large"), "{e}");
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| (c >> 1) ^ (0xEDB8_8320 & (c & 1).wrapping_neg()))
    })
}

#[test]
fn formats_go_by_name_and_know_their_limits() {
    let of = |path: &str| Format::from_path(path.as_ref());
    assert_eq!(of("a/b.PNG").unwrap(), Format::Png);
    assert_eq!(of("b.c.jpeg").unwrap(), Format::Jpeg);
    for bad in ["a.gif", "png", "", "dir/.png"] {
        assert_eq!(of(bad).unwrap_err().kind(), ErrorKind::Argument, "{bad}");
    }
    let e = encode(&RgbImage::new(20_000, 1), Format::WebP).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Argument);
    assert!(encode(&RgbImage::new(20_000, 1), Format::Png).is_ok());
    assert!(encode(&RgbImage::new(0, 1), Format::Png).is_err());
}

#[test]
fn files_are_written_whole_and_not_over_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.png");
    write_file(&path, b"first", false).unwrap();
    let e = write_file(&path, b"second", false).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Io);
    assert!(e.to_string().contains("out.png: the file exists"), "{e}");
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
    write_file(&path, b"third", true).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"third");
    assert!(write_file(&folder.path().join("none/out.png"), b"x", true).is_err());
    assert!(write_file(folder.path(), b"x", true).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let plain = folder.path().join("plain");
        std::fs::write(&plain, b"").unwrap();
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }
}

#[test]
fn sheets_and_maps_draw_for_any_size() {
    for (w, h) in [(1, 1), (1, 2), (60, 60), (100, 25), (300, 20), (3000, 20), (10_000, 20)] {
        let plan = Plan::new(&drawn(w, h), Fit::Auto, true).unwrap();
        let (lw, lh) = plan.line().dimensions();
        let heat = (0..lw * lh).map(|i| i as f32).collect();
        let heat = Map::new(lw, lh, heat).unwrap();
        let sheet = Sheet {
            name: "a rather long name of a file with ünïcode \u{1F600}.png",
            plan: &plan,
            super_resolved: &plan.bicubic(),
            others: &[],
            network: "LEMMA",
            attention: Some(&heat),
            reading: Some(Reading {
                text: "Wörd", confidence: 0.93, characters: &[0.9, 0.2, 1.0]
            }),
        };
        let full = sheet.draw();
        assert!(full.width() >= 560 && full.width() < 1700, "{w}×{h}: {:?}", full.dimensions());
        let bare = Sheet { attention: None, reading: None, ..sheet }.draw();
        assert!(bare.height() <= full.height());
        selection(plan.line(), &heat).unwrap();
    }
}

#[test]
fn maps_that_do_not_fit_are_refused() {
    let window = drawn(64, 16);
    let maps = vec![0.5; 3 * 1024];
    assert!(character_maps(&window, &maps, &["a", "b", "end"]).is_ok());
    assert!(character_maps(&window, &maps, &["a", "b", "c", "d"]).is_err());
    assert!(character_maps(&window, &maps, &[]).is_err());
    assert!(character_maps(&window, &[f32::NAN; 1024], &["a"]).is_err());
    assert!(selection(&window, &Map::new(4, 4, vec![1.0; 16]).unwrap()).is_err());
}
