//! formula: dx[n, i, j] = Σ_q dy[n, q]·max(1 − |i − i_q|, 0)·max(1 − |j − j_q|, 0), (i_q, j_q) the place of point q
//! bindings: grid [N, Q, 2] as (x, y), dy [N, Q, C] -> dx [N, H, W, C]
//! grid: one invocation per element of 1 or 4 channels, folded into x and y; exact for any size
//! cost: reads the grid for each element it writes, from a cache, and dy about 4 times; 8 flops a point and element

#import element
#import grid_place

struct Params { n: u32, channels: u32, height: u32, width: u32, points: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grid: array<vec2f>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read_write> dx: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let e = element(wid, groups, lid);
    if (e >= p.n) { return; }
    let c = e % p.channels;
    let pixel = e / p.channels;
    let own = vec2f(f32(pixel % p.width), f32(pixel / p.width % p.height));
    let first = pixel / (p.width * p.height) * p.points;
    var sum = Element();
    for (var q = first; q < first + p.points; q++) {
        let at = place(grid[q]);
        let near = max(1.0 - abs(own - at), vec2f());
        let w = near.x * near.y;
        if (w > 0.0) { sum += w * dy[q * p.channels + c]; }
    }
    dx[e] = sum;
}
