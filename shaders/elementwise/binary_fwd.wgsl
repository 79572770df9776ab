//! formula: y = a + b, or y = a ⊙ b if PRODUCT; b repeated along the axes where it has size 1
//! bindings: a [E], b: a view of shared/strided.wgsl -> y [E]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any shape of up to 6 axes
//! cost: reads a once and b at most once per element, writes y once; 1 flop a float

#import element
#import strided

struct Params {
    n: u32,
    d0: u32, d1: u32, d2: u32, d3: u32, d4: u32,
    s0: u32, s1: u32, s2: u32, s3: u32, s4: u32,
    outer: u32,
}

override PRODUCT: bool = false;

// Whether b has one value for each row of the last axis, so that four floats of a share it.
const SPLAT: u32 = 0u; // tile
#repeat i SPLAT..1
alias Other = Element;
#end
#repeat i 0..SPLAT
alias Other = f32;
#end

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<Element>;
@group(0) @binding(2) var<storage, read> b: array<Other>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let other = Element(b[strided(i)]);
    if (PRODUCT) {
        y[i] = a[i] * other;
    } else {
        y[i] = a[i] + other;
    }
}
