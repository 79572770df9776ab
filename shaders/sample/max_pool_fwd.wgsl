//! formula: y[n, i, j, c] = max of x[n, ·, ·, c] over the part of the window that lies inside the image
//! bindings: x [N, H, W, C] -> y [N, OH, OW, C]
//! grid: one invocation per element of 1 or 4 channels, folded into x and y; exact where every window meets the image
//! cost: reads a window for each value it writes; two comparisons a value read

#import element

struct Params {
    n: u32,
    channels: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    kernel_y: u32, kernel_x: u32,
    stride_y: u32, stride_x: u32,
    pad_y: u32, pad_x: u32,
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
    let c = e % p.channels;
    var rest = e / p.channels;
    // Window coordinates are shifted by the padding, which keeps them unsigned.
    let left = rest % p.out_width * p.stride_x;
    rest /= p.out_width;
    let top = rest % p.out_height * p.stride_y;
    let image = (rest / p.out_height) * p.height;
    let rows = vec2u(max(top, p.pad_y), min(top + p.kernel_y, p.height + p.pad_y)) - p.pad_y;
    let columns = vec2u(max(left, p.pad_x), min(left + p.kernel_x, p.width + p.pad_x)) - p.pad_x;
    var most = x[((image + rows.x) * p.width + columns.x) * p.channels + c];
    for (var i = rows.x; i < rows.y; i++) {
        for (var j = columns.x; j < columns.y; j++) {
            let v = x[((image + i) * p.width + j) * p.channels + c];
            // A NaN stays the largest, as in PyTorch; compared by `==`, which is false for it on every target.
            most = select(most, v, (v > most) | !(v == v));
        }
    }
    y[e] = most;
}
