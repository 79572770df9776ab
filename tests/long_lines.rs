//! Where words begin to be read better in parts than stretched: what `Fit::Auto` goes by.

use ab_glyph::{Font, FontRef, ScaleFont};
use image::{Rgb, RgbImage};
use lemma_gpu::data::picture::{Fit, Plan};
use lemma_gpu::engine::{Job, Reading, Wanted};
use lemma_gpu::gpu::GpuOptions;
use lemma_gpu::{Engine, Lemma, Recognizer, Source};
use std::collections::BTreeMap;

mod common;

const FONTS: [&[u8]; 2] = [
    include_bytes!("../src/data/picture/font/DejaVuSans.ttf"),
    include_bytes!("../src/data/picture/font/DejaVuSans-Bold.ttf"),
];

/// Words of 5 to 15 letters.
const WORDS: [&str; 24] = [
    "river",
    "plaza",
    "garden",
    "coffee",
    "station",
    "kitchen",
    "hospital",
    "boutique",
    "furniture",
    "telephone",
    "restaurant",
    "automobile",
    "electronics",
    "supermarket",
    "construction",
    "entertainment",
    "international",
    "administration",
    "transportation",
    "pharmaceutical",
    "responsibility",
    "recommendation",
    "congratulations",
    "characteristics",
];

/// A word in one line: height of the letters in pixels, their width against the font's own, bold or not.
fn drawn(word: &str, height: f32, stretch: f32, bold: bool) -> RgbImage {
    let font = FontRef::try_from_slice(FONTS[usize::from(bold)]).expect("a font");
    let scale = ab_glyph::PxScale { x: height * stretch * 1.3, y: height * 1.3 };
    let scaled = font.as_scaled(scale);
    let margin = (height * 0.15).ceil();
    let (mut at, mut glyphs) = (margin, Vec::new());
    for c in word.chars() {
        let id = font.glyph_id(c);
        glyphs.push(id.with_scale_and_position(scale, (at, margin + scaled.ascent() * 0.9)));
        at += scaled.h_advance(id);
    }
    let size = ((at + margin) as u32, (height * 1.25 + 2.0 * margin) as u32);
    let mut image = RgbImage::from_pixel(size.0, size.1, Rgb([225, 220, 205]));
    for outline in glyphs.into_iter().filter_map(|g| font.outline_glyph(g)) {
        let origin = outline.px_bounds().min;
        outline.draw(|x, y, coverage| {
            let (x, y) = (origin.x + x as f32, origin.y + y as f32);
            if x >= 0.0 && y >= 0.0 && (x as u32) < size.0 && (y as u32) < size.1 {
                let under = image.get_pixel_mut(x as u32, y as u32);
                for (v, ink) in under.0.iter_mut().zip([40.0, 45.0, 70.0]) {
                    *v = (f32::from(*v) + (ink - f32::from(*v)) * coverage.min(1.0)) as u8;
                }
            }
        });
    }
    image
}

struct Readers {
    lemma: Lemma,
    reader: Recognizer,
}

impl Readers {
    fn open() -> Self {
        let options = GpuOptions { adapter: common::adapter(), ..GpuOptions::default() };
        let engine = Engine::new(options).expect("an adapter");
        common::announce(engine.gpu());
        Readers {
            lemma: Lemma::load(&engine, Source::Shipped).expect("loads"),
            reader: Recognizer::load(&engine, Source::Shipped).expect("loads"),
        }
    }

    /// What `infer --text` and `read` make of images.
    fn read(&self, images: &[RgbImage], fit: Fit) -> Vec<[String; 2]> {
        let plans = |of: fn(&RgbImage, Fit, bool) -> lemma_gpu::Result<Plan>| -> Vec<Plan> {
            images.iter().map(|image| of(image, fit, true).expect("a plan")).collect()
        };
        let (upscaled, plain) = (plans(Plan::new), plans(Plan::for_reading));
        let windows: Vec<&RgbImage> = upscaled.iter().flat_map(Plan::windows).collect();
        let mut results = Vec::new();
        for part in windows.chunks(32) {
            let wanted = Wanted { text: true, attention: false };
            results.extend(self.lemma.submit(part, wanted).unwrap().wait().unwrap());
        }
        let mut results = results.into_iter();
        let inferred =
            upscaled.into_iter().map(|plan| Job::from(plan).finish(&mut results).unwrap().text);
        let windows: Vec<RgbImage> = plain.iter().flat_map(|p| p.windows().to_vec()).collect();
        let parts =
            windows.chunks(32).flat_map(|w| self.reader.read(w, Default::default()).unwrap());
        let mut parts = parts.collect::<Vec<Reading>>().into_iter();
        let read = plain.iter().map(|plan| {
            let spans = plan.spans().map(|(start, end)| (parts.next().unwrap(), start, end));
            Reading::join(&spans.collect::<Vec<_>>()).text()
        });
        inferred.zip(read).map(|(inferred, read)| [inferred, read]).collect()
    }
}

#[test]
fn words_are_read_at_the_shape_that_auto_chooses() {
    let readers = Readers::open();
    let images: Vec<RgbImage> =
        ["station", "supermarket"].map(|word| drawn(word, 24.0, 1.0, true)).into();
    for (texts, word) in readers.read(&images, Fit::Auto).iter().zip(["station", "supermarket"]) {
        assert!(texts.iter().any(|text| text == word), "{word}: {texts:?}");
    }
}

/// Prints the table of `docs/long-lines.md`.
#[test]
#[ignore = "takes minutes: tools/test-slow lines"]
fn the_sweep_over_shapes() {
    let readers = Readers::open();
    let mut cases = Vec::new();
    for word in WORDS {
        for height in [10.0, 16.0, 24.0, 40.0] {
            for stretch in [0.6, 0.8, 1.0, 1.25] {
                for bold in [false, true] {
                    let image = drawn(word, height, stretch, bold);
                    let shape = image.width() as f32 / image.height() as f32;
                    if (3.0..8.0).contains(&shape) {
                        cases.push((word, shape, height, image));
                    }
                }
            }
        }
    }
    let images: Vec<RgbImage> = cases.iter().map(|c| c.3.clone()).collect();
    let [stretched, split] = [Fit::Stretch, Fit::Split].map(|fit| readers.read(&images, fit));
    let mut rows: BTreeMap<u32, [usize; 5]> = BTreeMap::new();
    for (i, (word, shape, ..)) in cases.iter().enumerate() {
        let row = rows.entry((shape * 2.0) as u32).or_default();
        row[0] += 1;
        for (k, texts) in [&stretched[i], &split[i]].into_iter().enumerate() {
            for (j, text) in texts.iter().enumerate() {
                row[1 + 2 * j + k] += usize::from(text == word);
            }
        }
        let (a, b) = (&stretched[i], &split[i]);
        println!("{shape:.2}\t{word}\t{}\t{}\t{}\t{}\t{}", cases[i].2, a[0], b[0], a[1], b[1]);
    }
    println!("| shape | words | infer, stretched | infer, split | read, stretched | read, split |");
    println!("|---|---|---|---|---|---|");
    for (half, [n, right @ ..]) in &rows {
        let from = f64::from(*half) / 2.0;
        let shares = right.map(|r| format!("{:.0} %", 100.0 * r as f64 / *n as f64));
        println!("| {from:.1}–{:.1} | {n} | {} |", from + 0.5, shares.join(" | "));
    }
    assert!(rows.len() == 10, "shapes from 3:1 to 8:1");
}
