//! formula: per chunk of rows and channel: mean m and Σ (x − m)²
//! bindings: x [R, C] -> mean [chunks, C], squares [chunks, C]
//! grid: x one workgroup per LANES elements (of 1 or 4 channels), y per chunk of rows, WG / LANES invocations down the chunk; any sizes
//! cost: reads x twice; 5 flops an element

#import columns

// Channels count by elements.
struct Params { rows: u32, channels: u32, chunk: u32 }

override LANES: u32 = 8u;
override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> mean: array<Element>;
@group(0) @binding(3) var<storage, read_write> squares: array<Element>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
    let splits = WG / LANES;
    // Lanes beyond the last channel repeat it, so that barriers stay uniform, and store nothing.
    let channel = wid.x * LANES + lid % LANES;
    let held = min(channel, p.channels - 1u);
    let begin = wid.y * p.chunk;
    let end = min(begin + p.chunk, p.rows);
    let first = begin + lid / LANES;

    var sum = Element(0.0);
    for (var r = first; r < end; r += splits) { sum += x[r * p.channels + held]; }
    let m = column_sum(lid, sum) / f32(end - begin);
    var s = Element(0.0);
    for (var r = first; r < end; r += splits) {
        let d = x[r * p.channels + held] - m;
        s += d * d;
    }
    s = column_sum(lid, s);
    if (lid < LANES && channel < p.channels) {
        mean[wid.y * p.channels + channel] = m;
        squares[wid.y * p.channels + channel] = s;
    }
}
