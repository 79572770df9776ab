//! formula: back through h' = n + z ⊙ (h − n): da of a = W h + b is (dr, dz, r ⊙ dn), dx is (dr, dz, dn), dh = z ⊙ dh' + Wᵀ da
//! bindings: x, a [N, H, W, 3U] as r z n, before [N, H, W, U], weights transposed [3U, U], dy [N, H, W, 2U] -> dx, da [N, H, W, 3U]
//! grid: one workgroup per sequence of one direction, folded into x and y; exact for U ≤ 256
//! cost: reads the inputs and writes dx and da once, the weights once or at every step; 6·U² flops a step

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
    direction: u32,
}

// The weights of so many fours of gates stay in registers, those of a workgroup with one invocation for each unit.
const FOURS: u32 = 0u; // tile

override WG: u32 = 64u;
const MOST_UNITS: u32 = 256u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> before: array<f32>;
@group(0) @binding(4) var<storage, read> transposed: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;
@group(0) @binding(7) var<storage, read_write> da: array<f32>;

// The gradient of the state that a step leaves behind; each unit's invocation alone uses it.
var<workgroup> sh_dh: array<f32, MOST_UNITS>;
// da of a step and of the one before, in turn.
var<workgroup> sh_da: array<f32, 2 * 3 * MOST_UNITS>;

fn four(at: u32) -> vec4f {
    return vec4f(sh_da[at], sh_da[at + 1u], sh_da[at + 2u], sh_da[at + 3u]);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let sequence = folded(wid, groups);
    if (sequence >= p.sequences) { return; }
    let u = p.units;
    let first = sequence / p.across * p.image + sequence % p.across * p.apart;
    for (var unit = lid; unit < u; unit += WG) { sh_dh[unit] = 0.0; }
#repeat f 0..FOURS
    let w{f} = vec4f(
        transposed[{f}u * 4u * u + lid],
        transposed[({f}u * 4u + 1u) * u + lid],
        transposed[({f}u * 4u + 2u) * u + lid],
        transposed[({f}u * 4u + 3u) * u + lid]);
#end
    for (var t = 0u; t < p.steps; t++) {
        let pixel = first + select(p.steps - 1u - t, t, p.direction == 1u) * p.step;
        let turn = t % 2u * 3u * MOST_UNITS;
        for (var unit = lid; unit < u; unit += WG) {
            let at = pixel * 3u * u + unit;
            let a_n = a[at + 2u * u];
            let r = sigmoid(x[at] + a[at]);
            let z = sigmoid(x[at + u] + a[at + u]);
            let n = tanh_safe(x[at + 2u * u] + r * a_n);
            let dh = sh_dh[unit] + dy[(pixel * 2u + p.direction) * u + unit];
            let dn = dh * (1.0 - z) * (1.0 - n * n);
            let dr = dn * a_n * r * (1.0 - r);
            let dz = dh * (before[pixel * u + unit] - n) * z * (1.0 - z);
            dx[at] = dr;
            dx[at + u] = dz;
            dx[at + 2u * u] = dn;
            da[at] = dr;
            da[at + u] = dz;
            da[at + 2u * u] = r * dn;
            sh_da[turn + unit] = dr;
            sh_da[turn + u + unit] = dz;
            sh_da[turn + 2u * u + unit] = r * dn;
            sh_dh[unit] = z * dh;
        }
        workgroupBarrier();
        for (var unit = lid; unit < u; unit += WG) {
            var sum = vec4f(sh_dh[unit], 0.0, 0.0, 0.0);
#repeat f 0..FOURS
            sum = fma(w{f}, four(turn + {f}u * 4u), sum);
#end
            for (var g = 4u * FOURS; g < 3u * u; g++) {
                sum.x += transposed[g * u + unit] * sh_da[turn + g];
            }
            sh_dh[unit] = (sum.x + sum.y) + (sum.z + sum.w);
        }
    }
}
