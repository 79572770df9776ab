//! formula: dx[n, i, j, c] = Σ dy over the windows whose first maximum, row by row, is x[n, i, j, c]
//! bindings: x [N, H, W, C], y [N, OH, OW, C], dy [N, OH, OW, C] -> dx [N, H, W, C]
//! grid: one invocation per element of 1 or 4 channels, folded into x and y; exact where every window meets the image
//! cost: reads the windows around each value it writes; one comparison a value read

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
@group(0) @binding(2) var<storage, read> y: array<Element>;
@group(0) @binding(3) var<storage, read> dy: array<Element>;
@group(0) @binding(4) var<storage, read_write> dx: array<Element>;

// The windows from x to before y that hold `at`, a coordinate shifted by the padding.
fn windows(at: u32, kernel: u32, stride: u32, count: u32) -> vec2u {
    let first = select(0u, (at - kernel) / stride + 1u, at >= kernel);
    return vec2u(first, min(at / stride + 1u, count));
}

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
    let column = rest % p.width;
    rest /= p.width;
    let row = rest % p.height;
    let image = rest / p.height;
    let own = x[e];
    let rows = windows(row + p.pad_y, p.kernel_y, p.stride_y, p.out_height);
    let columns = windows(column + p.pad_x, p.kernel_x, p.stride_x, p.out_width);
    var sum = Element();
    for (var oy = rows.x; oy < rows.y; oy++) {
        let top = max(oy * p.stride_y, p.pad_y) - p.pad_y;
        for (var ox = columns.x; ox < columns.y; ox++) {
            let left = max(ox * p.stride_x, p.pad_x) - p.pad_x;
            let right = min(ox * p.stride_x + p.kernel_x, p.width + p.pad_x) - p.pad_x;
            let w = ((image * p.out_height + oy) * p.out_width + ox) * p.channels + c;
            let most = y[w];
            var first = own == most;
            for (var i = top; i <= row; i++) {
                let end = select(right, column, i == row);
                for (var j = left; j < end; j++) {
                    first = first & (x[((image * p.height + i) * p.width + j) * p.channels + c] != most);
                }
            }
            sum += select(Element(), dy[w], first);
        }
    }
    dx[e] = sum;
}
