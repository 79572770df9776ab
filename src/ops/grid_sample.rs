//! Warping: sampling an image at given places, and the places of a thin-plate spline.

use super::{Case, Epilogue, KernelUse, Row, element, linear, permute};
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use crate::{Result, kernel, params};

kernel!(SAMPLE = "sample/grid_sample_fwd", SampleParams, SampleBinds { x, grid, y });
kernel!(
    SAMPLE_BWD_INPUT = "sample/grid_sample_bwd_input",
    SampleParams,
    SampleBwdInputBinds { grid, dy, dx }
);
kernel!(
    SAMPLE_BWD_GRID = "sample/grid_sample_bwd_grid",
    SampleParams,
    SampleBwdGridBinds { x, grid, dy, dgrid }
);
kernel!(TPS = "sample/tps_grid_fwd", TpsParams, TpsBinds { control, matrix, grid });
kernel!(TPS_BWD = "sample/tps_grid_bwd", TpsParams, TpsBwdBinds { control, matrix, dgrid, d });
params! { struct SampleParams { n: u32, channels: u32, height: u32, width: u32, points: u32 } }
params! { struct TpsParams { n: u32, points: u32, controls: u32 } }

/// Samples `x [N, H, W, C]` at `grid [N, h, w, 2]`, places (x, y) in [−1, 1] across the image, bilinear with zeros outside:
/// `torch.nn.functional.grid_sample` with align_corners = False. → `[N, h, w, C]`.
///
/// # Errors
/// A grid that does not fit.
pub fn grid_sample(cx: &Cx, x: &Tensor, grid: &Tensor) -> Result<Tensor> {
    let [n, height, width, channels] = x.shape().nhwc("grid_sample")?;
    let [_, h, w, _] = grid.shape().nhwc("grid_sample: grid")?;
    cx.expect("grid_sample", "grid", grid, [n, h, w, 2])?;
    cx.expect("grid_sample", "x", x, [n, height.max(1), width.max(1), channels])?;
    let y = cx.out([n, h, w, channels]);
    if y.is_empty() {
        return Ok(y);
    }
    let unit = element::width(&[channels]);
    let elements = y.len() / unit;
    let p = SampleParams {
        n: to_u32(elements),
        channels: to_u32(channels / unit),
        height: to_u32(height),
        width: to_u32(width),
        points: to_u32(h * w),
    };
    let binds = SampleBinds { x: x.read(), grid: grid.read(), y: y.write() };
    let variant = element::variant(unit);
    cx.run(&SAMPLE, &variant, element::grid(elements), &p, binds)?;
    let saved = (x.detached(), grid.detached());
    Ok(cx.record("grid_sample", [x, grid], y, move |cx, dy, need| {
        let (x, grid) = saved;
        let mut found = [None, None];
        if need[0] {
            let dx = cx.out(x.shape());
            let p = SampleParams { n: to_u32(dx.len() / unit), ..p };
            let binds = SampleBwdInputBinds { grid: grid.read(), dy: dy.read(), dx: dx.write() };
            cx.run(&SAMPLE_BWD_INPUT, &variant, element::grid(dx.len() / unit), &p, binds)?;
            found[0] = Some(dx);
        }
        if need[1] {
            let dgrid = cx.out(grid.shape());
            let p = SampleParams { n: to_u32(n * h * w), ..p };
            let binds = SampleBwdGridBinds {
                x: x.read(),
                grid: grid.read(),
                dy: dy.read(),
                dgrid: dgrid.write(),
            };
            cx.run(&SAMPLE_BWD_GRID, &variant, element::grid(n * h * w), &p, binds)?;
            found[1] = Some(dgrid);
        }
        Ok(found)
    }))
}

/// The sampling grid of a thin-plate spline: source = matrix·control, clamped to [0, 1] and stretched to [−1, 1].
/// `control [N, K, 2]` are the control points (x, y), `matrix [h·w, K]` the folded spline of the output size `to = (h, w)`.
/// → `[N, h, w, 2]`. The control points get a gradient, the matrix is a constant.
///
/// # Errors
/// A matrix that does not fit.
pub fn tps_grid(cx: &Cx, control: &Tensor, matrix: &Tensor, to: (usize, usize)) -> Result<Tensor> {
    let [n, k, _] = control.shape().nlc("tps_grid")?;
    cx.expect("tps_grid", "control", control, [n, k, 2])?;
    cx.expect("tps_grid", "matrix", matrix, [to.0 * to.1, k])?;
    let y = cx.out([n, to.0, to.1, 2]);
    if y.is_empty() {
        return Ok(y);
    }
    let points = y.len() / 2;
    let p = TpsParams { n: to_u32(points), points: to_u32(to.0 * to.1), controls: to_u32(k) };
    let binds = TpsBinds { control: control.read(), matrix: matrix.read(), grid: y.write() };
    cx.run(&TPS, &element::scalar(), element::grid(points), &p, binds)?;
    let saved = (control.detached(), matrix.detached());
    Ok(cx.record("tps_grid", [control], y, move |cx, dy, _| {
        let (control, matrix) = saved;
        let d = cx.out([n, 2, matrix.dims()[0]]);
        let binds = TpsBwdBinds {
            control: control.read(),
            matrix: matrix.read(),
            dgrid: dy.read(),
            d: d.write(),
        };
        cx.run(&TPS_BWD, &element::scalar(), element::grid(points), &p, binds)?;
        let by_axis = linear(cx, &d, &matrix, &Epilogue::default())?;
        Ok([Some(permute(cx, &by_axis, &[0, 2, 1])?)])
    }))
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "grid_sample",
    kernels: &[
        KernelUse { kernel: &SAMPLE, variants: element::variants },
        KernelUse { kernel: &SAMPLE_BWD_INPUT, variants: element::variants },
        KernelUse { kernel: &SAMPLE_BWD_GRID, variants: element::variants },
        KernelUse { kernel: &TPS, variants: || vec![element::scalar()] },
        KernelUse { kernel: &TPS_BWD, variants: || vec![element::scalar()] },
    ],
    tolerance: 2e-5,
    gradient: 5e-6,
    cases,
};

fn cases() -> Vec<Case> {
    let sample = |why: &str, [n, h, w, c]: [usize; 4], to: (usize, usize), reach: f64| {
        let label = format!("[{n}, {h}, {w}, {c}] at {to:?} within ±{reach}: {why}");
        let mut s = Seeded::new(&label);
        let x = s.signed([n, h, w, c]);
        let mut grid = s.uniform([n, to.0, to.1, 2], -reach, reach);
        // The places keep away from the pixels, where the slope changes.
        for (i, g) in grid.data.iter_mut().enumerate() {
            let size = [w, h][i % 2] as f64;
            let place = ((*g + 1.0) * size * 4.0).floor() / 8.0 + 0.0625;
            *g = f64::from(((2.0 * place + 1.0) / size - 1.0) as f32);
        }
        Case::new(
            label,
            vec![x, grid],
            |cx, t| Ok(vec![grid_sample(cx, &t[0], &t[1])?]),
            |h| vec![sample_oracle(&h[0], &h[1])],
        )
    };
    let far = || {
        let places = vec![1e9, 0.0, 0.0, -1e30, 3e9, 3e9, -1.0, 1.0];
        let x = Seeded::new("far").signed([1, 3, 4, 4]);
        Case::new(
            "[1, 3, 4, 4] at places beyond every integer: zeros",
            vec![x, Host::new([1, 2, 2, 2], places)],
            |cx, t| Ok(vec![grid_sample(cx, &t[0], &t[1])?]),
            |h| vec![sample_oracle(&h[0], &h[1])],
        )
        .f32_only()
    };
    let tps = |why: &str, n: usize, k: usize, to: (usize, usize)| {
        let label = format!("spline of {n} x {k} points to {to:?}: {why}");
        let mut s = Seeded::new(&label);
        // Sources are odd multiples of 1/256, away from the ends of [0, 1]: the first product is, all others are even ones.
        let grained = |mut h: Host, grains: f64, odd: &dyn Fn(usize) -> bool| {
            for (i, v) in h.data.iter_mut().enumerate() {
                let whole = (*v * grains / 2.0).floor() * 2.0;
                *v = (whole + f64::from(odd(i))) / grains;
            }
            h
        };
        let control = grained(s.signed([n, k, 2]), 64.0, &|i| i / 2 % k == 0);
        let matrix = grained(s.signed([to.0 * to.1, k]), 4.0, &|i| i % k == 0);
        Case::new(
            label,
            vec![control, matrix],
            move |cx, t| Ok(vec![tps_grid(cx, &t[0], &t[1], to)?]),
            move |h| vec![tps_oracle(&h[0], &h[1], to)],
        )
        // The matrix is a constant.
        .gradient_of(&[0])
    };
    vec![
        sample("one pixel", [1, 1, 1, 1], (1, 1), 0.5),
        sample("primes, some outside", [2, 5, 7, 3], (11, 13), 1.5),
        sample("training", [2, 16, 64, 4], (16, 64), 1.1).bench(2.0 * 32_768.0),
        far(),
        tps("one point", 1, 1, (1, 1)),
        tps("training", 2, 20, (16, 64)).bench(2.0 * 80.0 * 1024.0),
        tps("recognizer", 1, 20, (32, 100)),
    ]
}

/// Reference: the four neighbors of every place.
fn sample_oracle(x: &Host, grid: &Host) -> Host {
    let [_, height, width, c] = x.shape.nhwc("oracle").expect("an image");
    let [n, h, w, _] = grid.shape.nhwc("oracle").expect("a grid");
    let mut data = Vec::with_capacity(n * h * w * c);
    for point in 0..n * h * w {
        let place = |axis: usize, size: usize| {
            ((grid.data[point * 2 + axis] + 1.0) * size as f64 - 1.0) / 2.0
        };
        let (px, py) = (place(0, width), place(1, height));
        for channel in 0..c {
            let value = |i: f64, j: f64| {
                if i < 0.0 || j < 0.0 || i >= height as f64 || j >= width as f64 {
                    return 0.0;
                }
                let pixel = (point / (h * w) * height + i as usize) * width + j as usize;
                x.data[pixel * c + channel]
            };
            let mut sum = 0.0;
            for i in [py.floor(), py.floor() + 1.0] {
                for j in [px.floor(), px.floor() + 1.0] {
                    let weight = (1.0 - (py - i).abs()) * (1.0 - (px - j).abs());
                    sum += weight.max(0.0) * value(i, j);
                }
            }
            data.push(sum);
        }
    }
    Host::new([n, h, w, c], data)
}

/// Reference by plain loops.
fn tps_oracle(control: &Host, matrix: &Host, to: (usize, usize)) -> Host {
    let [n, k, _] = control.shape.nlc("oracle").expect("points");
    let mut data = Vec::new();
    for image in 0..n {
        for row in matrix.data.chunks_exact(k) {
            for axis in 0..2 {
                let points = (0..k).map(|i| control.data[(image * k + i) * 2 + axis]);
                let source: f64 = points.zip(row).map(|(c, m)| c * m).sum();
                data.push(2.0 * source.clamp(0.0, 1.0) - 1.0);
            }
        }
    }
    Host::new([n, to.0, to.1, 2], data)
}
