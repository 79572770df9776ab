//! formula: y[n, r·i + u, r·j + v, c] = f(x[n, i, j, c·r² + u·r + v]), f by its number KIND in shared/activation.wgsl
//! bindings: x [N, H, W, C·r²], slope [1] if f is PReLU -> y [N, r·H, r·W, C]
//! grid: one invocation per float, folded into x and y; exact for any size
//! cost: reads x and writes y once; the flops of f

#import activation
#import element

struct Params { n: u32, height: u32, width: u32, channels: u32, r: u32 }

override KIND: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> slope: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let c = i % p.channels;
    var rest = i / p.channels;
    let column = rest % (p.width * p.r);
    rest /= p.width * p.r;
    let row = rest % (p.height * p.r);
    let image = rest / (p.height * p.r);
    let pixel = (image * p.height + row / p.r) * p.width + column / p.r;
    let channel = (c * p.r + row % p.r) * p.r + column % p.r;
    var a = 0.0;
    if (KIND == ACT_PRELU) { a = slope[0]; }
    y[i] = activate(KIND, x[pixel * p.channels * p.r * p.r + channel], a);
}
