//! formula: y[i, j, o, c] = x[s(i), s(j), c, o], s = (3, 1, 2, 0): the transformed weight with its taps reversed
//! bindings: x [4, 4, Cin, Cout] -> y [4, 4, Cout, Cin]
//! grid: one invocation per float, folded into x and y; exact for any size
//! cost: reads x and writes y once, reads scattered; no flops

#import element

struct Params { n: u32, inputs: u32, outputs: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// The first and the last row of G are each other reversed; the two between are their own reverse.
fn other(i: u32) -> u32 {
    return select(i, 3u - i, i % 3u == 0u);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let c = i % p.inputs;
    let o = i / p.inputs % p.outputs;
    let plane = i / p.inputs / p.outputs;
    let source = other(plane / 4u) * 4u + other(plane % 4u);
    y[i] = x[(source * p.inputs + c) * p.outputs + o];
}
