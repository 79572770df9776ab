//! formula: rstd = 1/√(v + ε)
//! bindings: variance [E] -> rstd [E]
//! grid: one invocation per element, folded into x and y; exact for any size
//! cost: reads variance and writes rstd once; 3 flops a float

#import element

struct Params { n: u32, eps: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> variance: array<Element>;
@group(0) @binding(2) var<storage, read_write> rstd: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    rstd[i] = 1.0 / sqrt(variance[i] + p.eps);
}
