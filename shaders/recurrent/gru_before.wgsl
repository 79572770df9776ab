//! formula: h[p, u] = y[p ∓ step, D·U + u], the state before the step at pixel p in direction D; zero before the first step
//! bindings: y [N, H, W, 2U] -> h [N, H, W, U]
//! grid: one invocation per element of 1 or 4 units, folded into x and y; exact for any size
//! cost: reads and writes each state once; no flops

#import element

struct Params { n: u32, units: u32, step: u32, steps: u32, direction: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<Element>;
@group(0) @binding(2) var<storage, read_write> h: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let pixel = i / p.units;
    let t = pixel / p.step % p.steps;
    let first = select(0u, p.steps - 1u, p.direction == 1u);
    var before = Element();
    if (t != first) {
        let other = select(pixel - p.step, pixel + p.step, p.direction == 1u);
        before = y[(other * 2u + p.direction) * p.units + i % p.units];
    }
    h[i] = before;
}
