//! formula: per chunk of rows and channel: Σ dy and Σ dy·x̂, x̂ = (x + residual − μ)·r
//! bindings: x, dy [R, C], residual [R, C] if HAS_RESIDUAL, mean, rstd [R] if BY_ROW, else [C] -> shift, scale [chunks, C]
//! grid: x one workgroup per LANES elements of 1 or 4 channels, y per chunk of rows, WG / LANES invocations down the chunk; any sizes
//! cost: reads x, residual and dy once; 5 flops an element

#import columns

// Channels in units of an element.
struct Params { rows: u32, channels: u32, chunk: u32 }

override LANES: u32 = 8u;
override WG: u32 = 64u;
override BY_ROW: bool = false;
override HAS_RESIDUAL: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> residual: array<Element>;
@group(0) @binding(3) var<storage, read> dy: array<Element>;
@group(0) @binding(4) var<storage, read> mean: array<f32>;
@group(0) @binding(5) var<storage, read> rstd: array<f32>;
@group(0) @binding(6) var<storage, read_write> shift: array<Element>;
@group(0) @binding(7) var<storage, read_write> scale: array<Element>;

struct Statistics { mean: Element, rstd: Element }

// Those of a row for all its channels.
fn of_row(r: u32) -> Statistics {
    return Statistics(Element(mean[r]), Element(rstd[r]));
}

// Those of an element's channels.
fn of_channels(e: u32) -> Statistics {
#repeat once VEC..1
    return Statistics(mean[e], rstd[e]);
#end
#repeat once 0..VEC
    let c = e * 4u;
    return Statistics(
        vec4f(mean[c], mean[c + 1u], mean[c + 2u], mean[c + 3u]),
        vec4f(rstd[c], rstd[c + 1u], rstd[c + 2u], rstd[c + 3u]));
#end
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lid: u32) {
    let splits = WG / LANES;
    // Lanes beyond the last channel repeat it, so that barriers stay uniform, and store nothing.
    let channel = wid.x * LANES + lid % LANES;
    let held = min(channel, p.channels - 1u);
    let begin = wid.y * p.chunk;
    let end = min(begin + p.chunk, p.rows);

    var s: Statistics;
    if (!BY_ROW) { s = of_channels(held); }
    var plain = Element();
    var along = Element();
    for (var r = begin + lid / LANES; r < end; r += splits) {
        let i = r * p.channels + held;
        if (BY_ROW) { s = of_row(r); }
        var v = x[i];
        if (HAS_RESIDUAL) { v += residual[i]; }
        let g = dy[i];
        plain += g;
        along += g * ((v - s.mean) * s.rstd);
    }
    plain = column_sum(lid, plain);
    along = column_sum(lid, along);
    if (lid < LANES && channel < p.channels) {
        shift[wid.y * p.channels + channel] = plain;
        scale[wid.y * p.channels + channel] = along;
    }
}
