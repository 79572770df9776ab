//! formula: y[i₀, i₁, …] = x at the same coordinates in another order of the axes
//! bindings: x: a view of shared/strided.wgsl -> y [E]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any shape of up to 6 axes
//! cost: reads x and writes y once, reads scattered where the last axis moves; no flops

#import element
#import strided

struct Params {
    n: u32,
    d0: u32, d1: u32, d2: u32, d3: u32, d4: u32,
    s0: u32, s1: u32, s2: u32, s3: u32, s4: u32,
    outer: u32,
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
    y[i] = x[strided(i)];
}
