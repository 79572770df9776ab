//! formula: y[n, i, j] = Σ w(i)·w(j)·x[n, ·, ·] over the TAPS² nearest pixels, border repeated; 1 nearest, 2 bilinear, 4 bicubic
//! bindings: x [N, H, W, x_row], of which the C elements of a pixel from x_first on -> y [N, OH, OW, C]
//! grid: one invocation per ROWS outputs below each other of 1 or 4 channels, folded into x and y; exact for sizes up to 16 384
//! cost: reads TAPS values for each row of x that its outputs lie in, TAPS more rows for the first; 2·TAPS flops a value read and written
// indices: j a tap across, k a tap down.

#import element
#import taps

const ROWS: u32 = 8u; // tile

struct Params {
    n: u32,
    channels: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    x_row: u32,
    x_first: u32,
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
    let strip = quotient(pixel, p.out_width);
    let column = pixel - strip * p.out_width;
    let strips = (p.out_height + ROWS - 1u) / ROWS;
    let image = quotient(strip, strips);
    let first = (strip - image * strips) * ROWS;
    let px = place(column, p.a_x, p.b_x, p.d_x);
#repeat j 0..TAPS
    let column{j} = u32(clamp(px.whole - FIRST + {j}, 0, i32(p.width) - 1)) * p.x_row + p.x_first + c;
    let w{j} = weight({j}u, px.part);
#end

    // The TAPS rows from `top` on, each summed across its columns, and room for the next one. Indices are constant, so these
    // are registers.
    var rows: array<Element, TAPS + 1u>;
    var top = -0x7fff;
    for (var i = first; i < min(first + ROWS, p.out_height); i++) {
        let py = place(i, p.a_y, p.b_y, p.d_y);
        let wanted = py.whole - FIRST;
        for (top = max(top, wanted - i32(TAPS)); top < wanted; top++) {
            let row = u32(clamp(top + i32(TAPS), 0, i32(p.height) - 1));
            let base = (image * p.height + row) * p.width * p.x_row;
            var sum = Element();
#repeat j 0..TAPS
            sum += w{j} * x[base + column{j}];
#end
            rows[TAPS] = sum;
#repeat k 0..TAPS
            rows[{k}u] = rows[{k}u + 1u];
#end
        }
        var sum = Element();
#repeat k 0..TAPS
        sum += weight({k}u, py.part) * rows[{k}u];
#end
        y[((image * p.out_height + i) * p.out_width + column) * p.channels + c] = sum;
    }
}
