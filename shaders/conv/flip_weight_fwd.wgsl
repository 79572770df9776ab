//! formula: y[h - 1 - i, w - 1 - j, o, c] = x[i, j, c, o]
//! bindings: x [KH, KW, Cin, Cout] -> y [KH, KW, Cout, Cin]
//! grid: one invocation per float, folded into x and y; exact for any size
//! cost: reads x and writes y once, reads scattered; no flops

#import element

struct Params { n: u32, taps: u32, inputs: u32, outputs: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

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
    // Both axes reversed are all taps reversed.
    let tap = p.taps - 1u - i / p.inputs / p.outputs;
    y[i] = x[(tap * p.inputs + c) * p.outputs + o];
}
