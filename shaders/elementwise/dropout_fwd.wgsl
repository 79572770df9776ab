//! formula: y = x·scale, or 0 where the random word of (seed, step, part·2¹⁶ + site, i) is below the threshold
//! bindings: x [E], step and part of it [2] -> y [E]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads x and writes y once; 1 flop and one hash a float, and three an invocation

#import element
#import random

struct Params { n: u32, seed: u32, site: u32, threshold: u32, scale: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> place: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let key = stream(p.seed, place[0], p.site | (place[1] << 16u));
#repeat once VEC..1
    let dropped = random_words(key, vec4u(i)).x < p.threshold;
#end
#repeat once 0..VEC
    let dropped = random_words(key, vec4u(i * 4u) + vec4u(0u, 1u, 2u, 3u)) < vec4u(p.threshold);
#end
    y[i] = select(x[i] * p.scale, Element(), dropped);
}
