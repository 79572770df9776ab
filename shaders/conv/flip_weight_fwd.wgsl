//! formula: y[t, o, c] = x[s(t), c, o], s reversing all taps; of a weight in Winograd's domain (TRANSFORMED) as (3, 1, 2, 0) along both axes
//! bindings: x [KH, KW, Cin, Cout] -> y [KH, KW, Cout, Cin]
//! grid: one invocation per float, folded into x and y; exact for any size
//! cost: reads x and writes y once, reads scattered; no flops

#import element

struct Params { n: u32, taps: u32, inputs: u32, outputs: u32 }

override TRANSFORMED: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// The tap that lies reversed at another's place. Both axes reversed are all taps reversed; in Winograd's domain the first and the
// last row of G are each other reversed, and the two between are their own reverse.
fn reversed(tap: u32) -> u32 {
    if (!TRANSFORMED) { return p.taps - 1u - tap; }
    return ends_exchanged(tap / 4u) * 4u + ends_exchanged(tap % 4u);
}

fn ends_exchanged(i: u32) -> u32 {
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
    let tap = reversed(i / p.inputs / p.outputs);
    y[i] = x[(tap * p.inputs + c) * p.outputs + o];
}
