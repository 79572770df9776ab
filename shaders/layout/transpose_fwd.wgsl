//! formula: y[i₀, i₁, …] = x at the same coordinates in another order of the axes, where the last axis of x is not that of y
//! bindings: x [E], y [E], both as fours
//! grid: one invocation per 4 floats along the last axis of y times 4 along that of x, folded into x and y; exact for any shape of up to 6 axes whose sizes along these two are multiples of 4
//! cost: reads x and writes y once, in runs of 4; no flops
// indices: a an axis besides the two that are exchanged, r a row, c a column of a 4×4 block of
// these.

#import element

// Blocks have INNER axes of size d, fastest first, and a slowest one: strides in x and in y, in fours. Rows of a block are
// `x_row` apart in x and `y_row` apart in y.
const INNER: u32 = 0u; // tile

struct Params {
    n: u32,
    d0: u32, d1: u32, d2: u32, d3: u32, d4: u32,
    x0: u32, x1: u32, x2: u32, x3: u32, x4: u32,
    y0: u32, y1: u32, y2: u32, y3: u32, y4: u32,
    x_outer: u32, y_outer: u32,
    x_row: u32, y_row: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    var rest = i;
    var at_x = 0u;
    var at_y = 0u;
#repeat a 0..INNER
    let q{a} = quotient(rest, p.d{a});
    let c{a} = rest - q{a} * p.d{a};
    at_x += c{a} * p.x{a};
    at_y += c{a} * p.y{a};
    rest = q{a};
#end
    at_x += rest * p.x_outer;
    at_y += rest * p.y_outer;
#repeat r 0..4
    let x{r} = x[at_x + {r}u * p.x_row];
#end
#repeat c 0..4
    y[at_y + {c}u * p.y_row] = vec4f(x0[{c}], x1[{c}], x2[{c}], x3[{c}]);
#end
}
