//! formula: r = σ(x_r + W_r h + b_r), z = σ(x_z + W_z h + b_z), n = tanh(x_n + r ⊙ (W_n h + b_n)), h' = n + z ⊙ (h − n)
//! bindings: for each direction 0, 1: input [N, H, W, 3U or more] as r z n, weight [U, 3U], bias [3U] -> y [N, H, W, 2U]
//! grid: one workgroup per sequence and direction, folded into x and y; exact for U ≤ 256
//! cost: reads the inputs and writes y once, reads a weight at every step; 6·U² flops a step

#import activation
#import index

// Step t of sequence s is pixel (s / across)·image + (s % across)·apart + t·step.
struct Params {
    sequences: u32,
    across: u32,
    image: u32,
    apart: u32,
    step: u32,
    steps: u32,
    units: u32,
    // Numbers of a pixel in the inputs, and the first of each direction there.
    row: u32,
    first_0: u32,
    first_1: u32,
}

override WG: u32 = 64u;
const MOST_UNITS: u32 = 256u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> input_0: array<f32>;
@group(0) @binding(2) var<storage, read> weight_0: array<f32>;
@group(0) @binding(3) var<storage, read> bias_0: array<f32>;
@group(0) @binding(4) var<storage, read> input_1: array<f32>;
@group(0) @binding(5) var<storage, read> weight_1: array<f32>;
@group(0) @binding(6) var<storage, read> bias_1: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

// The state before and after a step, in turn.
var<workgroup> sh_h: array<f32, 2 * MOST_UNITS>;

#repeat d 0..2
// W h + b of the three gates of a unit, and the gates' inputs.
fn gates_{d}(unit: u32, pixel: u32, h: u32) -> array<vec3f, 2> {
    let u = p.units;
    var sum = vec3f(bias_{d}[unit], bias_{d}[u + unit], bias_{d}[2u * u + unit]);
    for (var k = 0u; k < u; k++) {
        let w = k * 3u * u + unit;
        sum += sh_h[h + k] * vec3f(weight_{d}[w], weight_{d}[w + u], weight_{d}[w + 2u * u]);
    }
    let x = pixel * p.row + p.first_{d} + unit;
    return array<vec3f, 2>(sum, vec3f(input_{d}[x], input_{d}[x + u], input_{d}[x + 2u * u]));
}
#end

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let group = folded(wid, groups);
    let sequence = group / 2u;
    let direction = group % 2u;
    if (sequence >= p.sequences) { return; }
    let first = sequence / p.across * p.image + sequence % p.across * p.apart;
    for (var unit = lid; unit < p.units; unit += WG) { sh_h[unit] = 0.0; }
    workgroupBarrier();
    for (var t = 0u; t < p.steps; t++) {
        let pixel = first + select(t, p.steps - 1u - t, direction == 1u) * p.step;
        let before = t % 2u * MOST_UNITS;
        for (var unit = lid; unit < p.units; unit += WG) {
            var g: array<vec3f, 2>;
            if (direction == 0u) { g = gates_0(unit, pixel, before); } else { g = gates_1(unit, pixel, before); }
            let r = sigmoid(g[1].x + g[0].x);
            let z = sigmoid(g[1].y + g[0].y);
            let n = tanh_safe(g[1].z + r * g[0].z);
            let h = n + z * (sh_h[before + unit] - n);
            sh_h[MOST_UNITS - before + unit] = h;
            y[(pixel * 2u + direction) * p.units + unit] = h;
        }
        workgroupBarrier();
    }
}
