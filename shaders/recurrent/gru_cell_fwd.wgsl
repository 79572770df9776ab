//! formula: r = σ(x_r + a_r), z = σ(x_z + a_z), n = tanh(x_n + r ⊙ a_n), y = n + z ⊙ (h − n)
//! bindings: x, a [R, 3U] as r z n, h [R, U] -> y [R, U]
//! grid: one invocation per unit, folded into x and y; exact for any size
//! cost: reads seven and writes one number a unit; about 12 flops and three exponentials each

#import activation
#import element

struct Params { n: u32, units: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> h: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let row = i / p.units;
    let at = 3u * row * p.units + (i - row * p.units);
    let r = sigmoid(x[at] + a[at]);
    let z = sigmoid(x[at + p.units] + a[at + p.units]);
    let n = tanh_safe(x[at + 2u * p.units] + r * a[at + 2u * p.units]);
    y[i] = n + z * (h[i] - n);
}
