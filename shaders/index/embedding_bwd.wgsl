//! formula: dtable[v, c] = scale·Σ dy[r, c] over the r with id v, in order; an id beyond the table counts as its last row
//! bindings: ids u32 [R], dy [R, E] -> dtable [V, E]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; any sizes
//! cost: reads all ids for each element it writes, from a cache, and dy once

#import element

struct Params { n: u32, rows: u32, entries: u32, cols: u32, scale: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read_write> dtable: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let entry = i / p.cols;
    let c = i % p.cols;
    var sum = Element();
    for (var r = 0u; r < p.rows; r++) {
        if (min(ids[r], p.entries - 1u) == entry) { sum += dy[r * p.cols + c]; }
    }
    dtable[i] = sum * p.scale;
}
