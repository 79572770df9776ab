//! formula: ds = r·(g − mean(g)) − x̂·Σ(g·x̂)·k, g = dy·γ, x̂ = (s − μ)·r, s = x + residual; k = r/C, or 1/((C − 1)·σ) if UNBIASED
//! bindings: x [R, C], residual [R, C] if HAS_RESIDUAL, gamma [C], dy [R, C] -> ds [R, C], mean [R], rstd [R]
//! grid: one workgroup per LANES rows, folded into x and y, WG / LANES invocations along each; exact for any R and C
//! cost: reads x and residual four times and dy twice, writes ds once; about 14 flops an element

#import columns
#import index

// Columns count by elements of 1 or 4.
struct Params { rows: u32, cols: u32, eps: f32 }

override LANES: u32 = 1u;
override WG: u32 = 64u;
override HAS_RESIDUAL: bool = false;
override UNBIASED: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> residual: array<Element>;
@group(0) @binding(3) var<storage, read> gamma: array<Element>;
@group(0) @binding(4) var<storage, read> dy: array<Element>;
@group(0) @binding(5) var<storage, read_write> ds: array<Element>;
@group(0) @binding(6) var<storage, read_write> mean: array<f32>;
@group(0) @binding(7) var<storage, read_write> rstd: array<f32>;

fn input(i: u32) -> Element {
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
    let n = f32(p.cols * (1u + 3u * VEC));
    var sum = Element(0.0);
    for (var c = first; c < p.cols; c += splits) { sum += input(base + c); }
    let near = together(column_sum(lid, sum)) / n;
    // As in `layer_norm_fwd`: what the first sum lost shows in the second.
    var rest = Element(0.0);
    var squares = Element(0.0);
    var plain = Element(0.0);
    var product = Element(0.0);
    for (var c = first; c < p.cols; c += splits) {
        let d = input(base + c) - near;
        let g = dy[base + c] * gamma[c];
        rest += d;
        squares += d * d;
        plain += g;
        product += g * d;
    }
    let off = together(column_sum(lid, rest)) / n;
    let m = near + off;
    let total = max(together(column_sum(lid, squares)) - n * off * off, 0.0);
    let level = together(column_sum(lid, plain)) / n;
    let along = together(column_sum(lid, product)) - n * off * level;
    var r: f32;
    var tilt: f32;
    if (UNBIASED) {
        let deviation = sqrt(total / (n - 1.0));
        r = 1.0 / (deviation + p.eps);
        // Where a row is flat, its deviation has no derivative: 0, as PyTorch.
        tilt = 0.0;
        if (deviation > 0.0) { tilt = r * r * (along / ((n - 1.0) * deviation)); }
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
