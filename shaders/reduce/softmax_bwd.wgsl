//! formula: dx = y ⊙ (dy − Σ y·dy), the sum along the middle axis
//! bindings: y [outer, A, inner], dy [outer, A, inner] -> dx [outer, A, inner]
//! grid: one workgroup per LANES of the outer·inner columns, folded into x and y, WG / LANES invocations down each; any sizes
//! cost: reads y and dy twice, writes dx once; 4 flops an element

#import index
#import columns

// The inner axis, and so columns, count by elements.
struct Params { columns: u32, axis: u32, inner: u32 }

override LANES: u32 = 8u;
override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read_write> dx: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let splits = WG / LANES;
    let group = folded(wid, groups);
    if (group * LANES >= p.columns) { return; }
    // Lanes beyond the last column repeat it, so that barriers stay uniform, and store nothing.
    let column = group * LANES + lid % LANES;
    let held = min(column, p.columns - 1u);
    let base = (held / p.inner) * p.axis * p.inner + held % p.inner;
    let first = lid / LANES;

    var sum = Element(0.0);
    for (var a = first; a < p.axis; a += splits) {
        let i = base + a * p.inner;
        sum += y[i] * dy[i];
    }
    let mean = column_sum(lid, sum);
    if (column >= p.columns) { return; }
    for (var a = first; a < p.axis; a += splits) {
        let i = base + a * p.inner;
        dx[i] = y[i] * (dy[i] - mean);
    }
}
