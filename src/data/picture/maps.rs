//! Figures of what the network attends to: one map per character, and the pixels it selects.

use super::canvas::{Canvas, INK, MARGIN, SOFT, enlarged};
use super::heat::overlay;
use super::text::Face;
use super::{LR_SIZE, Map, bicubic};
use crate::{Error, ErrorKind, Result};
use image::{Rgb, RgbImage};

const LABEL: Face = Face::bold(24.0);
const NOTE: Face = Face::regular(15.0);

/// Enlargement of a 64×16 map.
const SCALE: u32 = 4;
const GAP: u32 = 24;
const LABEL_HEIGHT: u32 = 34;

/// The attention maps of a word's characters as a grid: each over the image, its character above
/// it. `maps` is `[T, 16, 64]`, of which the first `labels.len()` are drawn; each is scaled to its
/// own range.
///
/// # Errors
/// [`ErrorKind::Shape`] when there are fewer maps than labels, or no labels;
/// [`ErrorKind::Result`] when a value is not finite.
pub fn character_maps(window: &RgbImage, maps: &[f32], labels: &[&str]) -> Result<RgbImage> {
    let pixels = (LR_SIZE.0 * LR_SIZE.1) as usize;
    if labels.is_empty() || maps.len() / pixels < labels.len() {
        return Err(Error::new(ErrorKind::Shape, "character maps", "maps to draw")
            .expected(format!("[{} or more, {}, {}]", labels.len().max(1), LR_SIZE.1, LR_SIZE.0))
            .got(format!("{} values for {} labels", maps.len(), labels.len())));
    }
    let (w, h) = (LR_SIZE.0 * SCALE, LR_SIZE.1 * SCALE);
    let image = bicubic(window, w, h);
    let count = labels.len() as u32;
    let columns = if count <= 4 { count.min(2) } else { 4 };
    let rows = count.div_ceil(columns);
    let mut canvas = Canvas::new(
        2 * MARGIN + columns * (w + GAP) - GAP,
        2 * MARGIN + rows * (LABEL_HEIGHT + h + GAP) - GAP,
    );
    for (i, (label, map)) in labels.iter().zip(maps.chunks_exact(pixels)).enumerate() {
        let (column, row) = (i as u32 % columns, i as u32 / columns);
        let x = MARGIN + column * (w + GAP);
        let y = MARGIN + row * (LABEL_HEIGHT + h + GAP);
        let map = Map::new(LR_SIZE.0, LR_SIZE.1, map.to_vec())
            .map_err(|e| e.within(format!("character map {i}")))?;
        canvas.text(
            (x as f32, (y + 24) as f32),
            LABEL,
            INK,
            &LABEL.shorten(label, w as f32 - 32.0),
        );
        let number = (i + 1).to_string();
        let right = (x + w) as f32 - NOTE.width(&number);
        canvas.text((right, (y + 24) as f32), NOTE, SOFT, &number);
        canvas.picture(x, y + LABEL_HEIGHT, &overlay(&image, &map.normalized()));
    }
    Ok(canvas.into_image())
}

/// The pixels that are selected (`map` above 0.5) out of `image`'s, of the same size: the image, the
/// selection in white on black, and the image with the rest dimmed.
///
/// # Errors
/// [`ErrorKind::Shape`] when the sizes differ.
pub fn selection(image: &RgbImage, map: &Map) -> Result<RgbImage> {
    if image.dimensions() != map.dimensions() {
        return Err(Error::new(ErrorKind::Shape, "selection", "size of the map")
            .expected(format!("{:?}", image.dimensions()))
            .got(format!("{:?}", map.dimensions())));
    }
    let (w, h) = image.dimensions();
    let chosen = |x: u32, y: u32| map.values()[(y * w + x) as usize] > 0.5;
    let mask = RgbImage::from_fn(w, h, |x, y| Rgb([if chosen(x, y) { 255 } else { 0 }; 3]));
    let dimmed = RgbImage::from_fn(w, h, |x, y| {
        let pixel = *image.get_pixel(x, y);
        if chosen(x, y) { pixel } else { Rgb(pixel.0.map(|v| (f32::from(v) * 0.3) as u8)) }
    });
    let count = map.values().iter().filter(|&&v| v > 0.5).count();
    let labels = [
        "Input".to_owned(),
        format!("Selected: {count} of {} pixels", w * h),
        "What the selection shows".to_owned(),
    ];

    let scale = match w {
        0..=128 => 8,
        129..=512 => 4,
        _ => 2,
    };
    let step = LABEL_HEIGHT + h * scale + GAP;
    let widest = labels.iter().map(|l| Face::bold(15.0).width(l).ceil() as u32).max().unwrap_or(0);
    let mut canvas = Canvas::new(2 * MARGIN + (w * scale).max(widest), 2 * MARGIN + 3 * step - GAP);
    for ((label, part), i) in labels.iter().zip([image, &mask, &dimmed]).zip(0..) {
        let y = MARGIN + i * step;
        canvas.text((MARGIN as f32, (y + 22) as f32), Face::bold(15.0), INK, label);
        canvas.picture(MARGIN, y + LABEL_HEIGHT, &enlarged(part, scale));
    }
    Ok(canvas.into_image())
}
