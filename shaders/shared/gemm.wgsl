// The face of every matrix kernel: y[m, n] = act(scale[n]·Σ a[m, k]·b[k, n] + shift[n] + residual[m, n]).
//
// Row m of A is a window of an image: `segments` runs of `segment` numbers, one run for each row of the window. In a
// channels-last image a run (kx, ci) is contiguous, and so are its rows of B; a row of a plain matrix is one run.
// The importing kernel has `a`, `b`, `residual` and `y` at bindings 1, 2, 5 and 7, in the element type it likes.
#import activation

struct Params {
    rows: u32,
    cols: u32,
    segments: u32,
    segment: u32,
    b_stride: u32,
    b_first: u32,
    height: u32,
    run: u32,
    step: u32,
    out_height: u32,
    out_width: u32,
    stride_y: u32,
    pad_y: u32,
    pad_x: u32,
    a_batch: u32,
    b_batch: u32,
    splits: u32,
    epilogue: u32,
}

// Parts of the epilogue are data rather than code: a pipeline costs a driver more time than these branches ever do. Only
// the curved activations are code, since adapters on the CPU walk through branches that are not taken.
const HAS_SCALE: u32 = 1u;
const HAS_SHIFT: u32 = 2u;
const HAS_SLOPE: u32 = 4u;
const KEEPS_BELOW: u32 = 8u;
const HAS_RESIDUAL: u32 = 16u;
override CURVE: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<f32>;
@group(0) @binding(6) var<storage, read> slope: array<f32>;

// Where row m of A begins: index of its first number, row of the image, and offset inside that row of `run` numbers.
// All may be negative in the padding.
struct Window { base: i32, y: i32, x: i32 }

fn window(m: u32) -> Window {
    let row = min(m, p.rows - 1u);
    let line = row / p.out_width;
    let image = line / p.out_height;
    let top = i32((line - image * p.out_height) * p.stride_y) - i32(p.pad_y);
    let left = i32((row - line * p.out_width) * p.step) - i32(p.pad_x);
    return Window((i32(image * p.height) + top) * i32(p.run) + left, top, left);
}

// Scale and shift of four columns from `col` on; neutral where absent.
struct Affine { scale: vec4f, shift: vec4f }

fn affine(col: u32) -> Affine {
    var f = Affine(vec4f(1.0), vec4f());
    for (var c = 0u; c < 4u; c++) {
        let at = p.b_first + min(col + c, p.cols - 1u);
        if ((p.epilogue & HAS_SCALE) != 0u) { f.scale[c] = scale[at]; }
        if ((p.epilogue & HAS_SHIFT) != 0u) { f.shift[c] = shift[at]; }
    }
    return f;
}

// PReLU's slope; the identity and ReLU are PReLU with slopes 1 and 0.
fn slope_below() -> f32 {
    if ((p.epilogue & HAS_SLOPE) != 0u) { return slope[0]; }
    return f32((p.epilogue & KEEPS_BELOW) / KEEPS_BELOW);
}

fn curve(v: vec4f, below: f32) -> vec4f {
    if (CURVE == ACT_NONE) { return select(v * below, v, v > vec4f()); }
    return vec4f(
        activate(CURVE, v.x, 0.0), activate(CURVE, v.y, 0.0), activate(CURVE, v.z, 0.0), activate(CURVE, v.w, 0.0));
}
