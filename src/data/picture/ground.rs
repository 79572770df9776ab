//! What lies under transparent pixels.

use image::{DynamicImage, RgbImage, RgbaImage};

/// The image as it is seen: where pixels are transparent, on white or on black, whichever is further from
/// what is visible. Colors of hidden pixels do not count. An alpha that hides everything is none: programs
/// that leave the channel empty write such files.
pub(super) fn grounded(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    if image.pixels().all(|p| p.0[3] == 0) {
        return DynamicImage::from(image).into_rgb8();
    }
    let ground = ground(&image);
    let bytes = image.pixels().flat_map(|p| {
        let [r, g, b, a] = p.0.map(u32::from);
        [r, g, b].map(|v| ((v * a + ground * (255 - a) + 127) / 255) as u8)
    });
    let bytes = bytes.collect();
    RgbImage::from_raw(image.width(), image.height(), bytes).expect("three bytes per pixel")
}

/// 255 under what is dark and 0 under what is bright, by the mean luma of what is visible. An outline is there to set
/// letters off: where there is one, the ground continues it.
fn ground(image: &RgbaImage) -> u32 {
    let (mut rim, mut core) = (Mean::default(), Mean::default());
    let seen = |x: u32, y: u32| image.get_pixel_checked(x, y).is_none_or(|p| p.0[3] >= 128);
    for (x, y, pixel) in image.enumerate_pixels().filter(|(.., p)| p.0[3] > 0) {
        let around = [(x + 1, y), (x.wrapping_sub(1), y), (x, y + 1), (x, y.wrapping_sub(1))];
        let inside = seen(x, y) && around.into_iter().all(|(x, y)| seen(x, y));
        if inside { &mut core } else { &mut rim }.add(pixel.0);
    }
    let all = Mean { luma: rim.luma + core.luma, weight: rim.weight + core.weight };
    let outlined = rim.weight > 0.0 && core.weight > 0.0;
    let bright = match outlined && (rim.get() - core.get()).abs() > OUTLINE {
        true => rim.get() < 127.0,
        false => all.get() > 127.0,
    };
    if bright { 0 } else { 255 }
}

/// Levels between an outline and what is in it.
const OUTLINE: f64 = 64.0;

/// A mean luma, by alpha.
#[derive(Default)]
struct Mean {
    luma: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, pixel: [u8; 4]) {
        let [r, g, b, a] = pixel.map(f64::from);
        self.luma += (0.299 * r + 0.587 * g + 0.114 * b) * a;
        self.weight += a;
    }

    fn get(&self) -> f64 {
        self.luma / self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pixels: &[[u8; 4]]) -> Vec<[u8; 3]> {
        let image = RgbaImage::from_raw(pixels.len() as u32, 1, pixels.concat()).unwrap();
        grounded(image.into()).pixels().map(|p| p.0).collect()
    }

    #[test]
    fn bright_letters_lie_on_black_and_dark_ones_on_white() {
        assert_eq!(seen(&[[255, 255, 255, 255], [255, 255, 255, 0]]), [[255; 3], [0; 3]]);
        assert_eq!(seen(&[[255, 255, 0, 255], [9, 9, 9, 0]]), [[255, 255, 0], [0; 3]]);
        assert_eq!(seen(&[[0, 0, 128, 255], [0, 0, 0, 0]]), [[0, 0, 128], [255; 3]]);
        assert_eq!(seen(&[[255, 255, 255, 128], [0; 4]]), [[128; 3], [0; 3]]);
    }

    #[test]
    fn an_outline_goes_on_in_the_ground() {
        let [letter, outline] = [[255, 255, 255, 255], [0, 0, 0, 255]];
        let across = |letter, outline| {
            let rows = [[[9; 4]; 7], [[9; 4]; 7], [[9; 4]; 7]]
                .map(|_| [[9, 9, 9, 0], outline, outline, letter, outline, outline, [9, 9, 9, 0]]);
            let image = RgbaImage::from_raw(7, 3, rows.concat().concat()).unwrap();
            grounded(image.into()).get_pixel(0, 1).0
        };
        assert_eq!(across(letter, outline), [0; 3], "white letters in black");
        assert_eq!(across(outline, letter), [255; 3], "black letters in white");
    }

    #[test]
    fn hidden_colors_are_never_seen_and_an_alpha_that_hides_all_is_none() {
        assert_eq!(seen(&[[10, 10, 10, 255], [255, 0, 0, 0], [0, 255, 0, 0]])[1..], [[255; 3]; 2]);
        assert_eq!(seen(&[[255, 0, 0, 0], [0, 9, 0, 0]]), [[255, 0, 0], [0, 9, 0]]);
    }
}
