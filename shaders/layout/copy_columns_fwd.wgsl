//! formula: y[r, v + c] = x[r, u + c] for the columns c < C: a slice of a last axis, or a part of a concatenation
//! bindings: x [R, from_cols], first column u = from_first -> y [R, to_cols], first column v = to_first
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads and writes R·C floats; no flops

#import element

struct Params {
    n: u32,
    cols: u32,
    from_cols: u32,
    from_first: u32,
    to_cols: u32,
    to_first: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let row = quotient(i, p.cols);
    let col = i - row * p.cols;
    y[row * p.to_cols + p.to_first + col] = x[row * p.from_cols + p.from_first + col];
}
