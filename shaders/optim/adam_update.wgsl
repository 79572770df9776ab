//! formula: g = grad·clip where it is clipped, r = lr·factor; m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; p ← p − r·decay·p − r·(m/c₁)/(√(v/c₂) + ε)
//! bindings: grad [E], clock [8] of clock_update, factor [1] -> param, m, v [E], in place where the clock has the step done and the new param is finite; left [1], plus those that are not
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads four and writes three tensors once; 16 flops a float

#import element
#import finite

struct Params { n: u32, lr: f32, beta1: f32, beta2: f32, eps: f32, decay: f32, clips: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grad: array<Element>;
@group(0) @binding(2) var<storage, read> clock: array<f32>;
@group(0) @binding(3) var<storage, read> factor: array<f32>;
@group(0) @binding(4) var<storage, read_write> param: array<Element>;
@group(0) @binding(5) var<storage, read_write> m: array<Element>;
@group(0) @binding(6) var<storage, read_write> v: array<Element>;
@group(0) @binding(7) var<storage, read_write> left: array<atomic<u32>>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n || clock[7] == 0.0) { return; }
    let g = grad[i] * select(1.0, clock[1], p.clips == 1u);
    let first = p.beta1 * m[i] + (1.0 - p.beta1) * g;
    let second = p.beta2 * v[i] + (1.0 - p.beta2) * g * g;
    let rate = p.lr * factor[0];
    let kept = param[i] - rate * p.decay * param[i];
    let moved = kept - rate * (first / clock[2]) / (sqrt(second / clock[3]) + p.eps);
    let takes = finite(moved);
    param[i] = select(param[i], moved, takes);
    m[i] = select(m[i], first, takes);
    v[i] = select(v[i], second, takes);
    // A sum of whole numbers is the same in any order.
    let stays = others(takes);
    if (stays > 0u) { atomicAdd(&left[0], stays); }
}
