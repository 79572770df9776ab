//! One picture per image for people to look at: what went in, what bicubic resizing makes of it,
//! what the network and others make of it, where the network looked, and what it read.

use super::canvas::{Canvas, INK, LINE, MARGIN, SOFT, enlarged};
use super::heat::{inferno, overlay};
use super::text::Face;
use super::{Map, Plan, SCALE};
use image::{Rgb, RgbImage, imageops};

const READ: Face = Face::bold(38.0);
const FIGURE: Face = Face::bold(22.0);
const LABEL: Face = Face::bold(15.0);
const NOTE: Face = Face::regular(15.0);

/// Space between pictures.
const GAP: u32 = 28;
/// Height of the line above a picture.
const LABEL_HEIGHT: u32 = 28;
/// Height of text, bar and file name above the pictures.
const HEADER: u32 = 124;
/// Widest a row of one picture grows before it is broken into bands.
const WIDEST: u32 = 1536;
/// Width up to which pictures stand beside each other: four squares, or two words.
const WORD_PAGE: u32 = 1112;
/// Narrowest page: room for a word and its confidence.
const NARROWEST: u32 = 560;
/// Narrowest column: room for a label.
const NARROWEST_CELL: u32 = 150;

/// What was read from an image.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The text.
    pub text: &'a str,
    /// Confidence of the whole, 0..=1.
    pub confidence: f32,
    /// Confidence of each character, 0..=1; may be empty.
    pub characters: &'a [f32],
}

/// A comparison sheet. Every part is what the rest of this module made of one image.
#[derive(Debug, Clone, Copy)]
pub struct Sheet<'a> {
    /// Name of the image, usually of its file.
    pub name: &'a str,
    /// The image's way through the network.
    pub plan: &'a Plan,
    /// The super-resolved image, from [`Plan::assemble`].
    pub super_resolved: &'a RgbImage,
    /// What other networks make of it, by their names.
    pub others: &'a [(String, RgbImage)],
    /// What the network is called, where there are others.
    pub network: &'a str,
    /// The location attention over the line, from [`Plan::assemble_map`]; scaled to its own range.
    pub attention: Option<&'a Map>,
    /// What was read.
    pub reading: Option<Reading<'a>>,
}

impl Sheet<'_> {
    /// Draws the sheet: columns for a word, rows below each other for a wider image, and bands
    /// of rows for a long line.
    pub fn draw(&self) -> RgbImage {
        let (width, height) = self.plan.output_size();
        let scale = scale(width);
        let panels = self.panels(scale);
        let (width, height) = (width * scale, height * scale);
        let bands = width.div_ceil(WIDEST - WIDEST % scale);
        let band = width.div_ceil(bands).next_multiple_of(scale);
        let cell = (band.max(NARROWEST_CELL), height + LABEL_HEIGHT);
        let content = |columns: u32| columns * cell.0 + (columns - 1) * GAP;
        let columns = [4, 2].into_iter().find(|&n| content(n) <= WORD_PAGE).unwrap_or(1);
        let rows = (panels.len() as u32).div_ceil(columns);

        let page = content(columns).max(NARROWEST);
        let band_height = rows * (cell.1 + GAP);
        let height = MARGIN + HEADER + bands * band_height + (bands - 1) * GAP + MARGIN - GAP;
        let mut canvas = Canvas::new(page + 2 * MARGIN, height);
        self.header(&mut canvas, page);

        for b in 0..bands {
            let top = MARGIN + HEADER + b * (band_height + GAP);
            if b > 0 {
                canvas.fill(MARGIN, top - GAP, page, 1, LINE);
            }
            let (from, to) = (b * band, ((b + 1) * band).min(width));
            for (i, (label, image)) in panels.iter().enumerate() {
                let (column, row) = (i as u32 % columns, i as u32 / columns);
                let x = MARGIN + column * (cell.0 + GAP);
                let y = top + row * (cell.1 + GAP);
                let label = LABEL.shorten(label, cell.0 as f32);
                canvas.text((x as f32, (y + 17) as f32), LABEL, INK, &label);
                if label == ATTENTION {
                    legend(&mut canvas, (x, x + cell.0), y + 6);
                }
                let part = imageops::crop_imm(image, from, 0, to - from, image.height());
                canvas.picture(x, y + LABEL_HEIGHT, &part.to_image());
            }
        }
        canvas.into_image()
    }

    /// The pictures with their labels, `scale` times the result's size.
    fn panels(&self, scale: u32) -> Vec<(&str, RgbImage)> {
        let bicubic = enlarged(&self.plan.bicubic(), scale);
        let heat = self.attention.map(|map| (ATTENTION, overlay(&bicubic, &map.normalized())));
        let own = if self.others.is_empty() { "Super-resolved" } else { self.network };
        let others = self.others.iter().map(|(name, image)| (&**name, enlarged(image, scale)));
        [
            ("Input", enlarged(self.plan.line(), SCALE * scale)),
            ("Bicubic", bicubic),
            (own, enlarged(self.super_resolved, scale)),
        ]
        .into_iter()
        .chain(others)
        .chain(heat)
        .collect()
    }

    fn header(&self, canvas: &mut Canvas, page: u32) {
        let (left, right) = (MARGIN as f32, (MARGIN + page) as f32);
        let baseline = (MARGIN + 34) as f32;
        if let Some(reading) = &self.reading {
            let percent = format!("{:.1} %", 100.0 * reading.confidence.clamp(0.0, 1.0));
            let figure = right - FIGURE.width(&percent);
            canvas.text((figure, baseline), FIGURE, confidence_color(reading.confidence), &percent);
            let note = "confidence ";
            canvas.text((figure - NOTE.width(note) - 4.0, baseline), NOTE, SOFT, note);
            let room = figure - NOTE.width(note) - 4.0 - left - GAP as f32;
            word(canvas, (left, baseline), room, reading);
        }
        let (w, h) = self.plan.output_size();
        let note = format!("  ·  {}  ·  {w}×{h} pixels", self.plan);
        let name = LABEL.shorten(self.name, page as f32 - NOTE.width(&note));
        let below = (MARGIN + 76) as f32;
        let end = canvas.text((left, below), LABEL, INK, &name);
        canvas.text((end, below), NOTE, SOFT, &note);
        canvas.fill(MARGIN, MARGIN + 94, page, 1, LINE);
    }
}

const ATTENTION: &str = "Location attention";

/// The text, each character underlined in the color of its confidence.
fn word(canvas: &mut Canvas, (x, baseline): (f32, f32), room: f32, reading: &Reading) {
    if reading.text.is_empty() {
        canvas.text((x, baseline), READ, SOFT, "no text");
        return;
    }
    let shown = READ.shorten(reading.text, room);
    canvas.text((x, baseline), READ, INK, &shown);
    if shown != reading.text {
        return;
    }
    let ends = reading.text.char_indices().map(|(i, c)| i + c.len_utf8());
    let mut from = x;
    for (end, &confidence) in ends.zip(reading.characters) {
        let to = x + READ.width(&reading.text[..end]);
        let (start, width) = (from.round() as u32 + 1, ((to - from).round() as u32).max(3) - 2);
        canvas.fill(start, baseline as u32 + 11, width, 4, confidence_color(confidence));
        from = to;
    }
}

/// From red over amber to green.
fn confidence_color(confidence: f32) -> Rgb<u8> {
    const STOPS: [[f32; 3]; 3] = [[190.0, 48.0, 44.0], [206.0, 142.0, 20.0], [44.0, 132.0, 84.0]];
    let t = (confidence.clamp(0.0, 1.0) - 0.3).max(0.0) / 0.7 * 2.0;
    let (low, part) = if t < 1.0 { (0, t) } else { (1, t - 1.0) };
    Rgb([0, 1, 2].map(|c| (STOPS[low][c] + (STOPS[low + 1][c] - STOPS[low][c]) * part) as u8))
}

/// The colors of the attention, at the right end of a label's line where there is room.
fn legend(canvas: &mut Canvas, (left, right): (u32, u32), y: u32) {
    const WIDTH: u32 = 120;
    let (less, more) = (NOTE.width("less") as u32, NOTE.width("more") as u32);
    let start = right.saturating_sub(WIDTH + less + more + 16);
    if start < left + LABEL.width(ATTENTION) as u32 + GAP {
        return;
    }
    canvas.text((start as f32, (y + 11) as f32), NOTE, SOFT, "less");
    let bar = start + less + 8;
    for x in 0..WIDTH {
        canvas.fill(bar + x, y + 1, 1, 10, inferno(x as f32 / (WIDTH - 1) as f32));
    }
    canvas.text(((bar + WIDTH + 8) as f32, (y + 11) as f32), NOTE, SOFT, "more");
}

/// How much a result of this width is enlarged.
fn scale(width: u32) -> u32 {
    match width {
        0..=40 => 8,
        41..=90 => 6,
        91..=384 => 4,
        385..=2048 => 3,
        _ => 2,
    }
}
