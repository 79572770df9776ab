//! The words worth looking at.

use crate::data::picture::RgbImage;

/// How many words of each kind are kept.
const MOST: usize = 9;

/// A word with all that is known of it.
#[derive(Debug, Clone)]
pub struct Example {
    /// Its set.
    pub set: String,
    /// Its place there, from 0.
    pub index: usize,
    /// Its label.
    pub label: String,
    /// The poor image as the network saw it, 64×16.
    pub lr: RgbImage,
    /// The network's image, 128×32.
    pub sr: RgbImage,
    /// The true image, 128×32.
    pub hr: RgbImage,
    /// What the judge read, in the order of [`VERSIONS`](super::VERSIONS), and how far each reading is from the label.
    pub readings: Option<[(String, usize); 3]>,
    /// PSNR in dB of bicubic and of SR.
    pub psnr: [f64; 2],
    /// Mean squared difference of SR and bicubic, of bytes.
    pub change: f64,
}

impl Example {
    /// What super-resolution gains: edits that it saves, and decibels.
    fn gain(&self) -> (f64, f64) {
        let edits = self.readings.as_ref().map_or(0.0, |r| r[0].1 as f64 - r[1].1 as f64);
        let psnr = self.psnr[1] - self.psnr[0];
        (edits, if psnr.is_nan() { 0.0 } else { psnr })
    }
}

/// The best, the worst and the most changed words so far.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// Those that gain most: edits first, then PSNR.
    pub best: Vec<Example>,
    /// Those that lose most.
    pub worst: Vec<Example>,
    /// Those where SR is furthest from bicubic.
    pub changed: Vec<Example>,
}

impl Examples {
    /// Looks at a word and keeps it where it belongs among the first.
    pub fn see(&mut self, word: Example) {
        let (edits, psnr) = word.gain();
        if (edits, psnr) > (0.0, 0.0) {
            keep(&mut self.best, &word, |w| w.gain());
        } else if (edits, psnr) < (0.0, 0.0) {
            let loss = |w: &Example| {
                let (edits, psnr) = w.gain();
                (-edits, -psnr)
            };
            keep(&mut self.worst, &word, loss);
        }
        keep(&mut self.changed, &word, |w| (w.change, 0.0));
    }
}

/// Puts `word` into `list`, largest rank first and of equals the earlier, unless the list is full of larger ones.
fn keep(list: &mut Vec<Example>, word: &Example, rank: impl Fn(&Example) -> (f64, f64)) {
    let own = rank(word);
    let at = list.partition_point(|w| rank(w) >= own);
    if at < MOST {
        list.insert(at, word.clone());
        list.truncate(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(index: usize, edits: [usize; 2], psnr: [f64; 2], change: f64) -> Example {
        let image = RgbImage::new(1, 1);
        let reading = |n| (String::new(), n);
        Example {
            set: String::new(),
            index,
            label: String::new(),
            lr: image.clone(),
            sr: image.clone(),
            hr: image,
            readings: Some([reading(edits[0]), reading(edits[1]), reading(0)]),
            psnr,
            change,
        }
    }

    #[test]
    fn the_first_of_each_kind_are_kept_in_order() {
        let mut all = Examples::default();
        for i in 0..30 {
            all.see(word(i, [i % 5, 2], [20.0, 20.0 + i as f64], i as f64));
        }
        all.see(word(30, [1, 1], [20.0, f64::NAN], -1.0));
        let indices = |list: &[Example]| list.iter().map(|w| w.index).collect::<Vec<_>>();
        assert_eq!(indices(&all.best), [29, 24, 19, 14, 9, 4, 28, 23, 18]);
        assert_eq!(indices(&all.worst), [0, 5, 10, 15, 20, 25, 1, 6, 11]);
        assert_eq!(indices(&all.changed), [29, 28, 27, 26, 25, 24, 23, 22, 21]);
    }
}
