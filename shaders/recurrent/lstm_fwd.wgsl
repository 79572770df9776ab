//! formula: i, f, o = σ(x + W h + b) each, g = tanh(x_g + W_g h + b_g), c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh(c')
//! bindings: for each direction 0, 1: input [N, T, 4U] as i f g o, weight [U, 4U], bias [4U] -> y, cells [N, T, 2U]
//! grid: one workgroup per sequence and direction, folded into x and y; exact for U ≤ 256
//! cost: reads the inputs and writes y and cells once, reads a weight at every step; 8·U² flops a step

#import activation
#import index

struct Params { sequences: u32, steps: u32, units: u32 }

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
@group(0) @binding(8) var<storage, read_write> cells: array<f32>;

// The state before and after a step, in turn.
var<workgroup> sh_h: array<f32, 2 * MOST_UNITS>;
// The cells; each unit's invocation alone uses its own.
var<workgroup> sh_c: array<f32, MOST_UNITS>;

#repeat d 0..2
// x + W h + b of the four gates of a unit at a step.
fn gates_{d}(unit: u32, step: u32, h: u32) -> vec4f {
    let u = p.units;
    var sum = vec4f(
        bias_{d}[unit], bias_{d}[u + unit], bias_{d}[2u * u + unit], bias_{d}[3u * u + unit]);
    for (var k = 0u; k < u; k++) {
        let w = k * 4u * u + unit;
        let row = vec4f(
            weight_{d}[w], weight_{d}[w + u], weight_{d}[w + 2u * u], weight_{d}[w + 3u * u]);
        sum += sh_h[h + k] * row;
    }
    let x = step * 4u * u + unit;
    let own = vec4f(
        input_{d}[x], input_{d}[x + u], input_{d}[x + 2u * u], input_{d}[x + 3u * u]);
    return sum + own;
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
    for (var unit = lid; unit < p.units; unit += WG) {
        sh_h[unit] = 0.0;
        sh_c[unit] = 0.0;
    }
    workgroupBarrier();
    for (var t = 0u; t < p.steps; t++) {
        let step = sequence * p.steps + select(t, p.steps - 1u - t, direction == 1u);
        let before = t % 2u * MOST_UNITS;
        for (var unit = lid; unit < p.units; unit += WG) {
            var a: vec4f;
            if (direction == 0u) {
                a = gates_0(unit, step, before);
            } else {
                a = gates_1(unit, step, before);
            }
            let c = sigmoid(a.y) * sh_c[unit] + sigmoid(a.x) * tanh_safe(a.z);
            let h = sigmoid(a.w) * tanh_safe(c);
            sh_c[unit] = c;
            sh_h[MOST_UNITS - before + unit] = h;
            let at = (step * 2u + direction) * p.units + unit;
            y[at] = h;
            cells[at] = c;
        }
        workgroupBarrier();
    }
}
