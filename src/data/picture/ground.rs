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

/// 255 under what is dark, 0 under what is bright, by the mean luma of what is visible.
fn ground(image: &RgbaImage) -> u32 {
    let (mut luma, mut weight) = (0, 0);
    for p in image.pixels() {
        let [r, g, b, a] = p.0.map(u64::from);
        luma += (299 * r + 587 * g + 114 * b) * a;
        weight += a;
    }
    if luma > 1000 * 127 * weight { 0 } else { 255 }
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
    fn hidden_colors_are_never_seen_and_an_alpha_that_hides_all_is_none() {
        assert_eq!(seen(&[[10, 10, 10, 255], [255, 0, 0, 0], [0, 255, 0, 0]])[1..], [[255; 3]; 2]);
        assert_eq!(seen(&[[255, 0, 0, 0], [0, 9, 0, 0]]), [[255, 0, 0], [0, 9, 0]]);
    }
}
