//! Where the characters of a connectionist reading stand.

use super::{Case, KernelUse, Row, element};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(FWD = "index/ctc_places_fwd", Params, CtcPlacesBinds { x, at, lengths });
params! { struct Params { n: u32, steps: u32, classes: u32, low: u32 } }

/// Of `logits [N, T, C]` with the blank as class 0: for each position of a word the step that spells it, u32 `[N, T]`, and the
/// word's length with its end, u32 `[N]`, within `shortest` and T. A character is a run of steps with one best class, the lowest
/// among equals, and its step the middle of the run; positions behind the word have the last blank step, or the last step where
/// there is no blank.
///
/// # Errors
/// Logits of another rank, or without steps or classes.
pub fn ctc_places(cx: &Cx, logits: &Tensor, shortest: u32) -> Result<(Tensor, Tensor)> {
    const OP: &str = "ctc_places";
    let [n, steps, classes] = logits.shape().nlc(OP)?;
    if steps == 0 || classes == 0 || shortest as usize > steps {
        return Err(Error::new(ErrorKind::Shape, OP, "steps and classes")
            .expected(format!("at least {} steps and one class", shortest.max(1)))
            .got(logits.shape()));
    }
    let (at, lengths) = (cx.out_u32([n, steps]), cx.out_u32([n]));
    let (steps, classes) = (to_u32(steps), to_u32(classes));
    let p = Params { n: to_u32(n), steps, classes, low: shortest };
    let binds = CtcPlacesBinds { x: logits.read(), at: at.write(), lengths: lengths.write() };
    cx.run(&FWD, &element::scalar(), element::grid(n), &p, binds)?;
    Ok((at, lengths))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "ctc_places",
    kernels: &[KernelUse { kernel: &FWD, variants: || vec![element::scalar()] }],
    tolerance: 0.0,
    gradient: 0.0,
    cases,
};

fn cases() -> Vec<Case> {
    // Few distinct values, so that many classes tie; the blank is often best.
    let case = |why: &str, shape: [usize; 3], values: u32, blank: f64| {
        let label = format!("{shape:?}: {why}");
        let mut x = Seeded::new(&label).ints(shape, 0, values);
        x.data.iter_mut().step_by(shape[2]).for_each(|v| *v += blank);
        let x = Host::new(x.shape, x.data);
        let run = |cx: &Cx, t: &[Tensor]| {
            let (at, lengths) = ctc_places(cx, &t[0], 1)?;
            Ok(vec![at, lengths])
        };
        Case::new(label, vec![x], run, |h| oracle(&h[0], 1)).without_gradient()
    };
    vec![
        case("one step of one class", [1, 1, 1], 2, 0.0),
        case("words with blanks between", [65, 26, 5], 9, 2.0),
        case("long runs", [7, 26, 2], 3, 0.0),
        case("no blank", [3, 5, 37], 100, -100.0),
        case("characters", [4, 26, 37], 1000, 400.0),
    ]
}

/// Reference.
pub fn oracle(x: &Host, shortest: usize) -> Vec<Host> {
    let [n, steps, classes] = x.shape.nlc("oracle").expect("sequences");
    let best = super::sequence::oracle(x).data;
    let (mut at, mut lengths) = (Vec::with_capacity(n * steps), Vec::with_capacity(n));
    debug_assert_eq!(best.len() * classes, x.data.len());
    for word in best.chunks_exact(steps) {
        let indices: Vec<usize> = (0..steps).collect();
        let runs = indices.chunk_by(|a, b| word[*a] == word[*b]);
        let middle = |run: &[usize]| ((run[0] + run[run.len() - 1]) / 2) as f64;
        let spelled = runs.filter(|run| word[run[0]] != 0.0).map(middle).collect::<Vec<_>>();
        let rest = word.iter().rposition(|c| *c == 0.0).unwrap_or(steps - 1) as f64;
        lengths.push((spelled.len() + 1).clamp(shortest, steps) as f64);
        let missing = steps - spelled.len();
        at.extend(spelled.into_iter().chain(std::iter::repeat_n(rest, missing)));
    }
    vec![Host::new([n, steps], at).into_u32(), Host::new([n], lengths).into_u32()]
}
