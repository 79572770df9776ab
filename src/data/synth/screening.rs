//! Which fonts are of use: the search for them, and the check that their characters are what they stand for.

use super::bitmap::{cosine_similarity, glyph_bitmap};
use super::typeface::{BUILTIN, CHARACTERS, Glyph, Typeface};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The letters and digits of a font file, screened: each must be there, hold ink, differ from the others, and enough must look
/// like what they stand for.
///
/// # Errors
/// The reason why the font is of no use.
pub fn screened(bytes: &[u8], name: &str) -> Result<Typeface, String> {
    let face = Typeface::read(bytes, name)?;
    check_duplicates(&face)?;
    let known = recognized(&face);
    if known < MIN_RECOGNIZED {
        return Err(format!("{known} of 62 characters look like what they stand for"));
    }
    Ok(face)
}

/// Refuses two characters of one shape, unless they are two cases or often drawn alike.
fn check_duplicates(face: &Typeface) -> Result<(), String> {
    for a in 0..62 {
        for b in 0..a {
            let [x, y] = [a, b].map(|i| CHARACTERS[i] as char);
            if face.glyphs[a].contours == face.glyphs[b].contours && !alike(x, y) {
                return Err(format!("one glyph for {y} and {x}"));
            }
        }
    }
    Ok(())
}

/// Whether two characters may look the same in a good font.
fn alike(a: char, b: char) -> bool {
    let group = |c: char| match c.to_ascii_lowercase() {
        '0' | 'o' => '0',
        '1' | 'i' | 'l' => '1',
        c => c,
    };
    group(a) == group(b)
}

/// Of 62 characters, how many must look like themselves for a font to be of use.
const MIN_RECOGNIZED: usize = 40;

/// How many characters of a typeface are, in either case, among the five shapes of the built-in
/// typefaces, upright and slanted, that they are most like.
fn recognized(face: &Typeface) -> usize {
    static KNOWN: LazyLock<Vec<(char, Vec<f32>)>> = LazyLock::new(|| {
        let shapes = |face: &Typeface| -> Vec<_> {
            let pairs = CHARACTERS.iter().zip(&face.glyphs);
            pairs.map(|(&c, g)| (c as char, glyph_bitmap(g))).collect()
        };
        let upright = BUILTIN.iter();
        let slanted: Vec<_> = upright.clone().map(|face| face.altered(0.22, 1.0)).collect();
        upright.chain(&slanted).flat_map(shapes).collect()
    });
    let is_known = |(&c, glyph): (&u8, &Glyph)| {
        let seen = glyph_bitmap(glyph);
        let mut ranks: Vec<(f32, char)> =
            KNOWN.iter().map(|(known, shape)| (cosine_similarity(&seen, shape), *known)).collect();
        ranks.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranks[..5].iter().any(|(_, known)| alike(*known, c as char))
    };
    CHARACTERS.iter().zip(&face.glyphs).filter(|pair| is_known(*pair)).count()
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
            Ok(bytes) => screened(&bytes, &name),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::picture::EMBEDDED;
    use crate::data::synth::typeface::character;

    #[test]
    fn the_embedded_fonts_pass_their_own_screening() {
        for bytes in EMBEDDED {
            let face = screened(bytes, "x").unwrap();
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
        assert!(screened(b"", "x").is_err());
        assert!(screened(&[7; 5000], "x").is_err());
        let half = &EMBEDDED[0][..EMBEDDED[0].len() / 2];
        assert!(screened(half, "x").is_err());
    }

    #[test]
    fn wrong_and_repeated_glyphs_are_noticed() {
        let good = &BUILTIN[0];
        let mut repeated = good.clone();
        repeated.glyphs[20] = repeated.glyphs[21].clone();
        assert_eq!(check_duplicates(&repeated), Err("one glyph for K and L".into()));
        let mut cases = good.clone();
        cases.glyphs[40] = cases.glyphs[14].clone();
        cases.glyphs[0] = cases.glyphs[24].clone();
        assert_eq!(check_duplicates(&cases), Ok(()), "e as E, 0 as O");
        // A font whose letters stand in the places of others.
        let mut shifted = good.clone();
        shifted.glyphs.rotate_left(7);
        assert!(recognized(&shifted) < MIN_RECOGNIZED);
    }

    #[test]
    fn shapes_are_most_like_themselves() {
        let regular: Vec<_> = BUILTIN[0].glyphs.iter().map(glyph_bitmap).collect();
        let bold: Vec<_> = BUILTIN[1].glyphs.iter().map(glyph_bitmap).collect();
        let right = (0..62).filter(|&i| {
            let best = (0..62).max_by(|&a, &b| {
                cosine_similarity(&bold[i], &regular[a])
                    .total_cmp(&cosine_similarity(&bold[i], &regular[b]))
            });
            best.is_some_and(|best| alike(CHARACTERS[best] as char, CHARACTERS[i] as char))
        });
        let right = right.count();
        assert!(right > 55, "{right} of 62");
    }
}
