//! formula: grid[n, q] = 2·min(max(Σ_k m[q, k]·control[n, k], 0), 1) − 1
//! bindings: control [N, K, 2], matrix [Q, K] -> grid [N, Q, 2] as (x, y)
//! grid: one invocation per point, folded into x and y; exact for any size
//! cost: reads the matrix once per image; 4·K flops a point

#import element
#import spline

struct Params { n: u32, points: u32, controls: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> control: array<vec2f>;
@group(0) @binding(2) var<storage, read> matrix: array<f32>;
@group(0) @binding(3) var<storage, read_write> grid: array<vec2f>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    grid[i] = 2.0 * clamp(source(i), vec2f(0.0), vec2f(1.0)) - 1.0;
}
