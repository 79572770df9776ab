//! formula: dx = dy·f'(x), f by its number KIND in shared/activation.wgsl; at 0 the slope of the negative side
//! bindings: x [E], slope [1] if f is PReLU, dy [E] -> dx [E]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads x and dy and writes dx once; up to 12 flops a float

#import activation
#import element

struct Params { n: u32 }

override KIND: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> slope: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<Element>;
@group(0) @binding(4) var<storage, read_write> dx: array<Element>;

// With e = eᵛ and n = e·(e + 2): tanh(ln(1 + e)) = n / (n + 2), and v times its derivative is v·4e·(e + 1) / (n + 2)².
fn mish_slope(v: f32) -> f32 {
    let e = exp(min(v, 20.0));
    let n = e * (e + 2.0);
    let r = 1.0 / (n + 2.0);
    return select((n + v * 4.0 * e * (e + 1.0) * r) * r, 1.0, v > 20.0);
}

// e^(−k|v|) / (1 + e^(−k|v|))²: the derivative of the sigmoid for k = 1, and a quarter of tanh's for k = 2.
fn bell(v: f32, k: f32) -> f32 {
    let e = exp(-k * abs(v));
    return e / ((1.0 + e) * (1.0 + e));
}

fn derivative(v: f32, negative: f32) -> f32 {
    switch KIND {
        case ACT_RELU: { return select(0.0, 1.0, v > 0.0); }
        case ACT_PRELU: { return select(negative, 1.0, v > 0.0); }
        case ACT_MISH: { return mish_slope(v); }
        case ACT_TANH: { return 4.0 * bell(v, 2.0); }
        case ACT_SIGMOID: { return bell(v, 1.0); }
        case ACT_GELU: { return normal(v) + v * 0.39894228 * exp(-0.5 * v * v); }
        default: { return 1.0; }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    var a = 0.0;
    if (KIND == ACT_PRELU) { a = slope[0]; }
    let v = x[i];
#repeat s VEC..1
    dx[i] = dy[i] * derivative(v, a);
#end
#repeat s 0..VEC
    dx[i] = dy[i] * vec4f(
        derivative(v.x, a),
        derivative(v.y, a),
        derivative(v.z, a),
        derivative(v.w, a),
    );
#end
}
