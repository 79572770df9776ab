//! formula: i, f, o = σ(x + W h + b) each, g = tanh(x_g + W_g h + b_g), c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh(c')
//! bindings: for each direction 0, 1: input [N, T, 4U] as i f g o, weight [U, 4U], bias [4U] -> y, cells [N, T, 2U]
//! grid: one workgroup per 4·FOURS sequences and direction, folded into x and y; exact for U ≤ 256
//! cost: reads the inputs and writes y and cells once, reads a weight at every step for all its sequences; 8·U² flops a step
// indices: d a direction, a four of the workgroup's sequences, j one of those.

#import activation
#import index

struct Params { sequences: u32, steps: u32, units: u32 }

// Sequences of a workgroup, by four: a weight that was read counts for all of them.
const FOURS: u32 = 1u; // tile

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

// The state before and after a step, in turn; of each unit those of four sequences side by side.
var<workgroup> sh_h: array<vec4f, 2 * MOST_UNITS * FOURS>;

#repeat d 0..2
// A step of a unit in every sequence of the workgroup from `first` on, from the states at `before` to those at `after`.
fn advance_{d}(unit: u32, first: u32, t: u32, before: u32, after: u32) {
    let u = p.units;
#repeat a 0..FOURS
    var i{a} = vec4f(bias_{d}[unit]);
    var f{a} = vec4f(bias_{d}[u + unit]);
    var g{a} = vec4f(bias_{d}[2u * u + unit]);
    var o{a} = vec4f(bias_{d}[3u * u + unit]);
#end
    for (var k = 0u; k < u; k++) {
        let w = k * 4u * u + unit;
        let wi = weight_{d}[w];
        let wf = weight_{d}[w + u];
        let wg = weight_{d}[w + 2u * u];
        let wo = weight_{d}[w + 3u * u];
#repeat a 0..FOURS
        let h{a} = sh_h[before + k * FOURS + {a}u];
        i{a} += wi * h{a};
        f{a} += wf * h{a};
        g{a} += wg * h{a};
        o{a} += wo * h{a};
#end
    }
    let step = select(t, p.steps - 1u - t, {d}u == 1u);
    // Where the step before stands, that the invocation of this unit wrote itself.
    let back = select(2u * u, 0u - 2u * u, {d}u == 0u);
#repeat a 0..FOURS
    var state{a} = vec4f(0.0);
#repeat j 0..4
    if (first + {a}u * 4u + {j}u < p.sequences) {
        let row = (first + {a}u * 4u + {j}u) * p.steps + step;
        let x = row * 4u * u + unit;
        let at = (row * 2u + {d}u) * u + unit;
        var c = 0.0;
        if (t > 0u) { c = cells[at + back]; }
        c = sigmoid(f{a}[{j}] + input_{d}[x + u]) * c
            + sigmoid(i{a}[{j}] + input_{d}[x]) * tanh_safe(g{a}[{j}] + input_{d}[x + 2u * u]);
        let h = sigmoid(o{a}[{j}] + input_{d}[x + 3u * u]) * tanh_safe(c);
        state{a}[{j}] = h;
        y[at] = h;
        cells[at] = c;
    }
#end
    sh_h[after + unit * FOURS + {a}u] = state{a};
#end
}
#end

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let group = folded(wid, groups);
    let first = group / 2u * 4u * FOURS;
    let direction = group % 2u;
    if (first >= p.sequences) { return; }
    for (var at = lid; at < p.units * FOURS; at += WG) { sh_h[at] = vec4f(0.0); }
    workgroupBarrier();
    for (var t = 0u; t < p.steps; t++) {
        let before = t % 2u * MOST_UNITS * FOURS;
        let after = MOST_UNITS * FOURS - before;
        for (var unit = lid; unit < p.units; unit += WG) {
            if (direction == 0u) {
                advance_0(unit, first, t, before, after);
            } else {
                advance_1(unit, first, t, before, after);
            }
        }
        workgroupBarrier();
    }
}
