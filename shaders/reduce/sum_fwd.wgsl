//! formula: y[o, j, i] = Σ of x[o, k, i] over the k of chunk j, in order
//! bindings: x [O, K, I] -> y [O, chunks, I]
//! grid: one invocation per output element of 1 or 4 floats, folded into x and y; exact for any shape
//! cost: reads x once; one addition a value

#import element

struct Params { n: u32, length: u32, chunk: u32, chunks: u32, inner: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let e = element(wid, groups, lid);
    if (e >= p.n) { return; }
    let i = e % p.inner;
    let part = e / p.inner;
    let first = part % p.chunks * p.chunk;
    let base = part / p.chunks * p.length;
    let end = min(first + p.chunk, p.length);
    var sum = Element();
    for (var k = first; k < end; k++) {
        sum += x[(base + k) * p.inner + i];
    }
    y[e] = sum;
}
