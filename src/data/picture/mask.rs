//! From 8-bit images to what a network takes: bytes divided by 255, and the mask as fourth channel.

use super::pillow::luma;
use image::RgbImage;

/// The mask channel, in raster order: 1 where a pixel is dark (luma ≤ its mean over the image, the
/// mean in f64), else 0.
pub fn mask(image: &RgbImage) -> Vec<u8> {
    let luma = luma(image);
    let mean = luma.iter().map(|&l| f64::from(l)).sum::<f64>() / luma.len() as f64;
    luma.iter().map(|&l| u8::from(f64::from(l) <= mean)).collect()
}

/// LEMMA's input `[H, W, 4]`: R, G, B in 0..=1 and the [`mask`], 0 or 1. The network takes 16×64.
pub fn lr_input(image: &RgbImage) -> Vec<f32> {
    let mask = mask(image);
    image
        .pixels()
        .zip(mask)
        .flat_map(|(p, m)| {
            let [r, g, b] = p.0.map(unit);
            [r, g, b, f32::from(m)]
        })
        .collect()
}

/// A recognizer's input `[H, W, 3]`: R, G, B in 0..=1.
pub fn rgb_input(image: &RgbImage) -> Vec<f32> {
    image.as_raw().iter().map(|&b| unit(b)).collect()
}

fn unit(byte: u8) -> f32 {
    f32::from(byte) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn dark_pixels_are_one_and_the_mean_itself_counts_as_dark() {
        let image = RgbImage::from_fn(2, 1, |x, _| Rgb([x as u8 * 200; 3]));
        assert_eq!(mask(&image), [1, 0]);
        assert_eq!(mask(&RgbImage::from_pixel(3, 2, Rgb([9, 9, 9]))), [1; 6]);
        assert_eq!(
            lr_input(&image),
            [0.0, 0.0, 0.0, 1.0, 200.0 / 255.0, 200.0 / 255.0, 200.0 / 255.0, 0.0]
        );
        assert_eq!(rgb_input(&image).len(), 6);
    }
}
