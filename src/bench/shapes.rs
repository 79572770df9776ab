//! Shapes beside those of the table: larger batches, activations of 16 MiB, and layers whose oracles would take the tests too
//! long.

use super::work::Work;
use crate::Result;
use crate::ops::{
    Act, Along, Attention, Deviation, Direction, Epilogue, Filter, Heads, Mask, activate, add,
    attention, batch_norm_train, bidirectional_gru, channel_affine, concat_last, conv2d,
    instance_norm, layer_norm, mul, permute, pixel_shuffle, resize, softmax, sum_to, winograd,
};
use crate::shape::Window;
use crate::tensor::{Cx, Host, Seeded, Tensor};

/// 16 MiB as a feature map of LEMMA.
const LARGE: [usize; 4] = [64, 16, 64, 64];
const VALUES: f64 = 4_194_304.0;

/// An operation with one output on seeded inputs of these shapes, each within ±1.
fn work(
    name: String,
    shapes: &[&[usize]],
    flops: f64,
    run: impl Fn(&Cx, &[Tensor]) -> Result<Tensor> + 'static,
) -> Work {
    let shapes: Vec<Vec<usize>> = shapes.iter().map(|s| s.to_vec()).collect();
    let seed = name.clone();
    let inputs = move || -> Vec<Host> {
        let mut s = Seeded::new(&seed);
        shapes.iter().map(|shape| s.signed(shape.as_slice())).collect()
    };
    Work {
        name,
        inputs: Box::new(inputs),
        run: Box::new(move |cx, t| Ok(vec![run(cx, t)?])),
        flops,
    }
}

fn conv(why: &str, x: [usize; 4], out: usize, kernel: usize) -> Work {
    let [n, h, w, c] = x;
    let name = format!("conv2d {x:?} → {out} {kernel}×{kernel}/1×1: {why}");
    let flops = 2.0 * (n * h * w * out * kernel * kernel * c) as f64;
    work(name, &[&x, &[kernel, kernel, c, out], &[out]], flops, move |cx, t| {
        conv2d(cx, &t[0], &t[1], Window::same(kernel), &Epilogue::bias(&t[2]))
    })
}

fn transformed_conv(why: &str, x: [usize; 4], out: usize) -> Work {
    let [n, h, w, c] = x;
    let name = format!("winograd {x:?} → {out}: {why}");
    let flops = 2.0 * (n * h * w * out * 9 * c) as f64;
    work(name, &[&x, &[4, 4, c, out], &[out]], flops, |cx, t| {
        winograd(cx, &t[0], &t[1], &Epilogue::bias(&t[2]))
    })
}

fn gru(n: usize, along: Along) -> Work {
    let (h, w, units) = (16, 64, 32);
    let name = format!("gru [{n}, {h}, {w}] {units} units along {along:?}: block, batch {n}");
    let one: [&[usize]; 3] = [&[n, h, w, 3 * units], &[units, 3 * units], &[3 * units]];
    let flops = 12.0 * (n * h * w * units * units) as f64;
    work(name, &[one, one].concat(), flops, move |cx, t| {
        let d = |i: usize| Direction { input: &t[i], weight: &t[i + 1], bias: &t[i + 2] };
        bidirectional_gru(cx, d(0), d(3), along)
    })
}

fn attention_of(why: &str, [n, lq, lk, heads, d]: [usize; 5]) -> Work {
    let e = heads * d;
    let name = format!("attention {n} x {lq} x {lk}, {heads} heads of {d}: {why}");
    let flops = 4.0 * (n * lq * lk * e) as f64;
    let shape = Attention { heads, width: e, scale: (d as f32).sqrt().recip() };
    work(name, &[&[n, lq, e], &[n, lk, e], &[n, lk, e]], flops, move |cx, t| {
        let [q, k, v] = [0, 1, 2].map(|i| Heads::whole(&t[i]));
        Ok(attention(cx, q, k, v, shape, Mask::None, false)?.0)
    })
}

fn large(op: &str, what: &str) -> String {
    format!("{op} {what}: 16 MiB")
}

/// All of them; a name begins with that of the operation's row.
pub(super) fn larger() -> Vec<Work> {
    let c = [LARGE[3]];
    let pixels = [LARGE[0], LARGE[1] * LARGE[2], LARGE[3]];
    let half = [pixels[0], pixels[1], pixels[2] / 2];
    let rows = [65_536, 64];
    let enlarged = [16, 16, 64, 64];
    vec![
        conv("backbone, 512 channels", [1, 8, 32, 512], 512, 3),
        conv("backbone, 512 channels, batch 8", [8, 8, 32, 512], 512, 3),
        conv("trunk, batch 8", [8, 16, 64, 64], 64, 3),
        conv("last layer", [1, 32, 128, 64], 4, 9),
        transformed_conv("backbone, 512 channels", [1, 8, 32, 512], 512),
        transformed_conv("backbone, 512 channels, batch 8", [8, 8, 32, 512], 512),
        transformed_conv("trunk, batch 8", [8, 16, 64, 64], 64),
        gru(8, Along::Columns),
        gru(8, Along::Rows),
        attention_of("vision encoder, batch 8", [8, 256, 256, 8, 64]),
        attention_of("semantic decoder, batch 8", [8, 1024, 26, 4, 16]),
        work(large("pointwise", "mish"), &[&LARGE], 10.0 * VALUES, |cx, t| {
            activate(cx, &t[0], Act::Mish)
        }),
        work(large("pointwise", "sum of two"), &[&LARGE, &LARGE], VALUES, |cx, t| {
            add(cx, &t[0], &t[1])
        }),
        work(
            large("pointwise", "channel weights"),
            &[&LARGE, &[LARGE[0], 1, 1, LARGE[3]]],
            VALUES,
            |cx, t| mul(cx, &t[0], &t[1]),
        ),
        work(
            large("channel_affine", "batch norm in evaluation"),
            &[&LARGE, &c, &c],
            2.0 * VALUES,
            |cx, t| channel_affine(cx, &t[0], &t[1], &t[2], None, Act::None),
        ),
        work(large("batch_norm", "training"), &[&LARGE, &c, &c, &c, &c], 8.0 * VALUES, |cx, t| {
            Ok(batch_norm_train(cx, &t[0], &t[1], &t[2], &t[3], &t[4], 0.1, 1e-5)?.0)
        }),
        work(
            large("layer_norm", "rows of 64 with residual"),
            &[&rows, &rows, &c, &c],
            9.0 * VALUES,
            |cx, t| layer_norm(cx, &t[0], Some(&t[1]), &t[2], &t[3], 1e-5, Deviation::Biased),
        ),
        work(large("instance_norm", "feature maps"), &[&LARGE], 8.0 * VALUES, |cx, t| {
            instance_norm(cx, &t[0], None, 1e-5)
        }),
        work(large("softmax", "over the pixels"), &[&pixels], 5.0 * VALUES, |cx, t| {
            softmax(cx, &t[0], 1)
        }),
        work(large("softmax", "over rows of 256"), &[&[16_384, 256]], 5.0 * VALUES, |cx, t| {
            softmax(cx, &t[0], 1)
        }),
        work(large("resize", "bicubic to twice the size"), &[&enlarged], 32.0 * VALUES, |cx, t| {
            resize(cx, &t[0], (32, 128), Filter::Bicubic, true)
        }),
        work(large("layout", "permute [64, 1024, 64] by [0, 2, 1]"), &[&pixels], 0.0, |cx, t| {
            permute(cx, &t[0], &[0, 2, 1])
        }),
        work(large("layout", "concat of two halves"), &[&half, &half], 0.0, |cx, t| {
            concat_last(cx, &[&t[0], &t[1]])
        }),
        work(large("broadcast", "sum over all but channels"), &[&LARGE], VALUES, move |cx, t| {
            sum_to(cx, &t[0], c)
        }),
        work(large("pixel_shuffle", "by two"), &[&LARGE], 0.0, |cx, t| {
            pixel_shuffle(cx, &t[0], 2, Act::None)
        }),
    ]
}
