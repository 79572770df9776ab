//! formula: y[m, n] = act(scale[n]·Σₛ a[s, m, n] + shift[n] + residual[m, n]): the end of a product split along K
//! bindings: a [S, M, N] partial sums, scale, shift [b_stride], residual [M, N], slope [1 or as shift] -> y [M, N]
//! grid: one invocation per output, 64 to a workgroup, folded into x and y; exact for any S, M, N
//! cost: reads S·M·N, writes M·N numbers; b is not used

#import index
#import gemm

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = folded(wid, groups) * 64u + lid;
    let outputs = p.rows * p.cols;
    if (i >= outputs) { return; }
    var sum = 0.0;
    for (var s = 0u; s < p.splits; s++) { sum += a[s * outputs + i]; }
    let col = i % p.cols;
    let f = affine(col);
    var v = fma(sum, f.scale.x, f.shift.x);
    if ((p.epilogue & HAS_RESIDUAL) != 0u) { v += residual[i]; }
    y[placed(i, col)] = curve(vec4f(v), slope_below(col)).x;
}
