//! An operation against its oracle on an adapter: what the tests, `kernels check` and the self-test share.
//!
//! The only operations' module that reads results back, besides the measurements: it runs no model.

mod gradient;

use super::{Case, Row};
use crate::gpu::{BufferSlice, Gpu, GpuOptions, POISON, Precision, Variant};
use crate::tensor::{Cx, Dtype, Host, Tensor};
use crate::{Error, ErrorKind, Result};

/// One adapter opened several times. Buffers come full of NaN, with guard words before and behind each tensor.
pub struct Checker {
    /// Bounds checks compiled in: what reads outside does not get what lies there.
    pub checked: Gpu,
    /// What ships: no checks, and subgroup operations where there are any.
    pub shipped: Gpu,
    /// No checks and no subgroup operations.
    pub plain: Gpu,
    /// As `checked`, with tensors stored as halves; none where the adapter cannot.
    pub halves: Option<Gpu>,
}

impl Checker {
    /// Opens `adapter` (as in [`GpuOptions::adapter`]).
    ///
    /// # Errors
    /// As [`Gpu::new`].
    pub fn open(adapter: Option<String>) -> Result<Self> {
        let options = GpuOptions { adapter, poison: true, ..Default::default() };
        let checked = GpuOptions { checked: true, ..options.clone() };
        let halves = GpuOptions { precision: Precision::F16, ..checked.clone() };
        let checked = Gpu::new(checked)?;
        let has_halves = checked.summary().features.contains(&"shader-f16");
        let halves = has_halves.then(|| Gpu::new(halves)).transpose()?;
        Ok(Checker {
            checked,
            shipped: Gpu::new(options.clone())?,
            plain: Gpu::new(GpuOptions { no_subgroups: true, ..options })?,
            halves,
        })
    }

    /// Runs `case` against its oracle: with checks, where a second run must give the same bits, as it ships, without subgroup
    /// operations, and in halves. Guard words around inputs and outputs must stay whole. Gradients are compared with finite
    /// differences of the oracle.
    ///
    /// # Errors
    /// [`ErrorKind::Result`] saying which output differs where and by how much; errors of the operation itself.
    pub fn check(&self, row: &Row, case: &Case) -> Result<()> {
        let check = || -> Result<()> {
            let want = (case.oracle)(&case.inputs);
            let first = run(&self.checked, case)?;
            compare(row.tolerance, &first, &want)?;
            if first != run(&self.checked, case)? {
                return Err(Error::new(ErrorKind::Result, "", "two runs differ"));
            }
            for (gpu, how) in self.unchecked() {
                run(gpu, case)
                    .and_then(|got| compare(row.tolerance, &got, &want))
                    .map_err(|e| e.within(how))?;
            }
            if let Some(gpu) = self.halves.as_ref().filter(|_| case.halves) {
                in_halves(gpu, row, case).map_err(|e| e.within("in halves"))?;
            }
            gradient::check(self, row, case, &want)
        };
        check().map_err(|e| located(row, case, e))
    }

    /// The devices without checks, and what they are called.
    fn unchecked(&self) -> [(&Gpu, &'static str); 2] {
        [(&self.shipped, "without checks"), (&self.plain, "without checks and subgroup operations")]
    }

    /// The pipelines made so far: kernel path and variant, without what is stored as halves.
    pub fn pipelines(&self) -> impl Iterator<Item = (&'static str, Variant)> {
        let all = [&self.checked, &self.shipped, &self.plain].map(Some);
        let all = all.into_iter().chain([self.halves.as_ref()]).flatten().flat_map(Gpu::pipelines);
        all.map(|(path, variant)| (path, variant.halves(0)))
    }
}

/// Runs `case` once on `gpu` as it was opened, against its oracle.
///
/// # Errors
/// As [`Checker::check`].
pub fn agrees(gpu: &Gpu, row: &Row, case: &Case) -> Result<()> {
    run(gpu, case)
        .and_then(|got| compare(row.tolerance, &got, &(case.oracle)(&case.inputs)))
        .map_err(|e| located(row, case, e))
}

fn located(row: &Row, case: &Case, error: Error) -> Error {
    error.within(format!("{} {}", row.op, case.label))
}

/// The values of the outputs; on a poisoned device no guard word may be written.
fn run(gpu: &Gpu, case: &Case) -> Result<Vec<Host>> {
    let inputs = case.upload(gpu);
    let cx = Cx::new(gpu);
    let outputs = (case.run)(&cx, &inputs)?;
    cx.submit()?;
    if gpu.options().poison {
        guards_whole(gpu, "input", &inputs)?;
        guards_whole(gpu, "output", &outputs)?;
    }
    Tensor::read_all(gpu, &outputs.iter().collect::<Vec<_>>())
}

/// What storing values as halves adds to an error, relative to the largest magnitude: a half is off by 2⁻¹¹ at most, and an
/// operation stores its result and up to two tensors on the way.
const HALF: f64 = 3.0 / 2048.0;

/// Runs `case` with its inputs rounded to halves, against the oracle of the rounded ones.
fn in_halves(gpu: &Gpu, row: &Row, case: &Case) -> Result<()> {
    let rounded = case.inputs.iter().map(|h| match h.dtype {
        Dtype::F32 => Host { dtype: Dtype::F32, ..h.clone().into_f16() },
        _ => h.clone(),
    });
    let rounded: Vec<Host> = rounded.collect();
    let got = run(gpu, case)?;
    let exact = row.tolerance == 0.0 && got.iter().all(|h| h.dtype != Dtype::F16);
    let floats = got.into_iter().map(|h| match h.dtype {
        Dtype::F16 => Host { dtype: Dtype::F32, ..h },
        _ => h,
    });
    let tolerance = if exact { 0.0 } else { row.tolerance + HALF };
    compare(tolerance, &floats.collect::<Vec<_>>(), &(case.oracle)(&rounded))
}

/// Compares outputs with an oracle's: every error within `tolerance` of the largest magnitude of its output.
///
/// # Errors
/// [`ErrorKind::Result`] about the worst element of the first output that differs.
pub fn compare(tolerance: f64, got: &[Host], want: &[Host]) -> Result<()> {
    let wrong = |what: String| Error::new(ErrorKind::Result, "", what);
    if got.len() != want.len() {
        return Err(wrong("number of outputs".into()).expected(want.len()).got(got.len()));
    }
    for (o, (g, w)) in got.iter().zip(want).enumerate() {
        if g.shape != w.shape || g.dtype != w.dtype {
            return Err(wrong(format!("output {o}"))
                .expected(format!("{:?}{}", w.dtype, w.shape))
                .got(format!("{:?}{}", g.dtype, g.shape)));
        }
        let size = w.data.iter().fold(0f64, |m, v| m.max(v.abs()));
        // A NaN is the largest of all to `total_cmp`, whatever its sign after `abs`.
        let error = |i: usize| (g.data[i] - w.data[i]).abs();
        let worst = (0..g.data.len()).max_by(|a, b| error(*a).total_cmp(&error(*b)));
        let Some(i) = worst else { continue };
        let within = error(i) <= tolerance * size;
        if !within {
            return Err(wrong(format!("output {o} at {i} of {}", w.shape))
                .expected(w.data[i])
                .got(g.data[i])
                .detail(format!(
                    "error {:.3e} of the largest magnitude {size:.3e}, tolerance {tolerance:.1e}",
                    error(i) / size
                )));
        }
    }
    Ok(())
}

/// Checks the guard words before and behind each tensor that has a buffer of its own.
fn guards_whole(gpu: &Gpu, what: &str, tensors: &[Tensor]) -> Result<()> {
    for (i, t) in tensors.iter().enumerate().filter(|(_, t)| !t.is_empty()) {
        let buffer = t.buffer();
        let bytes = &gpu.read(&[BufferSlice::first(buffer, buffer.bytes())])?[0];
        let begin = t.part().offset as usize;
        let end = begin + t.bytes().next_multiple_of(4) as usize;
        for (side, guard) in [("before", &bytes[..begin]), ("behind", &bytes[end..])] {
            let words: &[u32] = bytemuck::cast_slice(guard);
            if words.is_empty() || words.iter().any(|w| *w != POISON) {
                let what = format!("{what} {i}: a guard word {side} the tensor was overwritten");
                return Err(Error::new(ErrorKind::Result, "", what));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_finds_the_worst_element_and_nan() {
        let want = [Host::new([3], vec![1.0, -4.0, 2.0])];
        let near = [Host::new([3], vec![1.0, -4.0, 2.0 + 3e-6])];
        assert!(compare(1e-6, &near, &want).is_ok());
        assert!(compare(5e-7, &near, &want).is_err());
        assert!(compare(0.0, &want, &want).is_ok());
        let nan = [Host::new([3], vec![f64::NAN, -4.0, 9.0])];
        let e = compare(1.0, &nan, &want).unwrap_err().to_string();
        assert!(e.starts_with("output 0 at 0 of [3]: expected 1, got NaN"), "{e}");
        let flat = [Host::new([1, 3], vec![1.0, -4.0, 2.0])];
        assert!(compare(1.0, &flat, &want).is_err());
        assert!(compare(1.0, &[], &want).is_err());
        let ints = [want[0].clone().into_u32()];
        assert!(compare(1.0, &ints, &want).is_err());
    }
}
