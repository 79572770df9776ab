//! formula: y = −share·ln P, P the sum over all paths of blanks and repeats that spell the word; dz = share·(p − posterior), 0 without a path
//! bindings: z [N, T, C], words u32 [N, L], lengths u32 [N], share [N] -> y [N], dz [N, T, C]
//! grid: one workgroup per sample, folded into x and y; exact for T ≤ 48 and L ≤ 31
//! cost: reads z three times and writes dz once; about L·T·(12 + 2·C) flops a sample
// A state is a place in the word with blanks before, between and behind its characters.

#import index

struct Params { samples: u32, steps: u32, classes: u32, longest: u32 }

override WG: u32 = 64u;
const STATES: u32 = 64u;
const MOST_STEPS: u32 = 48u;
const NEVER: f32 = -1e30;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> words: array<u32>;
@group(0) @binding(3) var<storage, read> lengths: array<u32>;
@group(0) @binding(4) var<storage, read> share: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> dz: array<f32>;

// ln Σ eᶻ of each step.
var<workgroup> sh_total: array<f32, MOST_STEPS>;
// The class of each state.
var<workgroup> sh_class: array<u32, STATES>;
// ln of what leads to a state at a step; then its posterior.
var<workgroup> sh_paths: array<f32, MOST_STEPS * STATES>;
// ln of what leads on from a state, at a step and at the one behind it in turn.
var<workgroup> sh_on: array<f32, 2 * STATES>;

fn joined(a: f32, b: f32) -> f32 {
    let most = max(a, b);
    return most + log(exp(a - most) + exp(b - most));
}

// Whether a path may come to a state from two states before: past a blank between unlike characters.
fn skips(state: u32) -> bool {
    return state >= 2u && sh_class[state] != 0u && sh_class[state] != sh_class[state - 2u];
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let sample = folded(wid, groups);
    if (sample >= p.samples) { return; }
    let length = min(lengths[sample], p.longest);
    let states = 2u * length + 1u;
    let first = sample * p.steps * p.classes;
    if (lid < p.steps) {
        let row = first + lid * p.classes;
        var most = z[row];
        for (var c = 1u; c < p.classes; c++) { most = max(most, z[row + c]); }
        var sum = 0.0;
        for (var c = 0u; c < p.classes; c++) { sum += exp(z[row + c] - most); }
        sh_total[lid] = most + log(sum);
    }
    var own = 0u;
    if (lid < states && lid % 2u == 1u) {
        own = min(words[sample * p.longest + lid / 2u], p.classes - 1u);
    }
    sh_class[lid] = own;
    workgroupBarrier();
    for (var t = 0u; t < p.steps; t++) {
        var path = NEVER;
        if (lid < states) {
            if (t == 0u) {
                path = select(NEVER, 0.0, lid < 2u);
            } else {
                let before = (t - 1u) * STATES + lid;
                path = sh_paths[before];
                if (lid >= 1u) { path = joined(path, sh_paths[before - 1u]); }
                if (skips(lid)) { path = joined(path, sh_paths[before - 2u]); }
            }
            path += z[first + t * p.classes + own] - sh_total[t];
        }
        sh_paths[t * STATES + lid] = path;
        workgroupBarrier();
    }
    let last = (p.steps - 1u) * STATES + states - 1u;
    var all = sh_paths[last];
    if (states > 1u) { all = joined(all, sh_paths[last - 1u]); }
    let has_path = all > 0.5 * NEVER;
    let part = select(0.0, share[sample], has_path);
    if (lid == 0u) { y[sample] = select(0.0, -part * all, has_path); }
    workgroupBarrier();
    for (var k = 0u; k < p.steps; k++) {
        let t = p.steps - 1u - k;
        let turn = k % 2u * STATES;
        let behind = STATES - turn;
        var on = NEVER;
        if (lid < states) {
            if (k == 0u) {
                on = select(NEVER, 0.0, lid + 2u >= states);
            } else {
                on = sh_on[behind + lid];
                if (lid + 1u < states) { on = joined(on, sh_on[behind + lid + 1u]); }
                if (lid + 2u < states && skips(lid + 2u)) {
                    on = joined(on, sh_on[behind + lid + 2u]);
                }
            }
        }
        let at = t * STATES + lid;
        let posterior = exp(min(sh_paths[at] + on - all, 0.0));
        sh_on[turn + lid] = max(on + z[first + t * p.classes + own] - sh_total[t], NEVER);
        sh_paths[at] = select(0.0, posterior, lid < states);
        workgroupBarrier();
    }
    for (var i = lid; i < p.steps * p.classes; i += WG) {
        let t = i / p.classes;
        let c = i - t * p.classes;
        var posterior = 0.0;
        for (var s = 0u; s < states; s++) {
            if (sh_class[s] == c) { posterior += sh_paths[t * STATES + s]; }
        }
        dz[first + i] = part * (exp(z[first + i] - sh_total[t]) - posterior);
    }
}
