//! Any image into windows of one size, and the results back into one image: see [`Fit`]. Outside the
//! line a window repeats its edge; assembling is the reverse of cutting.

use super::fit::{Fit, line_size, origins};
use super::pillow::bicubic;
use super::values::{check_not_flat, not_finite, to_rgb8};
use super::{LR_SIZE, Map, SCALE};
use crate::{Error, ErrorKind, Result};
use image::{RgbImage, imageops};
use std::fmt;

/// One image on its way through the network: made from the image, holds the windows to be
/// super-resolved, and assembles what comes back. Displays as what was done.
///
/// ```
/// use lemma_gpu::data::picture::{Fit, Plan, RgbImage};
/// let plan = Plan::new(&RgbImage::new(700, 50), Fit::Auto, true)?;
/// assert_eq!(plan.to_string(), "split into 5 windows");
/// assert_eq!(plan.output_size(), (448, 32));
/// # Ok::<(), lemma_gpu::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plan {
    fit: Fit,
    turned: bool,
    squeezed: bool,
    /// Width and height of a window.
    frame: (u32, u32),
    line: RgbImage,
    /// Where each window's top left corner lies in the line; negative where it is padded.
    origins: Vec<(i64, i64)>,
    windows: Vec<RgbImage>,
}

impl Plan {
    /// Plans `image`, of any size from 1×1. With `rotate`, an image more than twice as high as wide
    /// is turned a quarter counter-clockwise first, as text recognizers do, and stays so.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for an image without pixels.
    pub fn new(image: &RgbImage, fit: Fit, rotate: bool) -> Result<Self> {
        Plan::with(image, LR_SIZE, fit, rotate)
    }

    /// The same for a recognizer alone, whose windows are 128×32.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn for_reading(image: &RgbImage, fit: Fit, rotate: bool) -> Result<Self> {
        Plan::with(image, (LR_SIZE.0 * SCALE, LR_SIZE.1 * SCALE), fit, rotate)
    }

    fn with(image: &RgbImage, frame: (u32, u32), fit: Fit, rotate: bool) -> Result<Self> {
        let (w, h) = image.dimensions();
        if w == 0 || h == 0 {
            return Err(Error::new(ErrorKind::Argument, "image", "an image without pixels")
                .got(format!("{w}×{h}")));
        }
        let upright = rotate.then(|| upright(image)).flatten();
        let turned = upright.is_some();
        let image = upright.as_ref().unwrap_or(image);

        let fit = fit.choose(image.dimensions());
        let ((width, height), squeezed) = line_size(fit, frame, image.dimensions());
        let line = bicubic(image, width, height);
        let origins = origins(frame, (width, height));
        let windows = origins.iter().map(|&origin| window(&line, frame, origin)).collect();
        Ok(Plan { fit, turned, squeezed, frame, line, origins, windows })
    }

    /// What was done with the image: [`Fit::Auto`] has become one of the others.
    pub fn fit(&self) -> Fit {
        self.fit
    }

    /// Whether the image was turned a quarter counter-clockwise.
    pub fn turned(&self) -> bool {
        self.turned
    }

    /// The image at the network's resolution, without padding.
    pub fn line(&self) -> &RgbImage {
        &self.line
    }

    /// The network's inputs, each of the one size that it takes, from left to right; at most
    /// [`MAX_WINDOWS`](super::MAX_WINDOWS).
    pub fn windows(&self) -> &[RgbImage] {
        &self.windows
    }

    /// Width and height of the result: twice the line.
    pub fn output_size(&self) -> (u32, u32) {
        (self.line.width() * SCALE, self.line.height() * SCALE)
    }

    /// Where each window starts and ends, as shares of the line's width; beyond 0 and 1 where it is padded.
    pub fn spans(&self) -> impl Iterator<Item = (f32, f32)> {
        let width = self.line.width() as f32;
        let share = move |x: i64| x as f32 / width;
        self.origins.iter().map(move |(x, _)| (share(*x), share(x + i64::from(self.frame.0))))
    }

    /// The super-resolved image from the super-resolved windows, each `[32, 128, C]` with C ≥ 3:
    /// where windows overlap, one fades linearly into the next.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when there are not as many windows as planned, or one has another size;
    /// [`ErrorKind::Result`] when a color is not finite, or the result is one color all over while
    /// the line is not.
    pub fn assemble<W: AsRef<[f32]>>(&self, windows: &[W]) -> Result<RgbImage> {
        let (w, h) = self.output_size();
        let values = self.blend(windows, SCALE, 3)?;
        let image = to_rgb8(&values, w, h, 3, "super-resolved image")?;
        check_not_flat(&self.line, &image, "super-resolved image")?;
        Ok(image)
    }

    /// One map over the whole line from one `[16, 64]` map per window, faded alike.
    ///
    /// # Errors
    /// As [`assemble`](Self::assemble), but a map may be constant.
    pub fn assemble_map<W: AsRef<[f32]>>(&self, maps: &[W]) -> Result<Map> {
        let (w, h) = self.line.dimensions();
        Map::new(w, h, self.blend(maps, 1, 1)?)
    }

    /// The bicubic baseline at the result's size.
    pub fn bicubic(&self) -> RgbImage {
        let (w, h) = self.output_size();
        bicubic(&self.line, w, h)
    }

    /// The line at the result's size, its pixels repeated.
    pub fn nearest(&self) -> RgbImage {
        let (w, h) = self.output_size();
        RgbImage::from_fn(w, h, |x, y| *self.line.get_pixel(x / SCALE, y / SCALE))
    }

    /// The first `keep` channels of the windows, which are `factor` times the planned ones, as one
    /// `[H, W, keep]` over the line.
    fn blend<W: AsRef<[f32]>>(&self, windows: &[W], factor: u32, keep: usize) -> Result<Vec<f32>> {
        let (window_w, window_h) = (self.frame.0 * factor, self.frame.1 * factor);
        let pixels = window_w as usize * window_h as usize;
        let place = "assembled windows";
        if windows.len() != self.origins.len() {
            return Err(Error::new(ErrorKind::Shape, place, "number of windows")
                .expected(self.origins.len())
                .got(windows.len()));
        }
        for (i, window) in windows.iter().enumerate() {
            let len = window.as_ref().len();
            if len % pixels != 0 || len / pixels < keep {
                return Err(Error::new(
                    ErrorKind::Shape,
                    format!("window {i}"),
                    "number of values",
                )
                .expected(format!("[{window_h}, {window_w}, {keep} or more]"))
                .got(len));
            }
        }

        let (w, h) = (self.line.width() * factor, self.line.height() * factor);
        let columns: Vec<Vec<(usize, usize, f32)>> =
            (0..w).map(|x| self.sources(x, factor)).collect();
        let mut out = Vec::with_capacity(w as usize * h as usize * keep);
        let top = -self.origins[0].1 * i64::from(factor);
        for y in 0..h as usize {
            let row = (y + top as usize) * window_w as usize;
            for sources in &columns {
                for channel in 0..keep {
                    let mut sum = 0.0;
                    for &(i, column, weight) in sources {
                        let window = windows[i].as_ref();
                        let value = window[(row + column) * (window.len() / pixels) + channel];
                        if !value.is_finite() {
                            let at = format!("row {y}, column {column}, channel {channel}");
                            return Err(not_finite(&format!("window {i}"), value, at));
                        }
                        sum += weight * value;
                    }
                    out.push(sum);
                }
            }
        }
        Ok(out)
    }

    /// The windows that show column `x` of the result: window, its column, weight. A window's weight
    /// falls linearly towards its sides; the weights of a column add up to 1.
    fn sources(&self, x: u32, factor: u32) -> Vec<(usize, usize, f32)> {
        let width = i64::from(self.frame.0 * factor);
        let mut sources: Vec<_> = self
            .origins
            .iter()
            .enumerate()
            .map(|(i, origin)| (i, i64::from(x) - origin.0 * i64::from(factor)))
            .filter(|(_, column)| (0..width).contains(column))
            .map(|(i, c)| (i, c as usize, (c.min(width - 1 - c) as f32) + 0.5))
            .collect();
        let sum: f32 = sources.iter().map(|s| s.2).sum();
        sources.iter_mut().for_each(|s| s.2 /= sum);
        sources
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, h) = self.line.dimensions();
        let (full_w, full_h) = self.frame;
        if self.turned {
            f.write_str("turned, ")?;
        }
        match (self.fit, self.windows.len()) {
            (Fit::Stretch, _) => write!(f, "stretched to {full_w}×{full_h}")?,
            (_, 1) if (w, h) == self.frame => write!(f, "scaled to {full_w}×{full_h}")?,
            (_, 1) => write!(f, "padded from {w}×{h} to {full_w}×{full_h}")?,
            (_, n) => write!(f, "split into {n} windows")?,
        }
        if self.squeezed {
            f.write_str(", squeezed")?;
        }
        Ok(())
    }
}

/// The image turned a quarter counter-clockwise, as text recognizers do, if it is more than twice as
/// high as wide.
fn upright(image: &RgbImage) -> Option<RgbImage> {
    let (w, h) = image.dimensions();
    (u64::from(h) > 2 * u64::from(w)).then(|| imageops::rotate270(image))
}

/// What a frame at `origin` shows of `line`, the line's edge repeated outside it.
fn window(line: &RgbImage, frame: (u32, u32), origin: (i64, i64)) -> RgbImage {
    let inside =
        |at: u32, from: i64, size: u32| (i64::from(at) + from).clamp(0, i64::from(size) - 1) as u32;
    RgbImage::from_fn(frame.0, frame.1, |x, y| {
        *line.get_pixel(inside(x, origin.0, line.width()), inside(y, origin.1, line.height()))
    })
}

#[cfg(test)]
mod tests {
    use super::super::fit::{MAX_WINDOWS, stride};
    use super::*;
    use image::Rgb;

    const SIZES: [(u32, u32); 14] = [
        (1, 1),
        (64, 16),
        (128, 32),
        (31, 7),
        (30, 30),
        (16, 40),
        (20, 41),
        (1, 5000),
        (65, 16),
        (90, 16),
        (113, 16),
        (700, 50),
        (10_000, 20),
        (60_000, 2),
    ];

    fn noise(w: u32, h: u32) -> RgbImage {
        let byte = |n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8;
        RgbImage::from_fn(w, h, |x, y| {
            let n = 3 * (y * w + x) + 1;
            Rgb([byte(n), byte(n + 1), byte(n + 2)])
        })
    }

    /// What a network would return that repeats every pixel of its input.
    fn repeated(window: &RgbImage, channels: usize) -> Vec<f32> {
        let (w, h) = (window.width() * SCALE, window.height() * SCALE);
        let pixel = |i: u32| window.get_pixel(i % w / SCALE, i / w / SCALE).0;
        (0..w * h)
            .flat_map(|i| {
                (0..channels).map(move |c| f32::from(*pixel(i).get(c).unwrap_or(&77)) / 255.0)
            })
            .collect()
    }

    fn all_plans() -> impl Iterator<Item = (Plan, RgbImage)> {
        SIZES.into_iter().flat_map(|(w, h)| {
            let image = noise(w, h);
            Fit::ALL
                .into_iter()
                .flat_map(|fit| [true, false].map(|rotate| (fit, rotate)))
                .map(move |(fit, rotate)| (Plan::new(&image, fit, rotate).unwrap(), image.clone()))
        })
    }

    #[test]
    fn windows_cover_the_line_and_overlap() {
        for (plan, image) in all_plans() {
            let what = format!("{:?} {plan}", image.dimensions());
            assert!(plan.windows.iter().all(|w| w.dimensions() == LR_SIZE), "{what}");
            assert!(plan.windows.len() <= MAX_WINDOWS as usize, "{what}");
            let (w, h) = plan.line.dimensions();
            assert_eq!(plan.output_size(), (2 * w, 2 * h), "{what}");
            assert_eq!(plan.bicubic().dimensions(), plan.output_size(), "{what}");
            for pair in plan.origins.windows(2) {
                let step = pair[1].0 - pair[0].0;
                assert!(step >= 1 && step <= i64::from(stride(LR_SIZE)), "{what}: step {step}");
            }
            let (first, last) = (plan.origins[0].0, plan.origins.last().unwrap().0);
            assert!(first <= 0 && last + 64 >= i64::from(w), "{what}");
        }
    }

    #[test]
    fn windows_that_repeat_their_pixels_assemble_to_the_line_repeated() {
        for (plan, image) in all_plans() {
            for channels in [3, 4] {
                let windows: Vec<_> = plan.windows.iter().map(|w| repeated(w, channels)).collect();
                let out = plan.assemble(&windows).unwrap();
                assert_eq!(out, plan.nearest(), "{:?} {plan}", image.dimensions());
            }
        }
    }

    #[test]
    fn constant_windows_assemble_to_a_constant() {
        for (w, h) in SIZES {
            let flat = RgbImage::from_pixel(w, h, Rgb([10, 200, 77]));
            let plan = Plan::new(&flat, Fit::Auto, true).unwrap();
            let windows = vec![[0.2, 0.4, 0.6].repeat(128 * 32); plan.windows.len()];
            let out = plan.assemble(&windows).unwrap();
            assert!(out.pixels().all(|p| p.0 == [51, 102, 153]));
            let map = plan.assemble_map(&vec![vec![0.25; 64 * 16]; plan.windows.len()]).unwrap();
            assert!(map.values().iter().all(|v| (v - 0.25).abs() < 1e-6));
        }
    }

    #[test]
    fn neighbors_fade_linearly() {
        let plan = Plan::new(&noise(112, 16), Fit::Split, true).unwrap();
        assert_eq!(plan.origins, [(0, 0), (48, 0)]);
        let map = plan.assemble_map(&[vec![0.0; 1024], vec![1.0; 1024]]).unwrap();
        let row = &map.values()[..112];
        assert!(row[..48].iter().all(|&v| v == 0.0) && row[64..].iter().all(|&v| v == 1.0));
        for (i, v) in row[48..64].iter().enumerate() {
            assert!((v - (i as f32 + 0.5) / 16.0).abs() < 1e-6, "{i}: {v}");
        }
    }

    #[test]
    fn the_shape_decides() {
        let says = |w, h| Plan::new(&noise(w, h), Fit::Auto, true).unwrap().to_string();
        assert_eq!(says(100, 25), "stretched to 64×16");
        assert_eq!(says(40, 10), "stretched to 64×16");
        assert_eq!(says(41, 10), "split into 2 windows");
        assert_eq!(says(59, 10), "split into 2 windows");
        assert_eq!(says(20, 40), "padded from 8×16 to 64×16");
        assert_eq!(says(20, 41), "turned, stretched to 64×16");
        assert_eq!(says(1, 2000), "turned, split into 256 windows, squeezed");
        assert_eq!(says(10_000, 20), "split into 167 windows");
        let kept = Plan::new(&noise(20, 41), Fit::Auto, false).unwrap();
        assert_eq!((kept.fit(), kept.turned()), (Fit::Pad, false));
        assert!(Plan::new(&RgbImage::new(0, 4), Fit::Auto, true).is_err());
        assert!("stretchy".parse::<Fit>().is_err());
    }

    #[test]
    fn a_turn_is_counter_clockwise() {
        // The top of a tall image comes to lie on the left.
        let tall = RgbImage::from_fn(4, 16, |_, y| Rgb([if y < 8 { 255 } else { 0 }; 3]));
        let line = Plan::new(&tall, Fit::Auto, true).unwrap().line;
        assert!(line.get_pixel(3, 8).0[0] > 250 && line.get_pixel(60, 8).0[0] < 5);
        let corner =
            RgbImage::from_fn(4, 16, |x, y| Rgb([if x < 2 && y < 8 { 255 } else { 0 }; 3]));
        let line = Plan::new(&corner, Fit::Auto, true).unwrap().line;
        assert!(line.get_pixel(3, 14).0[0] > 250 && line.get_pixel(3, 1).0[0] < 5);
    }

    #[test]
    fn what_does_not_fit_the_plan_is_refused() {
        let plan = Plan::new(&noise(64, 16), Fit::Auto, true).unwrap();
        let kind = |windows: &[Vec<f32>]| plan.assemble(windows).unwrap_err().kind();
        assert_eq!(kind(&[]), ErrorKind::Shape);
        assert_eq!(kind(&[vec![0.5; 128 * 32 * 2]]), ErrorKind::Shape);
        assert_eq!(kind(&[vec![0.5; 128 * 32 * 3 + 1]]), ErrorKind::Shape);
        assert_eq!(kind(&[vec![0.5; 128 * 32 * 3]]), ErrorKind::Result);
        assert_eq!(kind(&[vec![f32::NAN; 128 * 32 * 3]]), ErrorKind::Result);
    }
}
