//! A batch of words on the device.

use crate::Result;
use crate::data::words::{Batch, Encoded, STEPS};
use crate::gpu::Gpu;
use crate::models::abinet::SHORTEST;
use crate::models::tatt::{Turn, Turns};
use crate::models::text_focus::Spelling;
use crate::models::{abinet, lemma};
use crate::shape::{Shape, to_u32};
use crate::tensor::Tensor;

/// Where the tensors of a batch go: into new ones, or over those of a batch before.
pub(super) struct InputBinder<'a> {
    gpu: &'a Gpu,
    tensors: Vec<Tensor>,
    /// The next to write over.
    next: Option<usize>,
}

impl<'a> InputBinder<'a> {
    /// Into new ones.
    pub(super) fn new(gpu: &'a Gpu) -> Self {
        InputBinder { gpu, tensors: Vec::new(), next: None }
    }

    /// Over the tensors of another feed, which got values of the same shapes.
    pub(super) fn again(gpu: &'a Gpu, tensors: Vec<Tensor>) -> Self {
        InputBinder { gpu, tensors, next: Some(0) }
    }

    /// The tensors in the order in which they were fed.
    pub(super) fn into_tensors(self) -> Vec<Tensor> {
        self.tensors
    }

    fn old(&mut self) -> Option<Tensor> {
        let place = self.next.as_mut()?;
        *place += 1;
        Some(self.tensors[*place - 1].clone())
    }

    fn new_one(&mut self, tensor: Tensor) -> Tensor {
        self.tensors.push(tensor.clone());
        tensor
    }

    fn floats(&mut self, shape: impl Into<Shape>, values: &[f32]) -> Result<Tensor> {
        match self.old() {
            Some(tensor) => tensor.write_values(self.gpu, values).map(|()| tensor),
            None => Ok(self.new_one(Tensor::upload(self.gpu, shape, values))),
        }
    }

    fn integers(&mut self, shape: impl Into<Shape>, values: &[u32]) -> Result<Tensor> {
        match self.old() {
            Some(tensor) => tensor.write_u32(self.gpu, values).map(|()| tensor),
            None => Ok(self.new_one(Tensor::upload_u32(self.gpu, shape, values))),
        }
    }
}

/// A part of a batch on the device.
pub(super) struct Inputs {
    pub(super) lr: Tensor,
    pub(super) hr: Tensor,
    pub(super) focus_words: lemma::Words,
    /// Characters of each word, u32 `[n]`, and the share of each in a mean over words and then characters `[n]`.
    pub(super) word_lengths: Tensor,
    pub(super) word_share: Tensor,
    /// How the images are turned, if they are.
    pub(super) turns: Option<Turns>,
    pub(super) reader_words: abinet::Words,
    /// Class scores of the words themselves, and their lengths with the end.
    pub(super) clean: Tensor,
    pub(super) lengths: Tensor,
    /// 1 for images that the recognizer sees in full resolution `[n, 1, 1, 1]`.
    pub(super) sharp: Tensor,
    /// Where the characters stand, as attention `[n·26, 256]`, and 1 for the rows where that is known `[n·26, 1]`.
    pub(super) places: Option<(Tensor, Tensor)>,
    /// The step, and the part of it, u32 `[2]`.
    pub(super) at: Tensor,
}

/// Scores whose soft-max is one class to the last bit.
const CERTAIN: f32 = 200.0;
const CLASSES: usize = 37;
/// Rows and columns of the recognizer's attention.
const CELLS: (usize, usize) = (8, 32);

/// What a step makes of the whole batch.
pub(super) struct Plan<'a> {
    pub(super) batch: &'a Batch,
    /// Number of the step.
    pub(super) step: usize,
    /// Number of the part.
    pub(super) part: usize,
    /// Which images a recognizer in training sees in full resolution.
    pub(super) sharp: &'a [bool],
    /// What the recognizer spells words by that looks at the results.
    pub(super) spelling: Spelling,
    /// How each image is turned; none where they are not.
    pub(super) turns: &'a [Turn],
}

/// What a recognizer is given of a word, and what it should answer.
fn spelling(label: &Encoded, by: Spelling) -> [&[u8]; 2] {
    match by {
        Spelling::Characters => [&label.tokens, &label.targets],
        // No loss asks what it answers.
        Spelling::Strokes => [&label.strokes, &[]],
    }
}

/// Steps of the longest word: padded steps count in the mean of the attention.
pub(super) fn longest(batch: &Batch, by: Spelling) -> usize {
    batch.labels.iter().map(|l| spelling(l, by)[0].len()).max().unwrap_or(1)
}

impl Inputs {
    /// Feeds a part of the batch.
    ///
    /// # Errors
    /// Those of writing over tensors.
    pub(super) fn new(
        feed: &mut InputBinder,
        plan: &Plan,
        part: std::ops::Range<usize>,
    ) -> Result<Self> {
        let Plan { batch, step, part: number, sharp, turns, .. } = plan;
        let by = plan.spelling;
        let n = part.len();
        let labels = &batch.labels[part.clone()];
        // Shares are of the whole batch's steps, times its images over the part's, since a part's loss is then weighted by
        // its images.
        let weight = batch.len() as f32 / n as f32;
        let share = |steps: usize, length: &dyn Fn(&Encoded) -> usize| {
            let total: usize = batch.labels.iter().map(length).sum();
            let lengths: Vec<usize> = labels.iter().map(length).collect();
            abinet::shares(&lengths, steps, weight / total as f32)
        };
        let ids: Vec<u32> = labels.iter().flat_map(|l| l.ids.map(u32::from)).collect();
        let longest = longest(batch, by);
        let padded = |which: usize| {
            let mut all = vec![0; n * longest];
            for (row, label) in all.chunks_exact_mut(longest).zip(labels) {
                let values = spelling(label, by)[which];
                row.iter_mut().zip(values).for_each(|(to, v)| *to = u32::from(*v));
            }
            all
        };
        // The reader's words end at 25 characters and an end.
        let capped = |label: &Encoded| label.length.min(STEPS);
        let clean: Vec<f32> = ids
            .iter()
            .flat_map(|id| (0..CLASSES as u32).map(move |c| if c == *id { CERTAIN } else { 0.0 }))
            .collect();
        let lengths: Vec<u32> =
            labels.iter().map(|l| capped(l).max(SHORTEST as usize) as u32).collect();
        let sharp: Vec<f32> = sharp[part.clone()].iter().map(|s| f32::from(*s)).collect();
        let characters: Vec<u32> = labels.iter().map(|l| to_u32(l.length - 1)).collect();
        let word_share: Vec<f32> =
            characters.iter().map(|c| 1.0 / (n as f32 * (*c).max(1) as f32)).collect();
        let turned = (!turns.is_empty()).then(|| &turns[part.clone()]);
        let hr = &batch.hr[part.start * 16384..part.end * 16384];
        let spelled = feed.integers([n, STEPS], &ids)?;
        Ok(Inputs {
            lr: feed.floats([n, 16, 64, 4], &batch.lr[part.start * 4096..part.end * 4096])?,
            hr: feed.floats([n, 32, 128, 4], hr)?,
            focus_words: lemma::Words {
                ids: spelled.clone(),
                tokens: feed.integers([n, longest], &padded(0))?,
                targets: feed.integers([n, longest], &padded(1))?,
                share: feed
                    .floats([n * longest], &share(longest, &|l| spelling(l, by)[0].len()))?,
            },
            word_lengths: feed.integers([n], &characters)?,
            word_share: feed.floats([n], &word_share)?,
            turns: turned
                .map(|turns| Turns::new(turns, |shape, places| feed.floats(shape, places)))
                .transpose()?,
            reader_words: abinet::Words {
                ids: spelled,
                share: feed.floats([n * STEPS], &share(STEPS, &capped))?,
            },
            clean: feed.floats([n, STEPS, CLASSES], &clean)?,
            lengths: feed.integers([n], &lengths)?,
            sharp: feed.floats([n, 1, 1, 1], &sharp)?,
            places: places(feed, &batch.characters[part])?,
            at: feed.integers([2], &[*step as u32, *number as u32])?,
        })
    }
}

/// Attention maps that rest evenly on each character's columns, where the places of characters are known.
fn places(
    feed: &mut InputBinder,
    characters: &[Vec<(f32, f32)>],
) -> Result<Option<(Tensor, Tensor)>> {
    if characters.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let n = characters.len();
    let cells = CELLS.0 * CELLS.1;
    let (mut maps, mut known) = (vec![0.0; n * STEPS * cells], vec![0.0; n * STEPS]);
    for (i, word) in characters.iter().enumerate() {
        for (t, (from, to)) in word.iter().take(STEPS).enumerate() {
            let column = |x: f32| (x.clamp(0.0, 1.0) * CELLS.1 as f32) as usize;
            let first = column(*from).min(CELLS.1 - 1);
            let last = column(*to).clamp(first + 1, CELLS.1);
            known[i * STEPS + t] = 1.0;
            let each = 1.0 / (CELLS.0 * (last - first)) as f32;
            let map = &mut maps[(i * STEPS + t) * cells..][..cells];
            map.chunks_exact_mut(CELLS.1).for_each(|row| row[first..last].fill(each));
        }
    }
    let maps = feed.floats([n * STEPS, cells], &maps)?;
    Ok(Some((maps, feed.floats([n * STEPS, 1], &known)?)))
}
