//! formula: dx[m, i, c] = Σ w(o, k)·dy[m, o, c] over the outputs o and taps k that read pixel i of this axis, border repeated
//! bindings: dy [M, O, C] -> dx [M, I, C]
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for sizes up to 16 384
//! cost: reads about TAPS·O/I values for each it writes; 2 flops and a weight each

#import element
#import taps

// One axis of O outputs and I inputs; its outputs lie at (a·o + b)/d.
struct Params { n: u32, inner: u32, inputs: u32, outputs: u32, a: i32, b: i32, d: i32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<Element>;
@group(0) @binding(2) var<storage, read_write> dx: array<Element>;

// The first output at or behind pixel v; a is positive.
fn reaches(v: i32) -> u32 {
    return min(u32((max(v * p.d - p.b, 0) + p.a - 1) / p.a), p.outputs);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let e = element(wid, groups, lid);
    if (e >= p.n) { return; }
    let c = e % p.inner;
    let i = i32(e / p.inner % p.inputs);
    let base = e / (p.inner * p.inputs) * p.outputs;
    let last = i32(p.inputs) - 1;
    // A border pixel also stands for those beyond it.
    var low = 0u;
    var high = p.outputs;
    if ((i > 0) & (p.a > 0)) { low = reaches(i + FIRST + 1 - i32(TAPS)); }
    if ((i < last) & (p.a > 0)) { high = reaches(i + FIRST + 1); }
    var sum = Element();
    for (var o = low; o < high; o++) {
        let at = place(o, p.a, p.b, p.d);
        var w = 0.0;
#repeat k 0..TAPS
        w += select(0.0, weight({k}u, at.part), clamp(at.whole - FIRST + {k}, 0, last) == i);
#end
        sum += w * dy[(base + o) * p.inner + c];
    }
    dx[e] = sum;
}
