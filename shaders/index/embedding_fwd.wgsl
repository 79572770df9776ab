//! formula: y = table[id]·scale; an id beyond the table takes its last row
//! bindings: ids u32 [R], table [V, E] -> y [R, E]
//! grid: one workgroup per id, folded into x and y, its invocations along E; any sizes
//! cost: reads a row of the table and writes a row of y per id

#import index

struct Params { rows: u32, entries: u32, width: u32, scale: f32 }

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let row = folded(wid, groups);
    if (row >= p.rows) { return; }
    let from_row = min(ids[row], p.entries - 1u) * p.width;
    for (var c = lid; c < p.width; c += WG) {
        y[row * p.width + c] = table[from_row + c] * p.scale;
    }
}
