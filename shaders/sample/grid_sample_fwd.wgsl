//! formula: y[n, q] = bilinear x[n] at ((g + 1)·size − 1)/2, zeros outside: F.grid_sample with align_corners = False
//! bindings: x [N, H, W, C], grid [N, Q, 2] as (x, y) -> y [N, Q, C]
//! grid: one invocation per element of 1 or 4 channels, folded into x and y; exact for any size
//! cost: reads at most 4 values for each it writes; 8 flops a value

#import element
#import bilinear

struct Params { n: u32, channels: u32, height: u32, width: u32, points: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> grid: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let c = i % p.channels;
    let point = i / p.channels;
    let image = point / p.points;
    let at = place(grid[point]);
    let corner = floor(at);
    let t = at - corner;
    let top = (1.0 - t.x) * pixel(image, corner.y, corner.x, c)
        + t.x * pixel(image, corner.y, corner.x + 1.0, c);
    let bottom = (1.0 - t.x) * pixel(image, corner.y + 1.0, corner.x, c)
        + t.x * pixel(image, corner.y + 1.0, corner.x + 1.0, c);
    y[i] = (1.0 - t.y) * top + t.y * bottom;
}
