//! formula: y = √x, 1 / x or ln x, by KIND
//! bindings: x [E] -> y [E]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads x and writes y once; 1 flop a float

#import element

struct Params { n: u32 }

override KIND: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    switch KIND {
        case 0u: { y[i] = sqrt(x[i]); }
        case 1u: { y[i] = 1.0 / x[i]; }
        default: { y[i] = log(x[i]); }
    }
}
