//! formula: d[n, a, q] = 2·dgrid[n, q, a] where 0 ≤ Σ_k m[q, k]·control[n, k, a] ≤ 1, else 0: the way back to before the clamp
//! bindings: control [N, K, 2], matrix [Q, K], dgrid [N, Q, 2] -> d [N, 2, Q]
//! grid: one invocation per point, folded into x and y; exact for any size
//! cost: reads the matrix once per image; 4·K flops a point

#import element
#import spline

struct Params { n: u32, points: u32, controls: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> control: array<vec2f>;
@group(0) @binding(2) var<storage, read> matrix: array<f32>;
@group(0) @binding(3) var<storage, read> dgrid: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> d: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let at_source = source(i);
    let inside = at_source == clamp(at_source, vec2f(0.0), vec2f(1.0));
    let before = select(vec2f(), 2.0 * dgrid[i], inside);
    let to = i / p.points * 2u * p.points + i % p.points;
    d[to] = before.x;
    d[to + p.points] = before.y;
}
