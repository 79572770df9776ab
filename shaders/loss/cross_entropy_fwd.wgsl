//! formula: y = −share·ln(w_g·e^(z_g − m) / t), t = Σ w·e^(z − m), m = max z, w row g of table, or ones without; 0 if share is 0
//! bindings: z [M, C], target_class [M], share [M], table [C, C] if HAS_TABLE -> y [M], most (m), total (t) [M]
//! grid: one invocation per row, folded into x and y; exact for any M and C
//! cost: reads z twice and a row of table once; one exponential an element

#import element

struct Params { rows: u32, classes: u32 }

override HAS_TABLE: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> target_class: array<u32>;
@group(0) @binding(3) var<storage, read> share: array<f32>;
@group(0) @binding(4) var<storage, read> table: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> most: array<f32>;
@group(0) @binding(7) var<storage, read_write> total: array<f32>;

fn weight(g: u32, c: u32) -> f32 {
    if (HAS_TABLE) { return table[g * p.classes + c]; }
    return 1.0;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let row = element(wid, groups, lid);
    if (row >= p.rows) { return; }
    let base = row * p.classes;
    let g = min(target_class[row], p.classes - 1u);
    var m = z[base];
    for (var c = 1u; c < p.classes; c++) { m = max(m, z[base + c]); }
    var t = 0.0;
    for (var c = 0u; c < p.classes; c++) { t += weight(g, c) * exp(z[base + c] - m); }
    var loss = 0.0;
    if (share[row] != 0.0) { loss = share[row] * ((m - z[base + g]) + log(t / weight(g, g))); }
    y[row] = loss;
    most[row] = m;
    total[row] = t;
}
