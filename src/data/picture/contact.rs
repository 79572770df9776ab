//! A sheet of pairs for people to look over: each word sharp and coarse, with its label.

use super::canvas::{Canvas, INK, MARGIN, SOFT, enlarged};
use super::text::Face;
use image::{Rgb, RgbImage};

const LABEL: Face = Face::bold(15.0);
const NOTE: Face = Face::regular(12.0);

/// Pairs beside each other.
const COLUMNS: u32 = 3;
/// Enlargement of the sharp image of 128×32; the coarse one is shown at the same size.
const SCALE: u32 = 2;
const GAP: u32 = 14;
const LINE_HEIGHT: u32 = 24;
/// Colors of the characters' extents, by turns.
const MARKS: [Rgb<u8>; 2] = [Rgb([196, 88, 32]), Rgb([36, 104, 180])];

/// A word as it would be trained on.
#[derive(Debug, Clone)]
pub struct Pair {
    /// What is written.
    pub label: String,
    /// The sharp image, 128×32.
    pub hr: RgbImage,
    /// The coarse image, 64×16.
    pub lr: RgbImage,
    /// Left and right end of each character in parts of the width; may be empty.
    pub characters: Vec<(f32, f32)>,
}

/// Draws the pairs in rows, each character's extent as a line below the sharp image.
pub fn contact_sheet(pairs: &[Pair]) -> RgbImage {
    let (width, height) = (128 * SCALE, 32 * SCALE);
    let cell = (2 * width + GAP, height + LINE_HEIGHT + GAP);
    let rows = (pairs.len() as u32).div_ceil(COLUMNS);
    let page = COLUMNS * (cell.0 + 2 * GAP) - 2 * GAP;
    let mut canvas = Canvas::new(page + 2 * MARGIN, rows * cell.1 + 2 * MARGIN);
    for (i, pair) in pairs.iter().enumerate() {
        let (column, row) = (i as u32 % COLUMNS, i as u32 / COLUMNS);
        let (x, y) = (MARGIN + column * (cell.0 + 2 * GAP), MARGIN + row * cell.1);
        let baseline = (y + 13) as f32;
        let end = canvas.text((x as f32, baseline), LABEL, INK, &pair.label);
        canvas.text((end + 8.0, baseline), NOTE, SOFT, &format!("{i}"));
        let top = y + LINE_HEIGHT - 4;
        canvas.picture(x, top, &enlarged(&pair.hr, SCALE));
        canvas.picture(x + width + GAP, top, &enlarged(&pair.lr, 2 * SCALE));
        for (j, &(from, to)) in pair.characters.iter().enumerate() {
            let [from, to] = [from, to].map(|at| (at.clamp(0.0, 1.0) * width as f32) as u32);
            let mark = (x + from, top + height + 2);
            canvas.fill(mark.0, mark.1, (to - from.min(to)).max(1), 3, MARKS[j % 2]);
        }
    }
    canvas.into_image()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_shows_its_pairs_and_may_be_empty() {
        let pair = Pair {
            label: "word".into(),
            hr: RgbImage::from_pixel(128, 32, Rgb([200, 0, 0])),
            lr: RgbImage::from_pixel(64, 16, Rgb([0, 0, 200])),
            characters: vec![(0.1, 0.3), (0.9, 1.5)],
        };
        let sheet = contact_sheet(&vec![pair; 4]);
        let count = |color| sheet.pixels().filter(|p| p.0 == color).count();
        assert_eq!(count([200, 0, 0]), 4 * 256 * 64);
        assert_eq!(count([0, 0, 200]), 4 * 256 * 64);
        assert!(contact_sheet(&[]).width() > 0);
    }
}
