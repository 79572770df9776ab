//! Characters as small gray bitmaps, to be compared with each other.

use super::typeface::Glyph;
use tiny_skia::{FillRule, Mask, PathBuilder, Transform};

/// Pixels of a bitmap's side.
pub const SIDE: usize = 32;

/// A character's ink per pixel `[32, 32]`, 0..=1, a little blurred. The character fills its picture,
/// whatever its size was: two cases of one form are one bitmap.
pub fn glyph_bitmap(glyph: &Glyph) -> Vec<f32> {
    let (low, high) = glyph.bounds();
    let size = [high[0] - low[0], high[1] - low[1]];
    // A stroke stays a stroke: it is not drawn out to a square.
    let longer = size[0].max(size[1]);
    let scale = size.map(|s| 24.0 / s.max(0.35 * longer));
    let middle = [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0];
    let place = |p: [f32; 2]| [0, 1].map(|i| (p[i] - middle[i]) * scale[i] + SIDE as f32 / 2.0);
    let mut ink = vec![0.0; SIDE * SIDE];
    if let Some(mask) = filled(glyph.contours.iter(), place, SIDE, SIDE) {
        ink = mask.into_iter().map(|b| f32::from(b) / 255.0).collect();
    }
    blurred(&ink)
}

/// Coverage of polygons in a picture, 0..=255; `None` when they enclose nothing.
pub(super) fn filled<'a>(
    contours: impl Iterator<Item = &'a Vec<[f32; 2]>>,
    place: impl Fn([f32; 2]) -> [f32; 2],
    width: usize,
    height: usize,
) -> Option<Vec<u8>> {
    let mut path = PathBuilder::new();
    for contour in contours {
        let mut points = contour.iter().map(|p| place(*p));
        if let Some([x, y]) = points.next() {
            path.move_to(x, y);
            points.for_each(|[x, y]| path.line_to(x, y));
            path.close();
        }
    }
    let path = path.finish()?;
    let mut mask = Mask::new(width as u32, height as u32)?;
    mask.fill_path(&path, FillRule::Winding, true, Transform::identity());
    Some(mask.data().to_vec())
}

/// Twice the mean of three, each way.
fn blurred(ink: &[f32]) -> Vec<f32> {
    let mut ink = ink.to_vec();
    for _ in 0..2 {
        for step in [1, SIDE] {
            let at = |i: usize| ink.get(i).copied().unwrap_or(0.0);
            ink = (0..ink.len())
                .map(|i| (at(i.wrapping_sub(step)) + at(i) + at(i + step)) / 3.0)
                .collect();
        }
    }
    ink
}

/// Cosine of the angle between two bitmaps.
pub(super) fn cosine_similarity(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-9)
}
