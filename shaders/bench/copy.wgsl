//! formula: y = x
//! bindings: x [N] -> y [N], as vectors of four
//! grid: one invocation per four vectors a workgroup apart, 256 to a workgroup, folded into x and y; exact for any N
//! cost: reads and writes 16 bytes for each of the N vectors

#import index

struct Params { vectors: u32 }

const EACH: u32 = 4u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let first = folded(wid, groups) * 256u * EACH + lid;
    for (var i = 0u; i < EACH; i++) {
        let at = first + i * 256u;
        if (at < p.vectors) { y[at] = x[at]; }
    }
}
