//! formula: of before[b] + log soft-max(logits[b])[v] the W best of an image in order, of equals the lower index; a beam that ends has -1e30 after
//! bindings: logits [N, W, V], before, places [N, W] -> after [N, W], parents, symbols u32 [N, W], trail [T, N, W, 4] at `step`
//! grid: one workgroup per image, folded into x and y; exact for W ≤ 8
//! cost: reads the logits W + 2 times; one exponential a logit

#import index

struct Params { images: u32, beams: u32, classes: u32, step: u32, end: u32 }

override WG: u32 = 64u;
const MOST: u32 = 8u;
const NEVER: f32 = -1e30;
const LOWEST: f32 = -3e38;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> before: array<f32>;
@group(0) @binding(3) var<storage, read> places: array<f32>;
@group(0) @binding(4) var<storage, read_write> after: array<f32>;
@group(0) @binding(5) var<storage, read_write> parents: array<u32>;
@group(0) @binding(6) var<storage, read_write> symbols: array<u32>;
// Score, parent, symbol, and where the parent looked.
@group(0) @binding(7) var<storage, read_write> trail: array<f32>;

var<workgroup> sh_parts: array<f32, MOST * WG>;
var<workgroup> sh_most: array<f32, MOST>;
// ln Σ e^logit of each beam.
var<workgroup> sh_total: array<f32, MOST>;
var<workgroup> sh_value: array<f32, WG>;
var<workgroup> sh_index: array<u32, WG>;

// Candidate i of an image: class i % V of beam i / V.
fn candidate(image: u32, i: u32) -> f32 {
    let b = i / p.classes;
    let gain = logits[image * p.beams * p.classes + i] - sh_total[b];
    return before[image * p.beams + b] + gain;
}

fn comes_first(value: f32, i: u32, other: f32, j: u32) -> bool {
    return value > other || (value == other && i < j);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let image = folded(wid, groups);
    if (image >= p.images) { return; }
    let first = image * p.beams;
    for (var b = 0u; b < p.beams; b++) {
        var most = LOWEST;
        for (var v = lid; v < p.classes; v += WG) {
            most = max(most, logits[(first + b) * p.classes + v]);
        }
        sh_parts[b * WG + lid] = most;
    }
    workgroupBarrier();
    if (lid < p.beams) {
        var most = LOWEST;
        for (var k = 0u; k < WG; k++) { most = max(most, sh_parts[lid * WG + k]); }
        sh_most[lid] = most;
    }
    workgroupBarrier();
    for (var b = 0u; b < p.beams; b++) {
        var sum = 0.0;
        for (var v = lid; v < p.classes; v += WG) {
            sum += exp(logits[(first + b) * p.classes + v] - sh_most[b]);
        }
        sh_parts[b * WG + lid] = sum;
    }
    workgroupBarrier();
    if (lid < p.beams) {
        var sum = 0.0;
        for (var k = 0u; k < WG; k++) { sum += sh_parts[lid * WG + k]; }
        sh_total[lid] = sh_most[lid] + log(sum);
    }
    workgroupBarrier();
    // The candidate that was taken last: the next one comes behind it.
    var taken = 0u;
    var least = 0.0;
    for (var w = 0u; w < p.beams; w++) {
        var best = 0u;
        var value = LOWEST;
        for (var i = lid; i < p.beams * p.classes; i += WG) {
            let v = candidate(image, i);
            let left = w == 0u || comes_first(least, taken, v, i);
            if (left && comes_first(v, i, value, best)) {
                value = v;
                best = i;
            }
        }
        sh_value[lid] = value;
        sh_index[lid] = best;
        workgroupBarrier();
        for (var k = 0u; k < WG; k++) {
            if (comes_first(sh_value[k], sh_index[k], value, best)) {
                value = sh_value[k];
                best = sh_index[k];
            }
        }
        taken = best;
        least = value;
        if (lid == 0u) {
            let score = candidate(image, best);
            let parent = best / p.classes;
            let symbol = best - parent * p.classes;
            let at = first + w;
            after[at] = select(score, NEVER, symbol == p.end);
            parents[at] = parent;
            symbols[at] = symbol;
            let to = ((p.step * p.images + image) * p.beams + w) * 4u;
            trail[to] = score;
            trail[to + 1u] = f32(parent);
            trail[to + 2u] = f32(symbol);
            trail[to + 3u] = places[first + parent];
        }
        workgroupBarrier();
    }
}
