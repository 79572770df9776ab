//! Connectionist temporal classification: the loss of class scores along steps when a word is known, but not which step shows which
//! of its characters ("Labelling unsegmented sequence data with recurrent neural networks").

use super::{Case, KernelUse, Row, mul, sum_to};
use crate::gpu::{Grid, Variant};
use crate::shape::to_u32;
use crate::tensor::{Cx, Dtype, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(FWD = "loss/ctc_fwd", Params, CtcBinds { z, words, lengths, share, y, dz });
params! { struct Params { samples: u32, steps: u32, classes: u32, longest: u32 } }

/// Most steps, and most characters of a word.
const MOST_STEPS: usize = 48;
const MOST_CHARACTERS: usize = 31;
/// Invocations of a workgroup: one for each state.
const WG: usize = 64;

/// Σₙ shareₙ · −ln P(wordₙ) of `logits [N, T, C]`, `[1]`: `torch.nn.CTCLoss` with blank 0 and `zero_infinity`, which takes the
/// logits themselves. `words` u32 `[N, L]` of `lengths` u32 `[N]`; shares of 1/(N·length) make it PyTorch's mean. A word that has
/// no path in T steps contributes nothing.
///
/// # Errors
/// Operands whose shapes or types do not fit; more than 48 steps or 31 characters.
pub fn ctc_loss(
    cx: &Cx,
    logits: &Tensor,
    words: &Tensor,
    lengths: &Tensor,
    share: &Tensor,
) -> Result<Tensor> {
    const OP: &str = "ctc_loss";
    let [n, steps, classes] = logits.shape().nlc(OP)?;
    let longest = words.shape().last();
    cx.expect(OP, "words", words, [n, longest])?;
    cx.expect(OP, "lengths", lengths, [n])?;
    cx.expect(OP, "share", share, [n])?;
    if [words, lengths].iter().any(|t| t.dtype() != Dtype::U32) {
        return Err(Error::new(ErrorKind::Argument, OP, "type of words and lengths")
            .expected("u32")
            .got(format!("{words:?} and {lengths:?}")));
    }
    if !(1..=MOST_STEPS).contains(&steps) || longest > MOST_CHARACTERS || classes == 0 {
        return Err(Error::new(ErrorKind::Shape, OP, "steps and characters")
            .expected(format!("1 to {MOST_STEPS} steps, at most {MOST_CHARACTERS} characters"))
            .got(format!("{} and {}", logits.shape(), words.shape())));
    }
    let (terms, dz) = (cx.out_f32([n]), cx.out_f32(logits.shape()));
    let p = Params {
        samples: to_u32(n),
        steps: to_u32(steps),
        classes: to_u32(classes),
        longest: to_u32(longest),
    };
    let binds = CtcBinds {
        z: logits.read(),
        words: words.read(),
        lengths: lengths.read(),
        share: share.read(),
        y: terms.write(),
        dz: dz.write(),
    };
    cx.run(&FWD, &variant(), Grid::linear(n), &p, binds)?;
    let loss = sum_to(cx, &terms, [1])?;
    // The gradient is made with the loss: it takes the same paths.
    Ok(cx.record(OP, [logits], loss, move |cx, dy, _| Ok([Some(mul(cx, &dz, &dy)?)])))
}

fn variant() -> Variant {
    Variant::new().set("WG", to_u32(WG))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "ctc",
    kernels: &[KernelUse { kernel: &FWD, variants: || vec![variant()] }],
    tolerance: 3e-6,
    gradient: 1e-5,
    cases,
};

fn cases() -> Vec<Case> {
    let case = |why: &str, [n, steps, classes]: [usize; 3], words: &[&[u32]]| {
        let label = format!("[{n}, {steps}, {classes}] {words:?}: {why}");
        let mut s = Seeded::new(&label);
        let longest = words.iter().map(|w| w.len()).max().unwrap_or(0).max(1);
        let padded =
            words.iter().flat_map(|w| (0..longest).map(|i| w.get(i).copied().unwrap_or(0)));
        let lengths = words.iter().map(|w| w.len() as f64).collect();
        let inputs = vec![
            s.uniform([n, steps, classes], -3.0, 3.0),
            Host::new([n, longest], padded.map(f64::from).collect()).into_u32(),
            Host::new([n], lengths).into_u32(),
            s.uniform([n], 0.1, 1.0),
        ];
        let run = |cx: &Cx, t: &[Tensor]| Ok(vec![ctc_loss(cx, &t[0], &t[1], &t[2], &t[3])?]);
        Case::new(label, inputs, run, |h| vec![oracle(h)]).gradient_of(&[0])
    };
    vec![
        case("one step, one character", [1, 1, 2], &[&[1]]),
        case("nothing but blanks", [1, 3, 4], &[&[]]),
        case("repeats take a blank", [2, 7, 5], &[&[1, 1, 2], &[3, 4, 3, 3]]),
        case("no path", [2, 3, 4], &[&[1, 1, 2], &[2, 3]]),
        case("as many characters as steps", [1, 5, 6], &[&[1, 2, 3, 4, 5]]),
        case("recognizer", [3, 26, 37], &[&[11, 12, 12, 30], &[1], &[20, 36, 7, 7, 7, 20, 1, 2]]),
        case(
            "the longest word",
            [1, 48, 3],
            &[&[
                1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2,
                1, 2, 1,
            ]],
        ),
    ]
}

/// Reference: the probability of all paths, step by step, as it stands.
fn oracle(h: &[Host]) -> Host {
    let [n, steps, classes] = h[0].shape.nlc("oracle").expect("scores");
    let longest = h[1].shape.last();
    let mut loss = 0.0;
    for sample in 0..n {
        let length = h[2].data[sample] as usize;
        let word: Vec<usize> =
            h[1].data[sample * longest..][..length].iter().map(|c| *c as usize).collect();
        let states: Vec<usize> =
            word.iter().flat_map(|c| [0, *c]).chain(std::iter::once(0)).collect();
        let mut paths = vec![0.0; states.len()];
        for t in 0..steps {
            let row = &h[0].data[(sample * steps + t) * classes..][..classes];
            let total: f64 = row.iter().map(|v| v.exp()).sum();
            let before = paths.clone();
            for (s, class) in states.iter().enumerate() {
                let at = |back: usize| s.checked_sub(back).map_or(0.0, |i| before[i]);
                let skips = s >= 2 && *class != 0 && *class != states[s - 2];
                let from = match t {
                    0 => f64::from(u8::from(s < 2)),
                    _ => at(0) + at(1) + if skips { at(2) } else { 0.0 },
                };
                paths[s] = from * row[*class].exp() / total;
            }
        }
        let all: f64 = paths[states.len().saturating_sub(2)..].iter().sum();
        if all > 0.0 {
            loss -= h[3].data[sample] * all.ln();
        }
    }
    Host::new([1], vec![loss])
}
