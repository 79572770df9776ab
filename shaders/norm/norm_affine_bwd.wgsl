//! formula: per chunk of rows and channel: Σ dy and Σ dy·x̂, x̂ = (x + residual − μ)·r
//! bindings: x, dy [R, C], residual [R, C] if HAS_RESIDUAL, mean, rstd [R] if BY_ROW, else [C] -> shift, scale [chunks, C]
//! grid: x one workgroup per LANES channels, y per chunk of rows, WG / LANES invocations down the chunk; any sizes
//! cost: reads x, residual and dy once; 5 flops an element

#import columns

struct Params { rows: u32, channels: u32, chunk: u32 }

override LANES: u32 = 8u;
override WG: u32 = 64u;
override BY_ROW: bool = false;
override HAS_RESIDUAL: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> residual: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> mean: array<f32>;
@group(0) @binding(5) var<storage, read> rstd: array<f32>;
@group(0) @binding(6) var<storage, read_write> shift: array<f32>;
@group(0) @binding(7) var<storage, read_write> scale: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
    let splits = WG / LANES;
    // Lanes beyond the last channel repeat it, so that barriers stay uniform, and store nothing.
    let channel = wid.x * LANES + lid % LANES;
    let held = min(channel, p.channels - 1u);
    let begin = wid.y * p.chunk;
    let end = min(begin + p.chunk, p.rows);

    var plain = 0.0;
    var along = 0.0;
    for (var r = begin + lid / LANES; r < end; r += splits) {
        let i = r * p.channels + held;
        let at = select(held, r, BY_ROW);
        var v = x[i];
        if (HAS_RESIDUAL) { v += residual[i]; }
        plain += dy[i];
        along += dy[i] * ((v - mean[at]) * rstd[at]);
    }
    plain = column_sum(lid, plain);
    along = column_sum(lid, along);
    if (lid < LANES && channel < p.channels) {
        shift[wid.y * p.channels + channel] = plain;
        scale[wid.y * p.channels + channel] = along;
    }
}
