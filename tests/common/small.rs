//! Small networks of every kind that LEMMA is compared with.

use lemma_gpu::data::checkpoint::{HostTensor, StateDict};
use lemma_gpu::gpu::Gpu;
use lemma_gpu::models::ModelKind;
use lemma_gpu::models::word::Loading;
use lemma_gpu::train::Initial;

/// Shapes that tell sizes: one block, or two, of few channels.
fn sizes(kind: ModelKind) -> StateDict {
    let groups = [("head.0.weight", vec![8, 3, 3, 3])];
    let planes = match kind {
        ModelKind::Tbsrn | ModelKind::TextGestalt => 3,
        _ => 4,
    };
    let trunk = [
        ("block1.0.weight", vec![16, planes, 9, 9]),
        ("block2.conv1.weight", vec![1]),
        ("stn_head.stn_fc2.weight", vec![1]),
    ];
    let rcan = [
        ("body.0.body.0.body.0.weight", vec![1]),
        ("body.0.body.1.body.0.weight", vec![1]),
        ("body.0.body.0.body.3.conv_du.0.weight", vec![2, 1]),
    ];
    let san = [
        ("RG.0.conv_last.weight", vec![1]),
        ("RG.0.rcab.0.conv_first.0.weight", vec![1]),
        ("RG.0.soca.conv_du.0.weight", vec![2, 1]),
    ];
    let shapes: Vec<(&str, Vec<usize>)> = match kind {
        ModelKind::Srcnn => Vec::new(),
        ModelKind::Rcan => groups.into_iter().chain(rcan).collect(),
        ModelKind::San => groups.into_iter().chain(san).collect(),
        // Known by its eighth block.
        ModelKind::SrResNet => {
            let blocks = [
                "block3.conv1.weight",
                "block4.conv1.weight",
                "block5.conv1.weight",
                "block6.conv1.weight",
            ];
            let blocks = blocks.map(|name| (name, vec![1]));
            trunk.into_iter().take(2).chain(blocks).collect()
        }
        _ => trunk.into(),
    };
    let tensor = |(name, shape): (&str, Vec<usize>)| {
        let zeros = vec![0.0; shape.iter().product()];
        (name.to_string(), HostTensor::from_f32(shape, &zeros).expect("a tensor"))
    };
    StateDict { tensors: shapes.into_iter().map(tensor).collect(), ..StateDict::default() }
}

/// Initial weights of a small network.
pub fn small(gpu: &Gpu, kind: ModelKind) -> StateDict {
    let sizes = sizes(kind);
    let learns: &dyn Fn(&str) -> bool = &|_| false;
    let warps = !matches!(kind, ModelKind::SrResNet);
    let source = &Initial::of(kind, 1);
    let loading = Loading { source, sizes: Some(&sizes), warps, frozen: Some(learns) };
    let (_, parameters) = kind.load(gpu, loading).expect("a network").expect("loads");
    parameters.state_dict(gpu).expect("weights")
}
