//! formula: y[n, i, j] = Σ w(i)·w(j)·x[n, ·, ·] over the TAPS² nearest pixels, border repeated; 1 nearest, 2 bilinear, 4 bicubic
//! bindings: x [N, H, W, C] -> y [N, OH, OW, C]
//! grid: one invocation per element of 1 or 4 channels, folded into x and y; exact for sizes up to 32 767
//! cost: reads TAPS² values for each it writes; 2·TAPS² flops a value

#import element
#import taps

struct Params {
    n: u32,
    channels: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    a_y: i32, b_y: i32, d_y: i32,
    a_x: i32, b_x: i32, d_x: i32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let e = element(wid, groups, lid);
    if (e >= p.n) { return; }
    let pixel = quotient(e, p.channels);
    let c = e - pixel * p.channels;
    let line = quotient(pixel, p.out_width);
    let image = quotient(line, p.out_height);
    let px = place(pixel - line * p.out_width, p.a_x, p.b_x, p.d_x);
    let py = place(line - image * p.out_height, p.a_y, p.b_y, p.d_y);
#repeat k 0..TAPS
    let row{k} = u32(clamp(py.whole - FIRST + {k}, 0, i32(p.height) - 1));
    let column{k} = u32(clamp(px.whole - FIRST + {k}, 0, i32(p.width) - 1)) * p.channels + c;
    let w{k} = weight({k}u, px.part);
#end
    var sum = Element();
    var base: u32;
#repeat i 0..TAPS
    base = (image * p.height + row{i}) * p.width * p.channels;
    var line{i} = Element();
#repeat j 0..TAPS
    line{i} += w{j} * x[base + column{j}];
#end
    sum += weight({i}u, py.part) * line{i};
#end
    y[e] = sum;
}
