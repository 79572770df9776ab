//! formula: dx = r·(dy − mean(dy) − x̂·mean(dy·x̂)), x̂ = (x − μ)·r, r = 1/√(σ² + ε); means over the pixels of a sample's channel
//! bindings: x [N, P, C], dy [N, P, C] -> dx [N, P, C]
//! grid: one workgroup per LANES elements (of 1 or 4 channels) of a sample, folded into x and y, WG / LANES invocations down the pixels; any sizes
//! cost: reads x four times and dy twice, writes dx once; about 12 flops an element

#import index
#import columns

// Channels count by elements.
struct Params { samples: u32, pixels: u32, channels: u32, eps: f32 }

override LANES: u32 = 8u;
override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read_write> dx: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let splits = WG / LANES;
    let blocks = (p.channels + LANES - 1u) / LANES;
    let group = folded(wid, groups);
    if (group >= blocks * p.samples) { return; }
    // Lanes beyond the last channel repeat it, so that barriers stay uniform, and store nothing.
    let channel = (group % blocks) * LANES + lid % LANES;
    let base = (group / blocks) * p.pixels * p.channels + min(channel, p.channels - 1u);
    let first = lid / LANES;
    let n = f32(p.pixels);

    var sum = Element(0.0);
    for (var a = first; a < p.pixels; a += splits) { sum += x[base + a * p.channels]; }
    let mean = column_sum(lid, sum) / n;
    var squares = Element(0.0);
    var plain = Element(0.0);
    var along = Element(0.0);
    for (var a = first; a < p.pixels; a += splits) {
        let i = base + a * p.channels;
        let d = x[i] - mean;
        squares += d * d;
        plain += dy[i];
        along += dy[i] * d;
    }
    let r = Element(1.0) / sqrt(column_sum(lid, squares) / n + p.eps);
    let level = column_sum(lid, plain) / n;
    let tilt = column_sum(lid, along) / n * r * r;
    if (channel >= p.channels) { return; }
    for (var a = first; a < p.pixels; a += splits) {
        let i = base + a * p.channels;
        dx[i] = r * (dy[i] - level - (x[i] - mean) * tilt);
    }
}
