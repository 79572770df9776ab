//! formula: dgate = dy ⊙ (a − b), da = dy ⊙ gate, db = dy ⊙ (1 − gate)
//! bindings: gate [E], a [E], b [E], dy [E] -> dgate [E], da [E], db [E]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads four and writes three tensors once; 5 flops a float

#import element

struct Params { n: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> gate: array<Element>;
@group(0) @binding(2) var<storage, read> a: array<Element>;
@group(0) @binding(3) var<storage, read> b: array<Element>;
@group(0) @binding(4) var<storage, read> dy: array<Element>;
@group(0) @binding(5) var<storage, read_write> dgate: array<Element>;
@group(0) @binding(6) var<storage, read_write> da: array<Element>;
@group(0) @binding(7) var<storage, read_write> db: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let d = dy[i];
    let g = gate[i];
    dgate[i] = d * (a[i] - b[i]);
    da[i] = d * g;
    db[i] = d * (1.0 - g);
}
