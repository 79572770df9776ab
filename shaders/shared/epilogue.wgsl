// What a matrix kernel does to a sum before it is stored: act(scale[n]·sum + shift[n] + residual).
//
// The importing kernel has parameters `p` with `cols`, `b_first` and `epilogue`, and the residual at binding 5.
#import activation

// Parts of the epilogue are data rather than code: a pipeline costs a driver more time than these branches ever do. Only
// the curved activations are code, since adapters on the CPU walk through branches that are not taken.
const HAS_SCALE: u32 = 1u;
const HAS_SHIFT: u32 = 2u;
const HAS_SLOPE: u32 = 4u;
const KEEPS_BELOW: u32 = 8u;
const HAS_RESIDUAL: u32 = 16u;
const HAS_SLOPES: u32 = 32u;
override CURVE: u32 = 0u;

@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<f32>;
@group(0) @binding(6) var<storage, read> slope: array<f32>;

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

// PReLU's slopes of four columns from `col` on: one for all, or each its own. The identity and ReLU are PReLU with slopes 1
// and 0.
fn slope_below(col: u32) -> vec4f {
    if ((p.epilogue & HAS_SLOPES) != 0u) {
        var below = vec4f();
        for (var c = 0u; c < 4u; c++) { below[c] = slope[p.b_first + min(col + c, p.cols - 1u)]; }
        return below;
    }
    if ((p.epilogue & HAS_SLOPE) != 0u) { return vec4f(slope[0]); }
    return vec4f(f32((p.epilogue & KEEPS_BELOW) / KEEPS_BELOW));
}

fn curve(v: vec4f, below: vec4f) -> vec4f {
    if (CURVE == ACT_NONE) { return select(v * below, v, v > vec4f()); }
    return activate_four(CURVE, v, 0.0);
}
