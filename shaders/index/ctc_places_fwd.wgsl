//! formula: at[n, k] = the middle of the k-th run of steps whose arg-max is one class other than 0; behind the last, the last step of class 0
//! bindings: x [N, T, C] -> at u32 [N, T], lengths u32 [N]: runs + 1 within low and T
//! grid: one invocation per sample, folded into x and y; any sizes
//! cost: reads x once; one comparison an element

#import element

struct Params { n: u32, steps: u32, classes: u32, low: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> at: array<u32>;
@group(0) @binding(3) var<storage, read_write> lengths: array<u32>;

fn best(row: u32) -> u32 {
    var most = x[row * p.classes];
    var class_ = 0u;
    for (var c = 1u; c < p.classes; c++) {
        let v = x[row * p.classes + c];
        if (v > most) { most = v; class_ = c; }
    }
    return class_;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let n = element(wid, groups, lid);
    if (n >= p.n) { return; }
    let base = n * p.steps;
    var runs = 0u;
    var rest = p.steps - 1u;
    var before = 0u;
    var begun = 0u;
    for (var t = 0u; t <= p.steps; t++) {
        var now = 0u;
        if (t < p.steps) { now = best(base + t); }
        if (now != before) {
            if (before != 0u) {
                at[base + runs] = (begun + t - 1u) / 2u;
                runs++;
            }
            begun = t;
        }
        if (now == 0u && t < p.steps) { rest = t; }
        before = now;
    }
    for (var k = runs; k < p.steps; k++) { at[base + k] = rest; }
    lengths[n] = clamp(runs + 1u, p.low, p.steps);
}
