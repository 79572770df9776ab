//! formula: dgrid[n, q] = Σ_c dy[n, q, c]·(∂y/∂column·W/2, ∂y/∂row·H/2) of the bilinear x[n] with zeros outside
//! bindings: x [N, H, W, C], grid [N, Q, 2] as (x, y), dy [N, Q, C] -> dgrid [N, Q, 2]
//! grid: one invocation per point, folded into x and y; exact for any size
//! cost: reads 4 pixels and dy once per point; 12 flops a channel

#import element
#import bilinear

struct Params { n: u32, channels: u32, height: u32, width: u32, points: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> grid: array<vec2f>;
@group(0) @binding(3) var<storage, read> dy: array<Element>;
@group(0) @binding(4) var<storage, read_write> dgrid: array<vec2f>;

#repeat i VEC..1
fn total(v: Element) -> f32 { return v; }
#end
#repeat i 0..VEC
fn total(v: Element) -> f32 { return (v.x + v.y) + (v.z + v.w); }
#end

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let point = element(wid, groups, lid);
    if (point >= p.n) { return; }
    let image = point / p.points;
    let at = place(grid[point]);
    let corner = floor(at);
    let t = at - corner;
    var across = Element();
    var down = Element();
    for (var c = 0u; c < p.channels; c++) {
        let v00 = pixel(image, corner.y, corner.x, c);
        let v01 = pixel(image, corner.y, corner.x + 1.0, c);
        let v10 = pixel(image, corner.y + 1.0, corner.x, c);
        let v11 = pixel(image, corner.y + 1.0, corner.x + 1.0, c);
        let d = dy[point * p.channels + c];
        across += d * ((1.0 - t.y) * (v01 - v00) + t.y * (v11 - v10));
        down += d * ((1.0 - t.x) * (v10 - v00) + t.x * (v11 - v01));
    }
    dgrid[point] = 0.5 * vec2f(f32(p.width), f32(p.height)) * vec2f(total(across), total(down));
}
