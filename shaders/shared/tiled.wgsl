// The matrices of the kernels that compute in tiles without subgroups, in plain floats.
#import gemm

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

// Four numbers of B from column `col` on of the row that begins at `row`; the last one again beyond its end.
fn load_b(row: u32, col: u32) -> vec4f {
    let last = p.cols - 1u;
    return vec4f(
        b[row + min(col, last)],
        b[row + min(col + 1u, last)],
        b[row + min(col + 2u, last)],
        b[row + min(col + 3u, last)]);
}
