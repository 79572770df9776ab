//! formula: y = the lowest class whose value is the row's maximum
//! bindings: x [R, C] -> y u32 [R]
//! grid: one invocation per row, workgroups folded into x and y; any sizes
//! cost: reads x once; one comparison an element

#import index

struct Params { rows: u32, classes: u32 }

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let row = folded(wid, groups) * WG + lid;
    if (row >= p.rows) { return; }
    let base = row * p.classes;
    var best = 0u;
    var most = x[base];
    for (var c = 1u; c < p.classes; c++) {
        let v = x[base + c];
        if (v > most) {
            most = v;
            best = c;
        }
    }
    y[row] = best;
}
