//! formula: y[n, i, j] = Σ w(i)·w(j)·x[n, ·, ·] over the TAPS² nearest pixels, border repeated; 1 nearest, 2 bilinear, 4 bicubic
//! bindings: x [N, H, W, C] -> y [N, OH, OW, C]
//! grid: one invocation per element of 1 or 4 channels, folded into x and y; exact for sizes up to 32 767
//! cost: reads TAPS² values for each it writes; 2·TAPS² flops a value

#import element

// The source position of output o on an axis is the fraction (a·o + b)/d: integer arithmetic finds its whole part exactly.
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

const TAPS: u32 = 1u; // tile

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

// The pixel before a source position, and how far behind it the position lies, in [0, 1).
struct Place { whole: i32, part: f32 }

fn place(o: u32, a: i32, b: i32, d: i32) -> Place {
    // b ≥ −d: adding d keeps the numerator of the division positive.
    let numerator = a * i32(o) + b + d;
    let whole = numerator / d;
    return Place(whole - 1, f32(numerator - whole * d) / f32(d));
}

// Keys' cubic with a = −0.75 at the distances t + 1, t, 1 − t and 2 − t.
fn cubic(t: f32) -> vec4f {
    let s = 1.0 - t;
    return vec4f(
        -0.75 * t * s * s,
        (1.25 * t - 2.25) * t * t + 1.0,
        (1.25 * s - 2.25) * s * s + 1.0,
        -0.75 * s * t * t,
    );
}

fn weight(tap: u32, t: f32) -> f32 {
    if (TAPS == 1u) { return 1.0; }
    if (TAPS == 2u) { return select(1.0 - t, t, tap == 1u); }
    return cubic(t)[tap];
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
    let px = place(rest % p.out_width, p.a_x, p.b_x, p.d_x);
    rest /= p.out_width;
    let py = place(rest % p.out_height, p.a_y, p.b_y, p.d_y);
    let image = rest / p.out_height;
    let first = select(0, 1, TAPS == 4u);
#repeat k 0..TAPS
    let row{k} = u32(clamp(py.whole - first + {k}, 0, i32(p.height) - 1));
    let column{k} = u32(clamp(px.whole - first + {k}, 0, i32(p.width) - 1)) * p.channels + c;
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
