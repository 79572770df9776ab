//! Letters and digits of a font as polygons, and the screening of fonts.

use crate::data::picture::EMBEDDED;
use ab_glyph::{Font, FontRef, Outline, OutlineCurve, Point};
use std::path::{Path, PathBuf};
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
    /// Takes the letters and digits out of a font file and screens them: each must be there, hold
    /// ink, differ from the others, and enough must look like what they stand for.
    ///
    /// # Errors
    /// The reason why the font is of no use.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, String> {
        let face = Self::read(bytes, name)?;
        face.check_duplicates()?;
        let known = super::shape::recognised(&face);
        if known < super::shape::ENOUGH {
            return Err(format!("{known} of 62 characters look like what they stand for"));
        }
        Ok(face)
    }

    fn read(bytes: &[u8], name: &str) -> Result<Self, String> {
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

    /// Refuses two characters of one shape, unless they are two cases or often drawn alike.
    fn check_duplicates(&self) -> Result<(), String> {
        for a in 0..62 {
            for b in 0..a {
                let [x, y] = [a, b].map(|i| CHARACTERS[i] as char);
                if self.glyphs[a].contours == self.glyphs[b].contours && !alike(x, y) {
                    return Err(format!("one glyph for {y} and {x}"));
                }
            }
        }
        Ok(())
    }
}

/// Whether two characters may look the same in a good font.
pub(super) fn alike(a: char, b: char) -> bool {
    let group = |c: char| match c.to_ascii_lowercase() {
        '0' | 'o' => '0',
        '1' | 'i' | 'l' => '1',
        c => c,
    };
    group(a) == group(b)
}

/// The embedded typefaces, a regular and a bold one.
pub static HOUSE: LazyLock<Vec<Typeface>> = LazyLock::new(|| {
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

/// Largest font file that is opened.
const MAX_BYTES: u64 = 64 << 20;

/// The fonts found in some folders.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that passed, in the order of their paths.
    pub typefaces: Vec<Typeface>,
    /// The others, with the reason.
    pub refused: Vec<(PathBuf, String)>,
}

/// Looks for fonts (`.ttf`, `.otf`, `.ttc`) in folders and below.
pub fn find(folders: &[PathBuf]) -> Found {
    let mut paths = Vec::new();
    folders.iter().for_each(|f| walk(f, 0, &mut paths));
    paths.sort();
    paths.dedup();
    let mut found = Found::default();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let large = path.metadata().is_ok_and(|m| m.len() > MAX_BYTES);
        let parsed = match std::fs::read(&path) {
            _ if large => Err("the file is too large for a font".into()),
            Ok(bytes) => Typeface::parse(&bytes, &name),
            Err(e) => Err(e.to_string()),
        };
        match parsed {
            Ok(face) => found.typefaces.push(face),
            Err(reason) => found.refused.push((path, reason)),
        }
    }
    found
}

fn walk(path: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    const DEEPEST: usize = 12;
    if path.is_dir() {
        if depth < DEEPEST {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.for_each(|e| walk(&e.path(), depth + 1, found));
        }
    } else {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        if ["ttf", "otf", "ttc"].iter().any(|e| *e == ending) {
            found.push(path.to_owned());
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
    fn the_embedded_fonts_pass_their_own_screening() {
        for bytes in EMBEDDED {
            let face = Typeface::parse(bytes, "x").unwrap();
            assert_eq!(face.glyphs.len(), 62);
            let height = |c| {
                let (low, high) = face.glyphs[character(c).unwrap()].bounds();
                high[1] - low[1]
            };
            assert!((height(b'H') - 0.729).abs() < 0.01, "cap height of DejaVu");
            assert!(height(b'x') < height(b'H') && height(b'g') > height(b'x'));
        }
    }

    #[test]
    fn what_is_no_font_is_refused_with_a_reason() {
        assert!(Typeface::parse(b"", "x").is_err());
        assert!(Typeface::parse(&[7; 5000], "x").is_err());
        let half = &EMBEDDED[0][..EMBEDDED[0].len() / 2];
        assert!(Typeface::parse(half, "x").is_err());
    }

    #[test]
    fn wrong_and_repeated_glyphs_are_noticed() {
        let good = &HOUSE[0];
        let mut repeated = good.clone();
        repeated.glyphs[20] = repeated.glyphs[21].clone();
        assert_eq!(repeated.check_duplicates(), Err("one glyph for K and L".into()));
        let mut cases = good.clone();
        cases.glyphs[40] = cases.glyphs[14].clone();
        cases.glyphs[0] = cases.glyphs[24].clone();
        assert_eq!(cases.check_duplicates(), Ok(()), "e as E, 0 as O");
        // A font whose letters stand in the places of others.
        let mut shifted = good.clone();
        shifted.glyphs.rotate_left(7);
        assert!(super::super::shape::recognised(&shifted) < super::super::shape::ENOUGH);
    }

    #[test]
    fn places_of_characters() {
        for (i, &c) in CHARACTERS.iter().enumerate() {
            assert_eq!(character(c), Some(i));
        }
        assert_eq!(character(b'-'), None);
    }
}
