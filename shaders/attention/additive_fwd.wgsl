//! formula: e_j = v·tanh(q + k_j), α = soft-max(e), context = Σ α_j x_j, place = Σ α_j·(j + ½)/L
//! bindings: query [R, A], keys [N, L, A], values [N, L, C], vector [A] -> context [R, C], places [R]
//! grid: one workgroup per row, R / N of them for each image, folded into x and y; exact for L ≤ 32
//! cost: reads keys and values of an image for each of its rows; L·(3·A + 2·C) flops and L·A exponentials a row

#import activation
#import index

struct Params { rows: u32, per_image: u32, length: u32, width: u32, channels: u32 }

override WG: u32 = 64u;
const MOST: u32 = 32u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> query: array<f32>;
@group(0) @binding(2) var<storage, read> keys: array<f32>;
@group(0) @binding(3) var<storage, read> values: array<f32>;
@group(0) @binding(4) var<storage, read> vector: array<f32>;
@group(0) @binding(5) var<storage, read_write> context: array<f32>;
@group(0) @binding(6) var<storage, read_write> places: array<f32>;

// What each invocation has of each score.
var<workgroup> sh_parts: array<f32, MOST * WG>;
var<workgroup> sh_scores: array<f32, MOST>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let row = folded(wid, groups);
    if (row >= p.rows) { return; }
    let first = row / p.per_image * p.length;
    for (var j = 0u; j < p.length; j++) {
        var part = 0.0;
        for (var c = lid; c < p.width; c += WG) {
            let v = tanh_safe(query[row * p.width + c] + keys[(first + j) * p.width + c]);
            part = fma(vector[c], v, part);
        }
        sh_parts[j * WG + lid] = part;
    }
    workgroupBarrier();
    for (var j = lid; j < p.length; j += WG) {
        var score = 0.0;
        for (var k = 0u; k < WG; k++) { score += sh_parts[j * WG + k]; }
        sh_scores[j] = score;
    }
    workgroupBarrier();
    var most = sh_scores[0];
    for (var j = 1u; j < p.length; j++) { most = max(most, sh_scores[j]); }
    var total = 0.0;
    var place = 0.0;
    for (var j = 0u; j < p.length; j++) {
        let e = exp(sh_scores[j] - most);
        total += e;
        place = fma(e, f32(j) + 0.5, place);
    }
    for (var c = lid; c < p.channels; c += WG) {
        var sum = 0.0;
        for (var j = 0u; j < p.length; j++) {
            sum = fma(exp(sh_scores[j] - most), values[(first + j) * p.channels + c], sum);
        }
        context[row * p.channels + c] = sum / total;
    }
    if (lid == 0u) { places[row] = place / (total * f32(p.length)); }
}
