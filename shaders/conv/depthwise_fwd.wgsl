//! formula: y[n, i, j, c] = b[c] + Σ w[u, v, c]·x[n, i + D·(u − (KH − 1)/2), j + D·(v − (KW − 1)/2), c], 0 outside the image
//! bindings: x [N, H, W, C], w [KH, KW, C], bias [C] -> y [N, H, W, C]
//! grid: one invocation per element of 1 or 4 channels, folded into x and y; any sizes
//! cost: reads KH·KW values of x and w for each value it writes

#import element

struct Params {
    n: u32, channels: u32, height: u32, width: u32, kernel_y: u32, kernel_x: u32, dilation: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> w: array<Element>;
@group(0) @binding(3) var<storage, read> bias: array<Element>;
@group(0) @binding(4) var<storage, read_write> y: array<Element>;

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
    let image = rest / p.height * p.height;
    // What lies before the image wraps to a place behind it.
    let top = row - p.dilation * ((p.kernel_y - 1u) / 2u);
    let left = column - p.dilation * ((p.kernel_x - 1u) / 2u);
    var sum = bias[c];
    for (var u = 0u; u < p.kernel_y; u++) {
        let i = top + u * p.dilation;
        for (var v = 0u; v < p.kernel_x; v++) {
            let j = left + v * p.dilation;
            if (i < p.height && j < p.width) {
                let at = ((image + i) * p.width + j) * p.channels + c;
                sum += w[(u * p.kernel_x + v) * p.channels + c] * x[at];
            }
        }
    }
    y[e] = sum;
}
