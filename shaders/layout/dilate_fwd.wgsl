//! formula: y[n, s·i, t·j, c] = x[n, i, j, c], and 0 in all other pixels of y
//! bindings: x [N, H, W, C] -> y [N, s·(H - 1) + 1, t·(W - 1) + 1, C] with s = stride_y, t = stride_x
//! grid: one invocation per element of y of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads x and writes y once; no flops

#import element

struct Params {
    n: u32,
    height: u32,
    width: u32,
    channels: u32,
    stride_y: u32,
    stride_x: u32,
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
    let width = (p.width - 1u) * p.stride_x + 1u;
    let height = (p.height - 1u) * p.stride_y + 1u;
    let c = i % p.channels;
    let pixel = i / p.channels;
    let column = pixel % width;
    let row = pixel / width % height;
    let image = pixel / width / height;
    let there = (row % p.stride_y == 0u) & (column % p.stride_x == 0u);
    let at = (image * p.height + row / p.stride_y) * p.width + column / p.stride_x;
    y[i] = select(Element(), x[select(0u, at * p.channels + c, there)], there);
}
