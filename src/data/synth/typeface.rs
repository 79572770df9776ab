//! Letters and digits of a font as polygons.

use crate::data::picture::EMBEDDED;
use ab_glyph::{Font, FontRef, Outline, OutlineCurve, Point};
use std::path::PathBuf;
use std::sync::LazyLock;

/// The characters that are drawn, in the order of [`Typeface::glyphs`].
pub const CHARACTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The place of a letter or digit in [`CHARACTERS`].
pub fn character(c: u8) -> Option<usize> {
    match c {
        b'0'..=b'9' => Some((c - b'0') as usize),
        b'A'..=b'Z' => Some((c - b'A') as usize + 10),
        b'a'..=b'z' => Some((c - b'a') as usize + 36),
        _ => None,
    }
}

/// A character's shape in ems, x to the right and y down from the start of its baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Glyph {
    /// Way to the next character.
    pub advance: f32,
    /// Closed polygons; what they wind around is ink.
    pub contours: Vec<Vec<[f32; 2]>>,
}

impl Glyph {
    /// Smallest and largest x and y.
    pub fn bounds(&self) -> ([f32; 2], [f32; 2]) {
        let start = ([f32::MAX; 2], [f32::MIN; 2]);
        self.contours.iter().flatten().fold(start, |(low, high), p| {
            ([low[0].min(p[0]), low[1].min(p[1])], [high[0].max(p[0]), high[1].max(p[1])])
        })
    }
}

/// A font's letters and digits.
#[derive(Debug, Clone)]
pub struct Typeface {
    /// Name of its file, without the ending.
    pub name: String,
    /// The shapes of [`CHARACTERS`].
    pub glyphs: Vec<Glyph>,
    kerning: Vec<f32>,
}

impl Typeface {
    /// Takes the letters and digits out of a font file.
    ///
    /// # Errors
    /// The reason why the font is of no use: a character is missing, blank or out of proportion.
    pub(super) fn read(bytes: &[u8], name: &str) -> Result<Self, String> {
        let font = FontRef::try_from_slice_and_index(bytes, 0).map_err(|_| "not a font")?;
        let units = font.units_per_em().filter(|u| *u > 0.0).ok_or("no size of an em")?;
        let mut ids = Vec::with_capacity(62);
        let mut glyphs = Vec::with_capacity(62);
        for &c in CHARACTERS {
            let c = c as char;
            let id = font.glyph_id(c);
            if id.0 == 0 {
                return Err(format!("no glyph for {c}"));
            }
            let outline = font.outline(id).filter(|o| !o.curves.is_empty());
            let outline = outline.ok_or_else(|| format!("a blank glyph for {c}"))?;
            let glyph = Glyph {
                advance: font.h_advance_unscaled(id) / units,
                contours: contours(&outline, units),
            };
            let (low, high) = glyph.bounds();
            let fits = (0..2).all(|i| low[i] > -4.0 && high[i] < 4.0 && high[i] - low[i] > 0.01);
            if !fits || !(0.02..4.0).contains(&glyph.advance) {
                return Err(format!("a glyph out of proportion for {c}"));
            }
            glyphs.push(glyph);
            ids.push(id);
        }
        let pairs = ids.iter().flat_map(|a| ids.iter().map(move |b| (*a, *b)));
        let kerning = pairs.map(|(a, b)| font.kern_unscaled(a, b) / units).collect();
        Ok(Typeface { name: name.into(), glyphs, kerning })
    }

    /// Space added between two characters, by their places in [`CHARACTERS`].
    pub fn kern(&self, left: usize, right: usize) -> f32 {
        self.kerning[left * 62 + right]
    }

    /// The face with its characters slanted to the right by `slant` and drawn in to `width`, both in
    /// parts of their size.
    pub fn altered(&self, slant: f32, width: f32) -> Self {
        let mut face = self.clone();
        for p in face.glyphs.iter_mut().flat_map(|g| &mut g.contours).flatten() {
            p[0] = width * p[0] - slant * p[1];
        }
        face
    }
}

/// The embedded typefaces, a regular and a bold one.
pub static BUILTIN: LazyLock<Vec<Typeface>> = LazyLock::new(|| {
    let names = ["DejaVuSans", "DejaVuSans-Bold"];
    let parse = |(bytes, name): (&&[u8], _)| Typeface::read(bytes, name);
    EMBEDDED.iter().zip(names).map(parse).collect::<Result<_, _>>().expect("whole fonts")
});

/// Outlines to polygons: curves in chords, long edges in parts, so that warping bends both.
fn contours(outline: &Outline, units: f32) -> Vec<Vec<[f32; 2]>> {
    let mut contours: Vec<Vec<[f32; 2]>> = Vec::new();
    let mut last: Option<Point> = None;
    for curve in &outline.curves {
        let (from, to) = match *curve {
            OutlineCurve::Line(a, b) => (a, b),
            OutlineCurve::Quad(a, _, b) => (a, b),
            OutlineCurve::Cubic(a, _, _, b) => (a, b),
        };
        if last != Some(from) {
            contours.push(Vec::new());
        }
        last = Some(to);
        let length = (to - from).x.hypot((to - from).y) / units;
        let steps = match curve {
            OutlineCurve::Line(..) => (length / 0.25).ceil().clamp(1.0, 16.0) as usize,
            OutlineCurve::Quad(..) => 4,
            OutlineCurve::Cubic(..) => 6,
        };
        let points = (1..=steps).map(|i| {
            let p = at(curve, i as f32 / steps as f32);
            [p.x / units, -p.y / units]
        });
        contours.last_mut().expect("begun above").extend(points);
    }
    contours
}

fn at(curve: &OutlineCurve, t: f32) -> Point {
    let mix = |a: Point, b: Point| Point { x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t };
    match *curve {
        OutlineCurve::Line(a, b) => mix(a, b),
        OutlineCurve::Quad(a, b, c) => mix(mix(a, b), mix(b, c)),
        OutlineCurve::Cubic(a, b, c, d) => {
            let (ab, bc, cd) = (mix(a, b), mix(b, c), mix(c, d));
            mix(mix(ab, bc), mix(bc, cd))
        }
    }
}

/// The folders where this kind of system keeps its fonts.
pub fn system_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = [
        "/usr/share/fonts",
        "/usr/local/share/fonts",
        "/Library/Fonts",
        "/System/Library/Fonts",
        "C:\\Windows\\Fonts",
    ]
    .map(PathBuf::from)
    .into();
    if let Some(home) = std::env::home_dir() {
        folders.extend([".fonts", ".local/share/fonts", "Library/Fonts"].map(|f| home.join(f)));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_characters() {
        for (i, &c) in CHARACTERS.iter().enumerate() {
            assert_eq!(character(c), Some(i));
        }
        assert_eq!(character(b'-'), None);
    }
}
