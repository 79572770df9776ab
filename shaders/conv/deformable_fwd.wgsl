//! formula: y[n, i, j, c] = b[c] + Σₖ w[k, c]·m·x[n, i − 1 + k/3 + dy, j − 1 + k%3 + dx, c] bilinear, 0 outside, with (dy, dx) the
//!   offsets 2·(9·c + k) and the one behind it of the pixel, and m its modulation 9·c + k
//! bindings: x [N, H, W, C], offsets [N, H, W, 18·C], modulation [N, H, W, 9·C], w [3, 3, C], bias [C] -> y [N, H, W, C]
//! grid: one invocation per value of y, folded into x and y; any sizes
//! cost: reads 36 values of x and 27 of offsets and modulation for each value it writes

#import element

struct Params { n: u32, channels: u32, height: u32, width: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> offsets: array<f32>;
@group(0) @binding(3) var<storage, read> modulation: array<f32>;
@group(0) @binding(4) var<storage, read> w: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

fn pixel(image: u32, i: i32, j: i32, c: u32) -> f32 {
    let inside = i >= 0 && i < i32(p.height) && j >= 0 && j < i32(p.width);
    if (!inside) { return 0.0; }
    return x[((image * p.height + u32(i)) * p.width + u32(j)) * p.channels + c];
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let e = element(wid, groups, lid);
    if (e >= p.n) { return; }
    let c = e % p.channels;
    let place = e / p.channels;
    let column = place % p.width;
    let row = place / p.width % p.height;
    let image = place / (p.width * p.height);
    var sum = bias[c];
    for (var k = 0u; k < 9u; k++) {
        let tap = place * 9u * p.channels + 9u * c + k;
        // Far outside the image all is 0; the bounds keep what follows within integers.
        let most = vec2f(f32(p.height), f32(p.width)) + 1.0;
        let at = vec2f(f32(row), f32(column)) + vec2f(f32(k / 3u), f32(k % 3u)) - 1.0;
        let shift = vec2f(offsets[2u * tap], offsets[2u * tap + 1u]);
        let seen = clamp(at + shift, vec2f(-2.0), most);
        let low = floor(seen);
        let f = seen - low;
        let i = i32(low.x);
        let j = i32(low.y);
        let upper = mix(pixel(image, i, j, c), pixel(image, i, j + 1, c), f.y);
        let lower = mix(pixel(image, i + 1, j, c), pixel(image, i + 1, j + 1, c), f.y);
        sum += w[k * p.channels + c] * modulation[tap] * mix(upper, lower, f.x);
    }
    y[e] = sum;
}
