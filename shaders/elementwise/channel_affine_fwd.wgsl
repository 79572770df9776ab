//! formula: y = act(x·scale + shift + residual), or act((x + residual)·scale + shift)
//! bindings: x [R, C], scale, shift [C], residual [R, C] unless RESIDUAL is 0, slope [1] of PReLU -> y [R, C or more]
//! grid: one workgroup per LANES elements (of 1 or 4 channels) of DEPTH·WG/LANES rows, folded into x and y; any sizes
//! cost: reads x and residual once, writes y once; 3 flops an element and the activation

#import activation
#import four
#import index

// By elements: channels, those of a row of y, and the first that is written of them.
struct Params { rows: u32, channels: u32, y_row: u32, y_first: u32 }

override LANES: u32 = 8u;
override WG: u32 = 64u;
override DEPTH: u32 = 8u;
// 0: none; 1: added behind scale and shift; 2: before them.
override RESIDUAL: u32 = 0u;
override ACT: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> scale: array<Element>;
@group(0) @binding(3) var<storage, read> shift: array<Element>;
@group(0) @binding(4) var<storage, read> residual: array<Element>;
@group(0) @binding(5) var<storage, read> slope: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let splits = WG / LANES;
    let blocks = (p.channels + LANES - 1u) / LANES;
    let group = folded(wid, groups);
    let c = (group % blocks) * LANES + lid % LANES;
    // Rows that follow each other, since some adapters run one invocation's loop to its end before the next one's.
    let begin = ((group / blocks) * splits + lid / LANES) * DEPTH;
    if (c >= p.channels) { return; }
    let by = scale[c];
    let plus = shift[c];
    var negative = 0.0;
    if (ACT == ACT_PRELU) { negative = slope[0]; }
    for (var r = begin; r < min(begin + DEPTH, p.rows); r++) {
        let i = r * p.channels + c;
        let to = r * p.y_row + p.y_first + c;
        var v = x[i];
        if (RESIDUAL == 2u) { v += residual[i]; }
        v = v * by + plus;
        if (RESIDUAL == 1u) { v += residual[i]; }
#repeat once VEC..1
        y[to] = activate(ACT, v, negative);
#end
#repeat once 0..VEC
        y[to] = activate_four(ACT, v, negative);
#end
    }
}
