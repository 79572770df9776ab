//! A page to draw figures on: rectangles, enlarged images, text; and the house colors.

use super::text::Face;
use image::{Rgb, RgbImage, imageops};

pub(super) const PAPER: Rgb<u8> = Rgb([250, 250, 248]);
pub(super) const INK: Rgb<u8> = Rgb([28, 28, 30]);
pub(super) const SOFT: Rgb<u8> = Rgb([110, 110, 115]);
pub(super) const LINE: Rgb<u8> = Rgb([224, 224, 220]);

/// Free space around a page.
pub(super) const MARGIN: u32 = 36;

/// What is drawn outside the page is cut off.
pub(super) struct Canvas(RgbImage);

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Canvas(RgbImage::from_pixel(width, height, PAPER))
    }

    pub(super) fn into_image(self) -> RgbImage {
        self.0
    }

    pub(super) fn fill(&mut self, x: u32, y: u32, w: u32, h: u32, color: Rgb<u8>) {
        let (right, bottom) = ((x + w).min(self.0.width()), (y + h).min(self.0.height()));
        for y in y..bottom {
            for x in x..right {
                self.0.put_pixel(x, y, color);
            }
        }
    }

    /// An image with a hairline around it.
    pub(super) fn picture(&mut self, x: u32, y: u32, image: &RgbImage) {
        let (w, h) = image.dimensions();
        self.fill(x - 1, y - 1, w + 2, h + 2, LINE);
        imageops::replace(&mut self.0, image, i64::from(x), i64::from(y));
    }

    /// Text from `x`, standing on the line `baseline`; returns where it ends.
    pub(super) fn text(
        &mut self,
        (x, baseline): (f32, f32),
        face: Face,
        color: Rgb<u8>,
        text: &str,
    ) -> f32 {
        let (w, h) = self.0.dimensions();
        let image = &mut self.0;
        face.draw(x, baseline, text, |x, y, coverage| {
            if x < w && y < h {
                let under = image.get_pixel_mut(x, y);
                for (u, c) in under.0.iter_mut().zip(color.0) {
                    let mixed = f32::from(*u) + (f32::from(c) - f32::from(*u)) * coverage;
                    *u = mixed.round() as u8;
                }
            }
        })
    }
}

/// `image` with every pixel `scale` times as wide and high.
pub(super) fn enlarged(image: &RgbImage, scale: u32) -> RgbImage {
    let (w, h) = (image.width() * scale, image.height() * scale);
    RgbImage::from_fn(w, h, |x, y| *image.get_pixel(x / scale, y / scale))
}
