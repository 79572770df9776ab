//! formula: μ = Σ nᵢmᵢ / n, M = Σ (sᵢ + nᵢ(mᵢ − μ)²), rstd = 1/√(M/n + ε); running += momentum·(μ or M/(n − 1) − running)
//! bindings: part_mean, part_squares [chunks, C], old_mean, old_var [C] -> mean, rstd, new_mean, new_var [C]
//! grid: one invocation per channel
//! cost: reads both parts, the means twice; 8 flops a chunk and channel

#import finite

struct Params { rows: u32, channels: u32, chunk: u32, momentum: f32, eps: f32 }

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> part_mean: array<f32>;
@group(0) @binding(2) var<storage, read> part_squares: array<f32>;
@group(0) @binding(3) var<storage, read> old_mean: array<f32>;
@group(0) @binding(4) var<storage, read> old_var: array<f32>;
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(7) var<storage, read_write> new_mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> new_var: array<f32>;

// Rows of the chunk that begins at row `begin`.
fn rows_from(begin: u32) -> f32 {
    return f32(min(p.chunk, p.rows - begin));
}

@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3u) {
    let c = gid.x;
    if (c >= p.channels) { return; }
    let n = f32(p.rows);
    // About the first chunk's mean, so that a mean far from zero does not cost digits.
    let origin = part_mean[c];
    var shift = 0.0;
    var at = c;
    for (var begin = 0u; begin < p.rows; begin += p.chunk) {
        shift += rows_from(begin) * (part_mean[at] - origin);
        at += p.channels;
    }
    let m = origin + shift / n;
    var squares = 0.0;
    at = c;
    for (var begin = 0u; begin < p.rows; begin += p.chunk) {
        let d = part_mean[at] - m;
        squares += part_squares[at] + rows_from(begin) * d * d;
        at += p.channels;
    }
    mean[c] = m;
    rstd[c] = 1.0 / sqrt(squares / n + p.eps);
    // A batch that is not finite is left out of the statistics as of everything else.
    var moved = vec2f(old_mean[c], old_var[c]);
    if (finite(m + squares)) { moved += p.momentum * (vec2f(m, squares / (n - 1.0)) - moved); }
    new_mean[c] = moved.x;
    new_var[c] = moved.y;
}
