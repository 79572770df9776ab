//! Maps over an image and how they are colored.

use crate::{Error, ErrorKind, Result};
use image::{Rgb, RgbImage};

/// One number per pixel, in raster order.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    width: u32,
    height: u32,
    values: Vec<f32>,
}

impl Map {
    /// A map of `width`×`height` values.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when it is empty or the number of values is another;
    /// [`ErrorKind::Result`] when one is not finite.
    pub fn new(width: u32, height: u32, values: Vec<f32>) -> Result<Self> {
        if values.is_empty() || values.len() != width as usize * height as usize {
            return Err(Error::new(ErrorKind::Shape, "map", "number of values")
                .expected(format!("{height}×{width}, at least 1"))
                .got(values.len()));
        }
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            let at = format!("row {}, column {}", i / width as usize, i % width as usize);
            return Err(super::values::not_finite("map", values[i], at));
        }
        Ok(Map { width, height, values })
    }

    /// Width and height.
    pub fn dimensions(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The values, in raster order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same with its smallest value at 0 and its largest at 1; a constant map becomes 0.
    pub(super) fn normalized(&self) -> Map {
        let low = self.values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = self.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let span = high - low;
        let unit = |v: &f32| if span > 0.0 { (v - low) / span } else { 0.0 };
        Map { values: self.values.iter().map(unit).collect(), ..*self }
    }

    /// Value at (`u`, `v`) in 0..1 of the map's width and height, between pixels bilinearly.
    fn at(&self, u: f32, v: f32) -> f32 {
        let along = |t: f32, size: u32| {
            let t = (t * size as f32 - 0.5).clamp(0.0, (size - 1) as f32);
            let low = (t as usize).min(size as usize - 1);
            (low, (low + 1).min(size as usize - 1), t - low as f32)
        };
        let (x0, x1, fx) = along(u, self.width);
        let (y0, y1, fy) = along(v, self.height);
        let at = |x: usize, y: usize| self.values[y * self.width as usize + x];
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        mix(mix(at(x0, y0), at(x1, y0), fx), mix(at(x0, y1), at(x1, y1), fx), fy)
    }
}

/// The color map *inferno*, from black over purple and orange to pale yellow, for `t` in 0..=1
/// (outside, its ends): evenly growing lightness, readable in gray and by the color-blind. A
/// polynomial of degree six fitted to the original table by Matt Zucker.
pub fn inferno(t: f32) -> Rgb<u8> {
    const C: [[f32; 3]; 7] = [
        [0.000_22, 0.001_65, -0.019_48],
        [0.106_51, 0.563_96, 3.932_71],
        [11.602_5, -3.972_9, -15.942_4],
        [-41.704, 17.436_4, 44.354_1],
        [77.162_9, -33.402_4, -81.807_3],
        [-71.319_4, 32.626_1, 73.209_5],
        [25.131_1, -12.242_7, -23.070_3],
    ];
    let t = t.clamp(0.0, 1.0);
    Rgb([0, 1, 2].map(|c| {
        let value = C.iter().rev().fold(0.0, |sum, row| sum * t + row[c]);
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    }))
}

/// `map` in color over the grayed `image`: the more, the more opaque. The map, of any size, covers
/// the image and is taken as already between 0 and 1.
pub(super) fn overlay(image: &RgbImage, map: &Map) -> RgbImage {
    let (w, h) = image.dimensions();
    RgbImage::from_fn(w, h, |x, y| {
        let heat = map.at((x as f32 + 0.5) / w as f32, (y as f32 + 0.5) / h as f32);
        let [r, g, b] = image.get_pixel(x, y).0.map(f32::from);
        let gray = 0.299 * r + 0.587 * g + 0.114 * b;
        let opacity = 0.35 + 0.5 * heat;
        Rgb(inferno(heat).0.map(|c| (gray + (f32::from(c) - gray) * opacity).round() as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inferno_meets_the_table_at_its_ends_and_middle() {
        // Rows 0, 127 and 255 of the published table, as bytes.
        for (t, want) in [(0.0, [0, 0, 4]), (127.0 / 255.0, [187, 55, 84]), (1.0, [252, 255, 164])]
        {
            for (got, want) in inferno(t).0.into_iter().zip(want) {
                assert!((i32::from(got) - want).abs() <= 4, "{t}: {:?}", inferno(t));
            }
        }
    }

    #[test]
    fn inferno_grows_lighter_all_the_way() {
        let light = |i: u32| {
            let [r, g, b] = inferno(i as f32 / 64.0).0.map(f32::from);
            0.299 * r + 0.587 * g + 0.114 * b
        };
        assert!((0..64).all(|i| light(i) < light(i + 1)));
    }

    #[test]
    fn maps_refuse_what_cannot_be_drawn() {
        assert!(Map::new(2, 2, vec![0.0; 3]).is_err());
        assert!(Map::new(0, 2, vec![]).is_err());
        assert!(Map::new(1, 1, vec![f32::NAN]).is_err());
        let flat = Map::new(2, 1, vec![3.0; 2]).unwrap().normalized();
        assert_eq!(flat.values(), [0.0, 0.0]);
        assert_eq!(Map::new(2, 1, vec![1.0, 3.0]).unwrap().normalized().values(), [0.0, 1.0]);
    }

    #[test]
    fn sampling_at_pixel_centers_gives_the_pixels() {
        let map = Map::new(2, 2, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!([map.at(0.25, 0.25), map.at(0.75, 0.25), map.at(0.25, 0.75)], [0.0, 1.0, 2.0]);
        assert_eq!(map.at(0.5, 0.5), 1.5);
    }
}
