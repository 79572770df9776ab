//! formula: dz = dy·share·(w·e^(z − m)/t − [c = g]), m and t as the loss left them; 0 if share is 0
//! bindings: z [M, C], target_class [M], share [M], table [C, C] if HAS_TABLE, most (m), total (t) [M], dy [1] -> dz [M, C]
//! grid: one invocation per element, folded into x and y; exact for any M and C
//! cost: reads z and writes dz once; one exponential and 5 flops an element

#import element

struct Params { rows: u32, classes: u32 }

override HAS_TABLE: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> target_class: array<u32>;
@group(0) @binding(3) var<storage, read> share: array<f32>;
@group(0) @binding(4) var<storage, read> table: array<f32>;
@group(0) @binding(5) var<storage, read> most: array<f32>;
@group(0) @binding(6) var<storage, read> total: array<f32>;
@group(0) @binding(7) var<storage, read> dy: array<f32>;
@group(0) @binding(8) var<storage, read_write> dz: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.rows * p.classes) { return; }
    let row = i / p.classes;
    let c = i % p.classes;
    let g = min(target_class[row], p.classes - 1u);
    var d = 0.0;
    if (share[row] != 0.0) {
        var probability = exp(z[i] - most[row]) / total[row];
        if (HAS_TABLE) { probability *= table[g * p.classes + c]; }
        d = dy[0] * share[row] * (probability - select(0.0, 1.0, c == g));
    }
    dz[i] = d;
}
