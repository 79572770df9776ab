// The interface of the attention kernels: parameters, bindings, loads of four channels, and the mask.

#import heads
#import mask

struct Params {
    images: u32, lq: u32, lk: u32, heads: u32, width: u32,
    q_image: u32, q_row: u32, q_first: u32,
    k_image: u32, k_row: u32, k_first: u32,
    v_image: u32, v_row: u32, v_first: u32,
    mask: u32, scale: f32,
}

override VALUES: bool = true;
override WEIGHTS: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> k: array<vec4f>;
@group(0) @binding(3) var<storage, read> v: array<vec4f>;
@group(0) @binding(4) var<storage, read> lengths: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> weights: array<f32>;

// Four channels from float `at`, of which `count` belong to the head.
fn query(at: u32, count: u32) -> vec4f {
    if (ALIGNED) { return q[at / 4u]; }
    return four(q[at / 4u], q[min(at / 4u + 1u, arrayLength(&q) - 1u)], at % 4u, count);
}

fn key(at: u32, count: u32) -> vec4f {
    if (ALIGNED) { return k[at / 4u]; }
    return four(k[at / 4u], k[min(at / 4u + 1u, arrayLength(&k) - 1u)], at % 4u, count);
}

fn dot4(a: vec4f, b: vec4f, s: f32) -> f32 {
    return fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, fma(a.w, b.w, s))));
}

// SwiftShader has infinity for the exponential of a NaN. Divided by their infinite sum the values come out as NaN all the
// same, but weights beside that of the NaN would come out as 0.
fn exponential(d: f32) -> f32 {
    return select(d, exp(d), !WEIGHTS || d == d);
}

fn masked(i: u32, j: u32, keys: u32) -> bool {
    return hides(p.mask, i, j, keys);
}
