//! formula: a ← b, b ← a
//! bindings: a, b [E], in place
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads and writes both tensors once

#import element

struct Params { n: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> a: array<Element>;
@group(0) @binding(2) var<storage, read_write> b: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let kept = a[i];
    a[i] = b[i];
    b[i] = kept;
}
