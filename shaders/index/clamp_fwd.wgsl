//! formula: y = min(max(x, low), high)
//! bindings: x u32 [n] -> y u32 [n]
//! grid: one invocation per element, workgroups folded into x and y; any size
//! cost: reads x once, writes y once

#import index

struct Params { len: u32, low: u32, high: u32 }

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = folded(wid, groups) * WG + lid;
    if (i >= p.len) { return; }
    y[i] = min(max(x[i], p.low), p.high);
}
