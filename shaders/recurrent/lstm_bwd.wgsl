//! formula: back through h' = o ⊙ tanh(c'), c' = f ⊙ c + i ⊙ g: da of a = x + W h + b, dc = f ⊙ dc', dh = Wᵀ da
//! bindings: x, a = W h + b [N, T, 4U] as i f g o, cells [N, T, 2U], weights transposed [4U, U], dy [N, T, 2U] -> da [N, T, 4U]
//! grid: one workgroup per sequence of one direction, folded into x and y; exact for U ≤ 256
//! cost: reads the inputs and writes da once, the weights at every step; 8·U² flops a step

#import activation
#import index

struct Params { sequences: u32, steps: u32, units: u32, direction: u32 }

override WG: u32 = 64u;
const MOST_UNITS: u32 = 256u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> cells: array<f32>;
@group(0) @binding(4) var<storage, read> transposed: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> da: array<f32>;

// The gradients of state and cells that a step leaves behind; each unit's invocation alone uses its own.
var<workgroup> sh_dh: array<f32, MOST_UNITS>;
var<workgroup> sh_dc: array<f32, MOST_UNITS>;
// da of a step and of the one before, in turn.
var<workgroup> sh_da: array<f32, 2 * 4 * MOST_UNITS>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let sequence = folded(wid, groups);
    if (sequence >= p.sequences) { return; }
    let u = p.units;
    for (var unit = lid; unit < u; unit += WG) {
        sh_dh[unit] = 0.0;
        sh_dc[unit] = 0.0;
    }
    for (var t = 0u; t < p.steps; t++) {
        let reverse = p.direction == 1u;
        let step = sequence * p.steps + select(p.steps - 1u - t, t, reverse);
        let turn = t % 2u * 4u * MOST_UNITS;
        for (var unit = lid; unit < u; unit += WG) {
            let at = step * 4u * u + unit;
            let i = sigmoid(x[at] + a[at]);
            let f = sigmoid(x[at + u] + a[at + u]);
            let g = tanh_safe(x[at + 2u * u] + a[at + 2u * u]);
            let o = sigmoid(x[at + 3u * u] + a[at + 3u * u]);
            let own = (step * 2u + p.direction) * u + unit;
            var before = 0.0;
            if (t + 1u < p.steps) { before = cells[select(own - 2u * u, own + 2u * u, reverse)]; }
            let curve = tanh_safe(cells[own]);
            let dh = sh_dh[unit] + dy[own];
            let dc = sh_dc[unit] + dh * o * (1.0 - curve * curve);
            let di = dc * g * i * (1.0 - i);
            let df = dc * before * f * (1.0 - f);
            let dg = dc * i * (1.0 - g * g);
            let d_o = dh * curve * o * (1.0 - o);
            da[at] = di;
            da[at + u] = df;
            da[at + 2u * u] = dg;
            da[at + 3u * u] = d_o;
            sh_da[turn + unit] = di;
            sh_da[turn + u + unit] = df;
            sh_da[turn + 2u * u + unit] = dg;
            sh_da[turn + 3u * u + unit] = d_o;
            sh_dc[unit] = f * dc;
        }
        workgroupBarrier();
        for (var unit = lid; unit < u; unit += WG) {
            var sum = vec4f();
            for (var k = 0u; k < u; k++) {
                let w = k * u + unit;
                let gates = vec4f(
                    transposed[w],
                    transposed[w + u * u],
                    transposed[w + 2u * u * u],
                    transposed[w + 3u * u * u]);
                let place = turn + k;
                let d = vec4f(
                    sh_da[place], sh_da[place + u], sh_da[place + 2u * u], sh_da[place + 3u * u]);
                sum = fma(gates, d, sum);
            }
            sh_dh[unit] = (sum.x + sum.y) + (sum.z + sum.w);
        }
    }
}
