//! formula: y[n, c] = bias[c] + Σ x[n, p, c]·w[p, c] over the pixels p of the whole image
//! bindings: x [N, P, C], w [P, C], bias [C] -> y [N, C]
//! grid: one workgroup per (image, block of WIDTH channels), folded into x and y; exact for any N, P, C
//! cost: reads x and w once for each image, 2·N·P·C flops

#import index

struct Params { images: u32, pixels: u32, channels: u32 }

// Channels of a block lie side by side, so that neighboring invocations read neighboring numbers.
override WIDTH: u32 = 16u;
const WG: u32 = 256u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

var<workgroup> sh_sum: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let blocks = (p.channels + WIDTH - 1u) / WIDTH;
    let block = folded(wid, groups);
    let image = block / blocks;
    if (image >= p.images) { return; }
    let channel = block % blocks * WIDTH + lid % WIDTH;
    let lane = lid / WIDTH;
    var sum = 0.0;
    if (channel < p.channels) {
        for (var pixel = lane; pixel < p.pixels; pixel += WG / WIDTH) {
            let at = pixel * p.channels + channel;
            sum = fma(x[image * p.pixels * p.channels + at], w[at], sum);
        }
    }
    sh_sum[lid] = sum;
    for (var half = WG / 2u; half >= WIDTH; half /= 2u) {
        workgroupBarrier();
        if (lid < half) { sh_sum[lid] += sh_sum[lid + half]; }
    }
    if (lid < WIDTH && channel < p.channels) {
        y[image * p.channels + channel] = sh_sum[lid] + bias[channel];
    }
}
