//! formula: per chunk of the gradient: Σ g²
//! bindings: grad [N] -> parts [all chunks of all gradients], from `first` on
//! grid: one workgroup per chunk, folded into x and y, its invocations side by side; exact for any N
//! cost: reads grad once; 2 flops an element

#import columns
#import index

struct Params { n: u32, chunk: u32, first: u32 }

override LANES: u32 = 1u;
override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let group = folded(wid, groups);
    let begin = group * p.chunk;
    if (begin >= p.n) { return; }
    let end = min(begin + p.chunk, p.n);
    var sum = 0.0;
    for (var i = begin + lid; i < end; i += WG) { sum += grad[i] * grad[i]; }
    sum = column_sum(lid, sum);
    if (lid == 0u) { parts[p.first + group] = sum; }
}
