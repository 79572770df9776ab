//! formula: s = x + residual, y = (s − μ)·r·γ + β; r = 1/√(σ² + ε) (biased σ²), or 1/(σ + ε) with n − 1 if UNBIASED
//! bindings: x [R, C], residual [R, C] if HAS_RESIDUAL, gamma [C], beta [C] -> y [R, C]
//! grid: one workgroup per LANES rows, folded into x and y, WG / LANES invocations along each; exact for any R and C
//! cost: reads x three times and residual as often, writes y once; about 8 flops an element

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
@group(0) @binding(4) var<storage, read> beta: array<Element>;
@group(0) @binding(5) var<storage, read_write> y: array<Element>;

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
    // The corrected two-pass algorithm (Chan, Golub, LeVeque 1983): what the first sum lost shows in the second.
    var squares = Element(0.0);
    var rest = Element(0.0);
    for (var c = first; c < p.cols; c += splits) {
        let d = input(base + c) - near;
        squares += d * d;
        rest += d;
    }
    let off = together(column_sum(lid, rest)) / n;
    let mean = near + off;
    let total = max(together(column_sum(lid, squares)) - n * off * off, 0.0);
    var r: f32;
    if (UNBIASED) {
        r = 1.0 / (sqrt(total / (n - 1.0)) + p.eps);
    } else {
        r = 1.0 / sqrt(total / n + p.eps);
    }
    if (row >= p.rows) { return; }
    for (var c = first; c < p.cols; c += splits) {
        y[base + c] = (input(base + c) - mean) * r * gamma[c] + beta[c];
    }
}
