//! formula: y = f(x), f by its number KIND in shared/activation.wgsl
//! bindings: x [E], slope [1] if f is PReLU -> y [E]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads x and writes y once; up to 10 flops a float

#import activation
#import element

struct Params { n: u32 }

override KIND: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> slope: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    var a = 0.0;
    if (KIND == ACT_PRELU) { a = slope[0]; }
    let v = x[i];
#repeat s VEC..1
    y[i] = activate(KIND, v, a);
#end
#repeat s 0..VEC
    y[i] = activate_four(KIND, v, a);
#end
}
