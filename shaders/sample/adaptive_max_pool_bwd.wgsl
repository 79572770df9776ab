//! formula: dx[n, i, j, c] = Σ dy over the windows whose first maximum, row by row, is x[n, i, j, c]
//! bindings: x [N, H, W, C], y [N, OH, OW, C], dy [N, OH, OW, C] -> dx [N, H, W, C]
//! grid: one invocation per element of 1 or 4 channels, folded into x and y; any sizes
//! cost: reads the windows around each value it writes; one comparison a value read

#import element

struct Params { n: u32, channels: u32, height: u32, width: u32, out_height: u32, out_width: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> y: array<Element>;
@group(0) @binding(3) var<storage, read> dy: array<Element>;
@group(0) @binding(4) var<storage, read_write> dx: array<Element>;

// The outputs of `count` that cover place `at` of `size`: from x to before y.
fn covering(at: u32, size: u32, count: u32) -> vec2u {
    return vec2u(at * count / size, ((at + 1u) * count + size - 1u) / size);
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
    let rows = covering(row, p.height, p.out_height);
    let columns = covering(column, p.width, p.out_width);
    var sum = Element();
    for (var oy = rows.x; oy < rows.y; oy++) {
        for (var ox = columns.x; ox < columns.y; ox++) {
            let left = ox * p.width / p.out_width;
            let right = ((ox + 1u) * p.width + p.out_width - 1u) / p.out_width;
            let w = ((image * p.out_height + oy) * p.out_width + ox) * p.channels + c;
            let most = y[w];
            var first = own == most;
            for (var i = oy * p.height / p.out_height; i <= row; i++) {
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
