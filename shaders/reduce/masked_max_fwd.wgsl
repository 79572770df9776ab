//! formula: y[n, p] = max over t of m[n, t, p]·[t < ℓ[n]];  winner[n, p] = the lowest t that attains it
//! bindings: maps [N, T, P], lengths [N] u32 -> y [N, P], winner [N, P] u32
//! grid: one invocation per pixel of an image, folded into x and y; exact for any T ≥ 1
//! cost: reads the maps up to the length once; one comparison a value

#import element

struct Params { n: u32, steps: u32, pixels: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> maps: array<f32>;
@group(0) @binding(2) var<storage, read> lengths: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> winner: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let image = i / p.pixels;
    let base = image * p.steps * p.pixels + i % p.pixels;
    let valid = min(lengths[image], p.steps);
    var most = 0.0;
    var at = 0u;
    if (valid > 0u) { most = maps[base]; }
    for (var t = 1u; t < valid; t++) {
        let v = maps[base + t * p.pixels];
        // A NaN stays the largest, as in PyTorch; compared by `==`, which is false for it on every target.
        if (v > most || !(v == v)) {
            most = v;
            at = t;
        }
    }
    // The steps beyond the length all hold zero.
    if (valid < p.steps && most < 0.0) {
        most = 0.0;
        at = valid;
    }
    y[i] = most;
    winner[i] = at;
}
