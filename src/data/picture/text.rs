//! Type: DejaVu Sans, embedded as a subset of ASCII and Latin-1.

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use std::sync::LazyLock;

/// The files of the embedded type.
pub(in crate::data) static EMBEDDED: [&[u8]; 2] =
    [include_bytes!("font/DejaVuSans.ttf"), include_bytes!("font/DejaVuSans-Bold.ttf")];

static REGULAR: LazyLock<FontRef<'static>> = LazyLock::new(|| parse(EMBEDDED[0]));
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| parse(EMBEDDED[1]));

fn parse(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("the embedded font is whole")
}

/// A weight and size of type.
#[derive(Clone, Copy)]
pub(super) struct Face {
    bold: bool,
    /// Pixels of an em.
    size: f32,
}

impl Face {
    pub(super) const fn regular(size: f32) -> Self {
        Face { bold: false, size }
    }

    pub(super) const fn bold(size: f32) -> Self {
        Face { bold: true, size }
    }

    /// Pixels that `text` takes on its line.
    pub(super) fn width(self, text: &str) -> f32 {
        self.walk(text, |_, _| ())
    }

    /// `text`, or its two ends around an ellipsis where it is wider than `room`.
    pub(super) fn shorten(self, text: &str, room: f32) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let chars: Vec<char> = text.chars().collect();
        let cut = |kept: usize| -> String {
            let tail = &chars[chars.len() - kept / 2..];
            chars[..kept.div_ceil(2)].iter().chain(&['…']).chain(tail).collect()
        };
        // A name of any length: what cannot fit at a fifth of an em per character is not tried.
        let most = (room / (0.2 * self.size)) as usize;
        let kept = (0..chars.len().min(most)).rev().find(|&kept| self.width(&cut(kept)) <= room);
        cut(kept.unwrap_or(0))
    }

    /// Calls `plot(x, y, coverage)` for the pixels of `text`; returns where it ends.
    pub(super) fn draw(
        self,
        x: f32,
        baseline: f32,
        text: &str,
        mut plot: impl FnMut(u32, u32, f32),
    ) -> f32 {
        let (font, scale) = (self.font(), self.scale());
        let width = self.walk(text, |id, at| {
            let glyph = id.with_scale_and_position(scale, point(x + at, baseline));
            if let Some(outline) = font.outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                outline.draw(|dx, dy, coverage| {
                    let (x, y) = (bounds.min.x + dx as f32, bounds.min.y + dy as f32);
                    if x >= 0.0 && y >= 0.0 {
                        plot(x as u32, y as u32, coverage.min(1.0));
                    }
                });
            }
        });
        x + width
    }

    /// Visits every glyph with its start, kerned; returns the width of the line.
    fn walk(self, text: &str, mut visit: impl FnMut(GlyphId, f32)) -> f32 {
        let font = self.font().as_scaled(self.scale());
        let (mut at, mut last) = (0.0, None);
        for c in text.chars() {
            let id = font.glyph_id(if c.is_control() { '\u{FFFD}' } else { c });
            if let Some(last) = last {
                at += font.kern(last, id);
            }
            visit(id, at);
            at += font.h_advance(id);
            last = Some(id);
        }
        at
    }

    fn font(self) -> &'static FontRef<'static> {
        if self.bold { &BOLD } else { &REGULAR }
    }

    /// The library counts in line heights.
    fn scale(self) -> PxScale {
        let font = self.font();
        PxScale::from(self.size * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_ascii_and_latin_1_character_has_a_glyph() {
        for font in [&*REGULAR, &*BOLD] {
            for c in (' '..='~').chain('\u{A0}'..='ÿ').chain("…–—·×→%".chars()) {
                assert_ne!(font.glyph_id(c).0, 0, "{c:?}");
            }
        }
    }

    #[test]
    fn widths_add_up_and_long_names_are_shortened_in_the_middle() {
        let face = Face::regular(16.0);
        assert_eq!(face.width(""), 0.0);
        assert!(face.width("mm") > face.width("ii"));
        assert!(Face::bold(16.0).width("word") > face.width("word"));
        assert_eq!(face.shorten("short.png", 200.0), "short.png");
        let long = format!("{}.png", "long-name-".repeat(300));
        let short = face.shorten(&long, 200.0);
        assert!(face.width(&short) <= 200.0 && face.width(&short) > 160.0, "{short}");
        assert!(short.starts_with("long") && short.ends_with(".png") && short.contains('…'));
    }
}
