//! formula: y[r, v + c] = x[r, c] for the columns c < C, and 0 in all other columns of y
//! bindings: x [R, C] -> y [R, to_cols], first column v = to_first
//! grid: one invocation per element of y of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads x and writes y once; no flops

#import element

struct Params {
    n: u32,
    cols: u32,
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
    // Columns before the first wrap round, beyond the last.
    let row = quotient(i, p.to_cols);
    let col = i - row * p.to_cols - p.to_first;
    let inside = col < p.cols;
    let at = select(0u, row * p.cols + col, inside);
    y[i] = select(Element(), x[at], inside);
}
