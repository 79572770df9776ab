//! formula: y[n, q] = the lowest j < L with at[n, j] = q, or 2³² − 1 where there is none
//! bindings: at [N, A] u32 -> y [N, Q] u32; L ≤ A
//! grid: one invocation per element, folded into x and y; exact for any size
//! cost: reads L indices for each it writes, from a cache; one comparison each

#import element

struct Params { n: u32, rows: u32, at_cols: u32, limit: u32 }

const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> at: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let q = i % p.rows;
    let base = i / p.rows * p.at_cols;
    var found = NONE;
    for (var j = 0u; j < p.limit; j++) {
        if (at[base + j] == q) {
            found = j;
            break;
        }
    }
    y[i] = found;
}
