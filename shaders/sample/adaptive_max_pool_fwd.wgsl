//! formula: y[n, i, j, c] = max of x[n, ·, ·, c] over rows ⌊i·H/OH⌋ to ⌈(i+1)·H/OH⌉ and columns likewise
//! bindings: x [N, H, W, C] -> y [N, OH, OW, C]
//! grid: one invocation per element of 1 or 4 channels, folded into x and y; any sizes
//! cost: reads a window for each value it writes; two comparisons a value read

#import element

struct Params { n: u32, channels: u32, height: u32, width: u32, out_height: u32, out_width: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

// The part of `size` that output `at` of `count` covers: from x to before y.
fn window(at: u32, size: u32, count: u32) -> vec2u {
    return vec2u(at * size / count, ((at + 1u) * size + count - 1u) / count);
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
    let columns = window(rest % p.out_width, p.width, p.out_width);
    rest /= p.out_width;
    let rows = window(rest % p.out_height, p.height, p.out_height);
    let image = rest / p.out_height * p.height;
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
