// Pointwise activations by number; `slope` is PReLU's.
const ACT_NONE: u32 = 0u;
const ACT_RELU: u32 = 1u;
const ACT_PRELU: u32 = 2u;
const ACT_MISH: u32 = 3u;
const ACT_TANH: u32 = 4u;
const ACT_SIGMOID: u32 = 5u;
const ACT_GELU: u32 = 6u;

// SwiftShader has infinity for the exponential of a NaN.
fn sigmoid(v: f32) -> f32 {
    return select(v, 1.0 / (1.0 + exp(-v)), v == v);
}

// tanh by the exponential of a negative number, which cannot overflow.
fn tanh_safe(v: f32) -> f32 {
    let e = exp(-2.0 * abs(v));
    return sign(v) * (1.0 - e) / (1.0 + e);
}

// v·tanh(softplus(v)) with tanh(ln(1 + eᵛ)) = n / (n + 2), n = eᵛ·(eᵛ + 2); PyTorch's softplus is linear above 20.
fn mish(v: f32) -> f32 {
    let e = exp(min(v, 20.0));
    let n = e * (e + 2.0);
    return select(v * (n / (n + 2.0)), v, v > 20.0);
}

// The normal distribution function, ½·erfc(−v/√2), within 1e-7: ln erfc is nearly a parabola, here a polynomial that was fitted
// for the smallest error of erfc from 0 to 4.
fn normal(v: f32) -> f32 {
    let z = min(abs(v) * 0.70710678, 4.0);
    var p = 3.1819193e-6;
    p = fma(p, z, -5.3547403e-5);
    p = fma(p, z, 3.5910882e-4);
    p = fma(p, z, -1.0572992e-3);
    p = fma(p, z, -6.0241483e-4);
    p = fma(p, z, 1.9691605e-2);
    p = fma(p, z, -0.10298242);
    p = fma(p, z, -0.63658220);
    p = fma(p, z, -1.1283816);
    p = fma(p, z, 2.5852948e-8);
    let tail = 0.5 * exp(p);
    return select(1.0 - tail, tail, v < 0.0);
}

// v·Φ(v), PyTorch's exact kind.
fn gelu(v: f32) -> f32 {
    return v * normal(v);
}

// A NaN stays one: what max makes of it is each driver's own, and a network that broke must not look whole again.
fn activate(kind: u32, v: f32, slope: f32) -> f32 {
    switch kind {
        case ACT_RELU: { return select(v, 0.0, v < 0.0); }
        case ACT_PRELU: { return select(slope * v, v, v > 0.0); }
        case ACT_MISH: { return mish(v); }
        case ACT_TANH: { return tanh_safe(v); }
        case ACT_SIGMOID: { return sigmoid(v); }
        case ACT_GELU: { return gelu(v); }
        default: { return v; }
    }
}

fn activate_four(kind: u32, v: vec4f, slope: f32) -> vec4f {
    return vec4f(
        activate(kind, v.x, slope),
        activate(kind, v.y, slope),
        activate(kind, v.z, slope),
        activate(kind, v.w, slope));
}
