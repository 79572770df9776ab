//! formula: y = e^(x − m) / Σ e^(x − m) along the middle axis, m the maximum along it
//! bindings: x [outer, A, inner] -> y [outer, A, inner]
//! grid: one workgroup per LANES of the outer·inner columns (by elements of 1 or 4), folded into x and y, WG / LANES invocations down each; any sizes
//! cost: reads x three times, writes y once; two exponentials an element

#import index
#import columns

// The inner axis, and so columns, count by elements.
struct Params { columns: u32, axis: u32, inner: u32 }

override LANES: u32 = 8u;
override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

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

    var most = x[base];
    for (var a = first; a < p.axis; a += splits) { most = max(most, x[base + a * p.inner]); }
    most = column_max(lid, most);
    var sum = Element(0.0);
    for (var a = first; a < p.axis; a += splits) {
        // SwiftShader has infinity for the exponential of a NaN.
        let d = x[base + a * p.inner] - most;
        sum += select(d, exp(d), d == d);
    }
    let scale = Element(1.0) / column_sum(lid, sum);
    if (column >= p.columns) { return; }
    for (var a = first; a < p.axis; a += splits) {
        let i = base + a * p.inner;
        y[i] = exp(x[i] - most) * scale;
    }
}
