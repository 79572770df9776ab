//! formula: norm = √Σ of the first `clipped` parts; factor = min(1, limit/(norm + 1e-6)), or 1 if limit is 0; cᵢ ← cᵢ·βᵢ + (1 − βᵢ); counts
//! bindings: parts [N] -> clock [8], in place: norm, factor, c₁, c₂, steps, steps left out, of those the last in a row, went
//! grid: one workgroup; exact for any N; a part that is not finite, clipped or not, leaves the step out
//! cost: reads parts once

#import columns
#import finite

struct Params { n: u32, clipped: u32, limit: f32, beta1: f32, beta2: f32 }

override LANES: u32 = 1u;
override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> clock: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lid: u32) {
    var sum = 0.0;
    var beside = 0.0;
    for (var i = lid; i < p.clipped; i += WG) { sum += parts[i]; }
    for (var i = p.clipped + lid; i < p.n; i += WG) { beside += parts[i]; }
    sum = column_sum(lid, sum);
    beside = column_sum(lid, beside);
    if (lid != 0u) { return; }
    let norm = sqrt(sum);
    clock[0] = norm;
    if (!finite(sum) || !finite(beside)) {
        clock[1] = 0.0;
        clock[5] += 1.0;
        clock[6] += 1.0;
        clock[7] = 0.0;
        return;
    }
    clock[1] = 1.0;
    if (p.limit > 0.0) { clock[1] = min(1.0, p.limit / (norm + 1e-6)); }
    clock[2] = clock[2] * p.beta1 + (1.0 - p.beta1);
    clock[3] = clock[3] * p.beta2 + (1.0 - p.beta2);
    clock[4] += 1.0;
    clock[6] = 0.0;
    clock[7] = 1.0;
}
