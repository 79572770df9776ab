//! Characters as small grey pictures, to be compared with each other.

use super::typeface::{CHARACTERS, Glyph, HOUSE, Typeface, alike};
use std::sync::LazyLock;
use tiny_skia::{FillRule, Mask, PathBuilder, Transform};

/// Pixels of a shape's side.
pub const SIDE: usize = 32;

/// A character's ink per pixel `[32, 32]`, 0..=1, a little blurred. The character fills its picture,
/// whatever its size was: two cases of one form are one shape.
pub fn shape(glyph: &Glyph) -> Vec<f32> {
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

/// Cosine of the angle between two shapes.
pub(super) fn likeness(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-9)
}

/// Of 62 characters, how many must look like themselves for a font to be of use.
pub const ENOUGH: usize = 40;

/// How many characters of a typeface are, in either case, among the five shapes of the house's
/// typefaces, upright and slanted, that they are most like.
pub fn recognised(face: &Typeface) -> usize {
    static KNOWN: LazyLock<Vec<(char, Vec<f32>)>> = LazyLock::new(|| {
        let shapes = |face: &Typeface| -> Vec<_> {
            let pairs = CHARACTERS.iter().zip(&face.glyphs);
            pairs.map(|(&c, g)| (c as char, shape(g))).collect()
        };
        let upright = HOUSE.iter();
        let slanted: Vec<_> = upright.clone().map(|face| face.altered(0.22, 1.0)).collect();
        upright.chain(&slanted).flat_map(shapes).collect()
    });
    let is_known = |(&c, glyph): (&u8, &Glyph)| {
        let seen = shape(glyph);
        let mut ranks: Vec<(f32, char)> =
            KNOWN.iter().map(|(known, shape)| (likeness(&seen, shape), *known)).collect();
        ranks.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranks[..5].iter().any(|(_, known)| alike(*known, c as char))
    };
    CHARACTERS.iter().zip(&face.glyphs).filter(|pair| is_known(*pair)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_most_like_themselves() {
        let regular: Vec<_> = HOUSE[0].glyphs.iter().map(shape).collect();
        let bold: Vec<_> = HOUSE[1].glyphs.iter().map(shape).collect();
        let right = (0..62).filter(|&i| {
            let best = (0..62).max_by(|&a, &b| {
                likeness(&bold[i], &regular[a]).total_cmp(&likeness(&bold[i], &regular[b]))
            });
            best.is_some_and(|best| alike(CHARACTERS[best] as char, CHARACTERS[i] as char))
        });
        let right = right.count();
        assert!(right > 55, "{right} of 62");
    }
}
