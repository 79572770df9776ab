//! formula: da = dy·factor·2(a − b), or dy·factor·sign(a − b) if ABSOLUTE, 0 where a = b
//! bindings: a [E], b [E], dy [1] -> da [E]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads a and b and writes da once; 3 flops a float

#import element

struct Params { n: u32, factor: f32 }

override ABSOLUTE: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Element>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> da: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let d = a[i] - b[i];
    let by = dy[0] * p.factor;
    if (ABSOLUTE) {
        da[i] = by * sign(d);
    } else {
        da[i] = by * (2.0 * d);
    }
}
