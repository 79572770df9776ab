//! formula: y = 1 + the first step whose class 0 is at least as large as every other class, `absent` without such a step, within low and high
//! bindings: x [N, T, C] -> y u32 [N]
//! grid: one workgroup per sample, folded into x and y, its invocations along the steps; any sizes
//! cost: reads x once; one comparison an element

#import index

struct Params { samples: u32, steps: u32, classes: u32, absent: u32, low: u32, high: u32 }

override WG: u32 = 32u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

var<workgroup> sh_first: array<u32, WG>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let sample = folded(wid, groups);
    if (sample >= p.samples) { return; }
    var first = p.steps;
    for (var t = lid; t < p.steps && first == p.steps; t += WG) {
        let base = (sample * p.steps + t) * p.classes;
        let null_class = x[base];
        var others = null_class;
        for (var c = 1u; c < p.classes; c++) { others = max(others, x[base + c]); }
        if (others == null_class) { first = t; }
    }
    sh_first[lid] = first;
    workgroupBarrier();
    if (lid == 0u) {
        for (var i = 1u; i < WG; i++) { first = min(first, sh_first[i]); }
        y[sample] = clamp(select(p.absent, first + 1u, first < p.steps), p.low, p.high);
    }
}
