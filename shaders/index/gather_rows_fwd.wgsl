//! formula: y[n, j, c] = x[n, q, c] with q = at[n, j], or q = j if IN_PLACE; zero where at[n, j] ≥ L
//! bindings: x [N, R, C], at [N, A] u32 -> y [N, J, C]; J ≤ A
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads at most as many rows as it writes; no flops

#import element

struct Params { n: u32, cols: u32, from_rows: u32, to_rows: u32, at_cols: u32, limit: u32 }

override IN_PLACE: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> at: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let c = i % p.cols;
    let row = i / p.cols;
    let j = row % p.to_rows;
    let image = row / p.to_rows;
    let q = at[image * p.at_cols + j];
    var v = Element();
    if (q < p.limit) {
        let source = select(q, j, IN_PLACE);
        v = x[(image * p.from_rows + source) * p.cols + c];
    }
    y[i] = v;
}
