//! From a text to bent polygons in the picture.

use super::bitmap::filled;
use super::typeface::{Typeface, character};
use crate::data::random::Random;
use tiny_skia::{FillRule, Mask, PathBuilder, Stroke, Transform};

/// A text laid into a picture: each character's polygons, in pixels.
pub(super) struct Layout {
    width: usize,
    height: usize,
    characters: Vec<Vec<Vec<[f32; 2]>>>,
    /// Pixels of the text's height.
    pub size: f32,
}

impl Layout {
    /// Sets `text` (letters and digits), warps it and lays it into `width`×`height` pixels.
    pub fn new(
        text: &str,
        face: &Typeface,
        width: usize,
        height: usize,
        random: &mut Random,
    ) -> Self {
        let mut characters = set(text, face, random);
        let (low, high) = bounds(&characters);
        let warp = Warp::draw(low, high, random);
        characters.iter_mut().flatten().flatten().for_each(|p| *p = warp.apply(*p));

        let (low, high) = bounds(&characters);
        let size = [0, 1].map(|i| (high[i] - low[i]).max(1e-3));
        let room = [width as f32, height as f32];
        let margins = [random.between(0.03, 0.14), random.between(0.08, 0.34)];
        let mut scale = [0, 1].map(|i| room[i] * (1.0 - margins[i]) / size[i]);
        // A short word is cut out with some of its surroundings rather than drawn out to the edges.
        let stretch = random.between(1.3, 3.0);
        scale[0] = scale[0].min(scale[1] * stretch);
        let squeeze = random.between(0.25, 0.45);
        scale[1] = scale[1].min(scale[0] / squeeze);
        let at = [0, 1].map(|i| {
            let free = room[i] - scale[i] * size[i];
            let part = 0.5 + (random.unit() - 0.5) * 0.8;
            free * part - scale[i] * low[i]
        });
        let place = |p: &mut [f32; 2]| *p = [0, 1].map(|i| p[i] * scale[i] + at[i]);
        characters.iter_mut().flatten().flatten().for_each(place);
        Layout { width, height, characters, size: size[1] * scale[1] }
    }

    /// Left and right end of every character in parts of the width, 0..=1.
    pub fn extents(&self) -> Vec<(f32, f32)> {
        let unit = |x: f32| (x / self.width as f32).clamp(0.0, 1.0);
        let extent = |character: &Vec<Vec<[f32; 2]>>| {
            let (low, high) = bounds(std::slice::from_ref(character));
            (unit(low[0]), unit(high[0]))
        };
        self.characters.iter().map(extent).collect()
    }

    /// Ink per pixel, 0..=255, moved by `dx`, `dy` pixels.
    pub fn ink(&self, dx: f32, dy: f32) -> Vec<u8> {
        let contours = self.characters.iter().flatten();
        filled(contours, |p| [p[0] + dx, p[1] + dy], self.width, self.height)
            .unwrap_or_else(|| vec![0; self.width * self.height])
    }

    /// Ink of a line of `thickness` pixels along the contours, 0..=255.
    pub fn outline(&self, thickness: f32) -> Vec<u8> {
        let mut path = PathBuilder::new();
        for contour in self.characters.iter().flatten() {
            let mut points = contour.iter();
            if let Some(&[x, y]) = points.next() {
                path.move_to(x, y);
                points.for_each(|&[x, y]| path.line_to(x, y));
                path.close();
            }
        }
        let stroke = Stroke { width: thickness, ..Stroke::default() };
        let line = path.finish().and_then(|path| path.stroke(&stroke, 1.0));
        let mask = line.zip(Mask::new(self.width as u32, self.height as u32));
        mask.map_or_else(
            || vec![0; self.width * self.height],
            |(line, mut mask)| {
                mask.fill_path(&line, FillRule::Winding, true, Transform::identity());
                mask.data().to_vec()
            },
        )
    }
}

/// The characters on their line, in ems: spaced, slanted, and now and then dancing.
fn set(text: &str, face: &Typeface, random: &mut Random) -> Vec<Vec<Vec<[f32; 2]>>> {
    let tracking = if random.chance(0.5) { random.between(-0.02, 0.12) } else { 0.0 };
    let slant = if random.chance(0.2) { random.between(-0.3, 0.3) } else { 0.0 };
    let dance = if random.chance(0.1) { random.between(0.01, 0.07) } else { 0.0 };
    let (mut at, mut last) = (0.0, None);
    text.bytes()
        .filter_map(character)
        .map(|i| {
            at += last.map_or(0.0, |last| face.kern(last, i));
            last = Some(i);
            let lift = dance * random.noise();
            let glyph = &face.glyphs[i];
            let place = |p: &[f32; 2]| [at + p[0] - slant * p[1], p[1] + lift];
            let contours = glyph.contours.iter().map(|c| c.iter().map(place).collect()).collect();
            at += glyph.advance + tracking;
            contours
        })
        .collect()
}

fn bounds(characters: &[Vec<Vec<[f32; 2]>>]) -> ([f32; 2], [f32; 2]) {
    let start = ([f32::MAX; 2], [f32::MIN; 2]);
    characters.iter().flatten().flatten().fold(start, |(low, high), p| {
        ([low[0].min(p[0]), low[1].min(p[1])], [high[0].max(p[0]), high[1].max(p[1])])
    })
}

/// A bend along an arc or a wave, a view from aside, a turn; about the middle of the text.
struct Warp {
    middle: [f32; 2],
    /// Half the width, at least the height.
    reach: f32,
    /// Angle from the middle to an end of the arc.
    arc: f32,
    wave: [f32; 2],
    perspective: [f32; 2],
    shear: f32,
    turn: (f32, f32),
}

impl Warp {
    fn draw(low: [f32; 2], high: [f32; 2], random: &mut Random) -> Self {
        let half = [0, 1].map(|i| (high[i] - low[i]) / 2.0);
        let bend = random.below(10);
        let arc = random.between(0.15, 0.75) * if random.chance(0.7) { 1.0 } else { -1.0 };
        let wave = [random.between(0.04, 0.16), random.between(0.0, std::f32::consts::TAU)];
        let view = random.chance(0.5);
        let perspective = [random.between(-0.2, 0.2), random.between(-0.15, 0.15)];
        let most: f32 = if random.chance(0.15) { 0.3 } else { 0.1 };
        // What is long and turned far grows too high for the picture.
        let slender = (2.5 * half[1] / half[0].max(1e-3)).clamp(0.15, 1.0);
        let turn = most * slender * random.between(-1.0, 1.0);
        Warp {
            middle: [0, 1].map(|i| (high[i] + low[i]) / 2.0),
            reach: half[0].max(half[1]).max(1e-3),
            arc: if bend < 2 && half[0] > 2.0 * half[1] { arc } else { 0.0 },
            wave: if bend == 2 { wave } else { [0.0; 2] },
            perspective: if view { perspective } else { [0.0; 2] },
            shear: if view { random.between(-0.12, 0.12) } else { 0.0 },
            turn: turn.sin_cos(),
        }
    }

    fn apply(&self, p: [f32; 2]) -> [f32; 2] {
        let [mut x, mut y] = [0, 1].map(|i| p[i] - self.middle[i]);
        y += self.wave[0] * (3.0 * x / self.reach + self.wave[1]).sin();
        if self.arc != 0.0 {
            // On a circle about a point below (arc > 0) or above the line.
            let radius = self.reach / self.arc;
            let (sin, cos) = (x / radius).sin_cos();
            (x, y) = ((radius - y) * sin, radius - (radius - y) * cos);
        }
        y += self.shear * x;
        let depth = 1.0 + (self.perspective[0] * x + self.perspective[1] * y) / self.reach;
        (x, y) = (x / depth.max(0.4), y / depth.max(0.4));
        let (sin, cos) = self.turn;
        [x * cos - y * sin, x * sin + y * cos]
    }
}

#[cfg(test)]
mod tests {
    use super::super::typeface::BUILTIN;
    use super::*;

    #[test]
    fn every_text_lies_in_the_picture_with_its_characters_in_order() {
        for key in 0..300 {
            let mut random = Random::new(&[key]);
            let text = ["i", "W", "street", "2024", "averylongwordwithoutspaces"][key as usize % 5];
            let layout = Layout::new(text, &BUILTIN[key as usize % 2], 128, 32, &mut random);
            let extents = layout.extents();
            assert_eq!(extents.len(), text.len());
            assert!(extents.iter().all(|&(a, b)| 0.0 < a && a < b && b < 1.0), "{extents:?}");
            let middles: Vec<f32> = extents.iter().map(|(a, b)| a + b).collect();
            assert!(middles.windows(2).all(|m| m[0] < m[1]), "{key} {text}: {extents:?}");
            let ink = layout.ink(0.0, 0.0);
            let columns = |from: f32, to: f32| {
                let range = (from * 128.0) as usize..(to * 128.0) as usize;
                ink.chunks(128)
                    .flat_map(|row| &row[range.clone()])
                    .map(|&b| u32::from(b))
                    .sum::<u32>()
            };
            let (left, right) = (extents[0].0, extents[text.len() - 1].1);
            assert!(columns(left, right) > 0);
            let edge = 1.0 / 128.0;
            assert_eq!(columns(0.0, left - edge), 0, "{key}");
        }
    }
}
