//! LEMMA on raw tensors.

use super::inputs::{float_images, rgb_images};
use super::{Activation, Detail, Subject, collect, first_images};
use crate::Result;
use crate::data::checkpoint::StateDict;
use crate::data::picture;
use crate::gpu::Gpu;
use crate::models::lemma;
use crate::ops::Spline;
use crate::tensor::{Host, Tensor};

/// The graph of LEMMA.
pub(super) fn run(
    gpu: &Gpu,
    subject: &Subject,
    inputs: &StateDict,
    detail: Detail,
) -> Result<Vec<Activation>> {
    let network = match subject {
        Subject::State(state) => lemma::Network::load(gpu, state)?,
        Subject::Procedural(p) => {
            lemma::Network::with_config(gpu, p, lemma::LemmaConfig::default())?
        }
    };
    let input = if let Some(t) = inputs.tensors.get("input.lr_u8") {
        let images = rgb_images(t, "input.lr_u8", 16, 64)?;
        let values: Vec<f32> = images.iter().flat_map(picture::lr_input).collect();
        Tensor::upload(gpu, [images.len(), 16, 64, 4], &values)
    } else {
        float_images(gpu, inputs, &["input.lr", "input"], 4, 16, 64)?
    };
    let cx = detail.pass(gpu);
    let _wanted = network.forward(&cx, &input)?;
    let k = network.config().guidance.select_num;
    let mut out = collect(gpu, cx.submit()?)?;
    out.extend(selection(&out, k));
    out.extend(spline());
    first_images(&mut out, &["lem.x_region", "block1", "block2", "block7"]);
    Ok(out)
}

/// From the sorted pixels: the K selected indices in ascending order, and their mask.
fn selection(out: &[Activation], k: usize) -> Vec<Activation> {
    let Some(order) = out.iter().find(|a| a.name == "lem.order") else { return Vec::new() };
    let (n, pixels) = (order.value.dims()[0], order.value.dims()[1]);
    let mut mask = Host::zeros([n, 1, 16, pixels / 16]);
    let mut best = Vec::with_capacity(n * k);
    for (i, row) in order.value.data.chunks_exact(pixels).enumerate() {
        let mut top = row[..k].to_vec();
        top.sort_by(f64::total_cmp);
        for pixel in &top {
            mask.data[i * pixels + *pixel as usize] = 1.0;
        }
        best.extend(top);
    }
    let value = |name: &str, value| Activation { name: name.into(), call: 0, value };
    vec![value("lem.selected", mask), value("lem.topk", Host::new([n, k], best).into_u32())]
}

/// The constants of the spatial transformer, which evaluation does not run.
fn spline() -> [Activation; 3] {
    let spline = Spline::new(lemma::LOW.0, lemma::LOW.1, 20);
    let value = |name: &str, columns: usize, data: Vec<f64>| Activation {
        name: format!("tps.{name}"),
        call: 0,
        value: Host::new([data.len() / columns, columns], data),
    };
    [
        value("inverse_kernel", 23, spline.inverse),
        value("target_control_points", 2, spline.targets),
        value("target_coordinate_repr", 23, spline.representation),
    ]
}
