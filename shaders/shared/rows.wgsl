// How a matrix kernel ends whose invocations have sums of ROWS rows and VECS fours of columns. The importing kernel imports
// `gemm` and declares what `fours` asks for, and ROWS.
#import fours

// Stores those of row m and column n on, up to row `end`. In a loop over memory: this many copies of the epilogue would take a
// driver seconds to compile.
fn store_rows(sums: ptr<function, array<vec4f, ROWS * VECS>>, plane: u32, m: u32, n: u32, end: u32) {
    let rows = min(ROWS, end - m);
    for (var v = 0u; v < VECS; v++) {
        let col = n + v * 4u;
        if (col < p.cols) {
            let f = affine(col);
            let below = slope_below(col);
            for (var r = 0u; r < rows; r++) {
                let sum = fma((*sums)[r * VECS + v], f.scale, f.shift);
                store(sum, plane, (m + r) * p.cols + col, col, below);
            }
        }
    }
}
