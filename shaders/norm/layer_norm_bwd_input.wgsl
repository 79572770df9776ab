//! formula: ds = r·(g − mean(g)) − x̂·Σ(g·x̂)·k, g = dy·γ, x̂ = (s − μ)·r, s = x + residual; k = r/C, or 1/((C − 1)·σ) if UNBIASED
//! bindings: x [R, C], residual [R, C] if HAS_RESIDUAL, gamma [C], dy [R, C] -> ds [R, C], mean [R], rstd [R]
//! grid: one workgroup per LANES rows, folded into x and y, WG / LANES invocations along each; exact for any R and C
//! cost: reads x and residual four times and dy twice, writes ds once; about 14 flops an element

#import columns
#import index

struct Params { rows: u32, cols: u32, eps: f32 }

override LANES: u32 = 1u;
override WG: u32 = 64u;
override HAS_RESIDUAL: bool = false;
override UNBIASED: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> residual: array<f32>;
@group(0) @binding(3) var<storage, read> gamma: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> ds: array<f32>;
@group(0) @binding(6) var<storage, read_write> mean: array<f32>;
@group(0) @binding(7) var<storage, read_write> rstd: array<f32>;

fn input(i: u32) -> f32 {
    if (HAS_RESIDUAL) { return x[i] + residual[i]; }
    return x[i];
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let group = folded(wid, groups);
    if (group * LANES >= p.rows) { return; }
    // Lanes beyond the last row repeat it, so that barriers stay uniform, and store nothing.
    let row = group * LANES + lid % LANES;
    let base = min(row, p.rows - 1u) * p.cols;
    let first = lid / LANES;
    let splits = WG / LANES;
    let n = f32(p.cols);
    var sum = 0.0;
    for (var c = first; c < p.cols; c += splits) { sum += input(base + c); }
    let m = column_sum(lid, sum) / n;
    var squares = 0.0;
    var plain = 0.0;
    var along = 0.0;
    for (var c = first; c < p.cols; c += splits) {
        let d = input(base + c) - m;
        let g = dy[base + c] * gamma[c];
        squares += d * d;
        plain += g;
        along += g * d;
    }
    let total = column_sum(lid, squares);
    let level = column_sum(lid, plain) / n;
    along = column_sum(lid, along);
    var r: f32;
    var tilt: f32;
    if (UNBIASED) {
        let deviation = sqrt(total / f32(p.cols - 1u));
        r = 1.0 / (deviation + p.eps);
        // Where a row is flat, its deviation has no derivative: 0, as PyTorch.
        tilt = 0.0;
        if (deviation > 0.0) { tilt = r * r * (along / (f32(p.cols - 1u) * deviation)); }
    } else {
        r = 1.0 / sqrt(total / n + p.eps);
        tilt = r * r * r * (along / n);
    }
    if (row >= p.rows) { return; }
    for (var c = first; c < p.cols; c += splits) {
        ds[base + c] = r * (dy[base + c] * gamma[c] - level) - (input(base + c) - m) * tilt;
    }
    if (first == 0u) {
        mean[row] = m;
        rstd[row] = r;
    }
}
