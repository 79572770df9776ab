//! formula: y = f(a, b, c) as bits, f by WHICH: what an adapter and its compiler make of it
//! bindings: x [3, N] as bits -> y [N] as bits, or 1 and 0 for true and false
//! grid: one invocation per element, 64 to a workgroup, folded into x and y; exact for any N
//! cost: reads 12 and writes 4 bytes an element; one function each

#import index

struct Params { n: u32 }

override WHICH: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = folded(wid, groups) * 64u + lid;
    if (i >= p.n) { return; }
    let a = bitcast<f32>(x[i]);
    let b = bitcast<f32>(x[p.n + i]);
    let c = bitcast<f32>(x[2u * p.n + i]);
    var truth = false;
    var value = 0.0;
    // Overrides are constants when the pipeline is made, so one case is left.
    switch (WHICH) {
        case 0u: { value = a + b; }
        case 1u: { value = a * b; }
        case 2u: { value = a / b; }
        case 3u: { value = fma(a, b, c); }
        case 4u: { value = max(a, b); }
        case 5u: { value = min(a, b); }
        case 6u: { value = clamp(a, b, c); }
        case 7u: { value = pow(a, b); }
        case 8u: { value = exp(a); }
        case 9u: { value = log(a); }
        case 10u: { value = tanh(a); }
        case 11u: { value = inverseSqrt(a); }
        case 12u: { value = sqrt(a); }
        case 13u: { value = sign(a); }
        case 14u: { value = round(a); }
        case 15u: { truth = a != b; }
        case 16u: { truth = a == b; }
        case 17u: { truth = !(a == b); }
        case 18u: { truth = a < b; }
        case 19u: { truth = !(a < b); }
        default: {}
    }
    var bits = bitcast<u32>(value);
    if (WHICH >= 15u) { bits = select(0u, 1u, truth); }
    if (WHICH == 20u) { bits = u32(a); }
    if (WHICH == 21u) { bits = bitcast<u32>(i32(a)); }
    if (WHICH == 22u) { bits = pack2x16float(vec2f(a, 0.0)) & 0xffffu; }
    if (WHICH == 23u) { bits = bitcast<u32>(unpack2x16float(x[i]).x); }
    y[i] = bits;
}
