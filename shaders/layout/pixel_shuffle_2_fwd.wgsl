//! formula: y[n, 2i + u, 2j + v, c] = f(x[n, i, j, 4c + 2u + v]), f by its number KIND in shared/activation.wgsl
//! bindings: x [N, H, W, 4C], slope [1] if f is PReLU -> y [N, 2H, 2W, C]
//! grid: one invocation per 4 channels of an input pixel, folded into x and y; exact for C a multiple of 4
//! cost: reads x and writes y once, 16 floats an invocation; the flops of f

#import activation
#import element

struct Params { n: u32, width: u32, quads: u32 }

override KIND: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> slope: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let pixel = i / p.quads;
    let column = pixel % p.width;
    let row = pixel / p.width;
    var a = 0.0;
    if (KIND == ACT_PRELU) { a = slope[0]; }
    // Four channels by four places become four places by four channels.
    let places = transpose(mat4x4f(x[4u * i], x[4u * i + 1u], x[4u * i + 2u], x[4u * i + 3u]));
    let upper = (4u * row * p.width + 2u * column) * p.quads + i % p.quads;
    let lower = upper + 2u * p.width * p.quads;
    y[upper] = activate_four(KIND, places[0], a);
    y[upper + p.quads] = activate_four(KIND, places[1], a);
    y[lower] = activate_four(KIND, places[2], a);
    y[lower + p.quads] = activate_four(KIND, places[3], a);
}
