//! formula: ds = dy·min(x, 0), whose sum is the gradient of PReLU's slope
//! bindings: x [E], dy [E] -> ds [E]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads x and dy and writes ds once; 2 flops a float

#import element

struct Params { n: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read_write> ds: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    ds[i] = dy[i] * min(x[i], Element());
}
