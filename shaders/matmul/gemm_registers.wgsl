//! formula: y[m, n] = act(scale[n]·Σ a[m, k]·b[k, n] + shift[n] + residual[m, n]); a row of A is a window of an image
//! bindings: a [images, H, W, Cin], b [K, b_stride], scale, shift [b_stride], residual [M, N], slope [1 or as shift] -> y [Z, M, N]
//! grid: one workgroup of 8×8 invocations per tile of 8·ROWS by 32·VECS outputs, columns fastest, folded into x and y; z is a batch, or a part of K; exact for any M, N, K (fours of A, or of B and y, only where everything is a multiple of 4)
//! cost: 2·M·N·K flops; A is read N / (4·VECS) times, B M / ROWS times, mostly out of caches
// indices: r a row of the invocation, v a vec4 of its columns, l a step along K in a vec4.

#import index
#import gemm

const ROWS: u32 = 8u; // tile
const VECS: u32 = 2u; // tile
#import rows

const SIDE: u32 = 8u;
const COLS: u32 = 4u * VECS;
const STEP: u32 = 4u;

// No memory is shared: an invocation fetches four numbers of each of its rows and the four rows of B that meet them.
@compute @workgroup_size(SIDE, SIDE)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) at: vec3u,
) {
    let across = (p.cols + SIDE * COLS - 1u) / (SIDE * COLS);
    let tile = folded(wid, groups);
    let m0 = (tile / across * SIDE + at.y) * ROWS;
    let n0 = (tile % across * SIDE + at.x) * COLS;
    if ((m0 >= p.rows) | (n0 >= p.cols)) { return; }
    let run = i32(p.run);
    let first_a = i32(wid.z * p.a_batch);
    let first_b = wid.z * p.b_batch + p.b_first;

    #repeat r 0..ROWS
    let w{r} = window(m0 + {r}u);
    #repeat v 0..VECS
    var acc{r}_{v} = vec4f();
    #end
    #end
    let steps = (p.segment + STEP - 1u) / STEP;
    let part = wid.z % p.splits;
    let begin = part * (steps * p.segments) / p.splits;
    let end = (part + 1u) * (steps * p.segments) / p.splits;
    for (var s = begin / steps; s * steps < end; s++) {
        #repeat r 0..ROWS
        let inside{r} = u32(w{r}.y + i32(s)) < p.height;
        let base{r} = first_a + w{r}.base + i32(s) * run;
        #end
        let last = (s + 1u) * p.segment - 1u;
        let stop = min((end - s * steps) * STEP, p.segment);
        for (var j = (max(begin, s * steps) - s * steps) * STEP; j < stop; j += STEP) {
            let k = s * p.segment + j;
            #repeat l 0..4
            let b{l} = fetch_b(first_b + min(k + {l}u, last) * p.b_stride, n0);
            #end
            #repeat r 0..ROWS
            let a{r} = fetch_a(base{r}, u32(w{r}.x), j, inside{r});
            #repeat v 0..VECS
            #repeat l 0..4
            acc{r}_{v} = fma(vec4f(a{r}[{l}]), b{l}[{v}], acc{r}_{v});
            #end
            #end
            #end
        }
    }

    var sums: array<vec4f, ROWS * VECS>;
    #repeat r 0..ROWS
    #repeat v 0..VECS
    sums[{r}u * VECS + {v}u] = acc{r}_{v};
    #end
    #end
    store_rows(&sums, wid.z * p.rows * p.cols, m0, n0, p.rows);
}
