//! For every row of the table and every case: forward against the oracle, on a device whose buffers come full of NaN with
//! guard words behind each tensor and whose kernels carry bounds checks; twice with the same bits; and again as in
//! production, without checks and without subgroup operations.

mod common;

use lemma_gpu::gpu::{Gpu, GpuOptions, POISON, Variant};
use lemma_gpu::ops::{Case, Row, TABLE};
use lemma_gpu::tensor::{Cx, Host, Tensor};
use std::collections::HashSet;

fn run(gpu: &Gpu, case: &Case) -> (Vec<Host>, Vec<Tensor>) {
    let inputs: Vec<Tensor> = case.inputs.iter().map(|h| h.upload(gpu)).collect();
    let cx = Cx::new(gpu);
    let outputs = (case.run)(&cx, &inputs).expect("runs");
    cx.submit().expect("submits");
    let hosts = Tensor::read_all(gpu, &outputs.iter().collect::<Vec<_>>()).expect("reads");
    (hosts, outputs)
}

/// The first complaint about `got` against `want`.
fn compare(row: &Row, got: &[Host], want: &[Host]) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} outputs, the oracle has {}", got.len(), want.len()));
    }
    for (o, (g, w)) in got.iter().zip(want).enumerate() {
        if g.shape != w.shape {
            return Err(format!("output {o}: shape {}, the oracle has {}", g.shape, w.shape));
        }
        let size = w.data.iter().fold(0f64, |m, v| m.max(v.abs()));
        let error = |i: usize| (g.data[i] - w.data[i]).abs();
        let worst = (0..g.data.len()).max_by(|a, b| error(*a).total_cmp(&error(*b)));
        let Some(i) = worst else { continue };
        let within = error(i) <= row.tolerance * size;
        if !within {
            return Err(format!(
                "output {o} at {i} of {}: expected {}, got {}; error {:.3e} of the largest magnitude {size:.3e}, tolerance {:.1e}",
                w.shape,
                w.data[i],
                g.data[i],
                error(i) / size,
                row.tolerance
            ));
        }
    }
    Ok(())
}

fn guards_intact(gpu: &Gpu, outputs: &[Tensor]) -> Result<(), String> {
    for (o, t) in outputs.iter().enumerate() {
        let bytes = &gpu.read(&[(t.buffer(), t.buffer().bytes())]).expect("reads")[0];
        let words: &[u32] = bytemuck::cast_slice(&bytes[t.bytes() as usize..]);
        if words.is_empty() || words.iter().any(|w| *w != POISON) {
            return Err(format!("output {o}: a guard word behind the tensor was overwritten"));
        }
    }
    Ok(())
}

fn check(row: &Row, case: &Case, checked: &Gpu, plain: &Gpu) -> Result<(), String> {
    let want = (case.oracle)(&case.inputs);
    let (first, outputs) = run(checked, case);
    compare(row, &first, &want)?;
    guards_intact(checked, &outputs)?;
    let (second, _) = run(checked, case);
    if first != second {
        return Err("two runs differ".into());
    }
    let (unchecked, _) = run(plain, case);
    compare(row, &unchecked, &want).map_err(|e| format!("without checks and subgroups: {e}"))
}

#[test]
fn every_row_agrees_with_its_oracle() {
    let checked = common::open(GpuOptions { checked: true, poison: true, ..Default::default() });
    let plain = common::open(GpuOptions { no_subgroups: true, ..Default::default() });
    let only = std::env::var("LEMMA_GPU_OP").ok();
    let mut cases = 0;
    let mut failures = Vec::new();
    for row in TABLE.iter().filter(|r| only.as_ref().is_none_or(|o| o == r.op)) {
        for case in (row.cases)() {
            cases += 1;
            if let Err(e) = check(row, &case, &checked, &plain) {
                failures.push(format!(
                    "{} {}\n    {e}\n    repeat: LEMMA_GPU_OP={} cargo test --test kernels",
                    row.op, case.label, row.op
                ));
            }
        }
    }
    assert!(cases > 0, "no case ran");
    assert!(failures.is_empty(), "{} of {cases}:\n{}", failures.len(), failures.join("\n"));
    let listed: HashSet<(&str, Variant)> = TABLE
        .iter()
        .flat_map(|r| r.kernels)
        .flat_map(|k| (k.variants)().into_iter().map(|v| (k.kernel.path, v)))
        .collect();
    for (path, variant) in checked.pipelines().into_iter().chain(plain.pipelines()) {
        assert!(
            listed.contains(&(path, variant.clone())),
            "{path} [{variant}] was used but is not among the variants of its row"
        );
    }
}
