//! ASTER on raw tensors.

use super::recognizers::{images, texts};
use super::{Activation, Detail, Subject, collect};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::gpu::Gpu;
use crate::models::aster::{Network, best};
use crate::tensor::{Axes, Host};

/// Steps of the reference in which the symbol before is given: always the same one.
const GIVEN: [u32; 29] = [1; 29];

/// The graph of ASTER.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = Network::load(gpu, subject.source())?;
    let [high, _] = images(gpu, inputs)?;
    let cx = detail.pass(gpu);
    let columns = network.columns(&cx, &high)?;
    let given = network.along(&cx, &columns, &GIVEN)?;
    cx.value("aster", "teacher_logits", &given, Axes::Same);
    let trail = network.search(&cx, &columns)?;
    let mut out = collect(gpu, cx.submit()?)?;
    let trail_there = trail.to_host(gpu)?;
    let (steps, n) = (trail_there.dims()[0], trail_there.dims()[1]);
    let symbols = best(&trail_there).into_iter().flatten().map(|e| e.symbol as f64);
    let value = Host::new([n, steps], symbols.collect()).into_u32();
    out.push(Activation { name: "aster.beam_ids".into(), call: 0, value });
    out.push(texts(gpu, &network, &[&trail], "aster.text")?);
    Ok(out)
}
