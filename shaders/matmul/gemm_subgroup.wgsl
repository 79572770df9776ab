//! formula: y[m, n] = act(scale[n]·Σ a[m, k]·b[k, n] + shift[n] + residual[m, n]); a row of A is a window of an image
//! bindings: a [images, H, W, Cin], b [K, b_stride], scale, shift [b_stride], residual [M, N], slope [1 or as shift] -> y [Z, M, N]
//! grid: one subgroup per tile of GROUPS·LANES by LANES·4·VECS outputs, columns fastest, folded into x and y; z is a batch, or a part of K; exact for any M, N, K (fours of A, or of B and y, only where everything is a multiple of 4)
//! cost: 2·M·N·K flops; A is read N / (LANES·4·VECS) times, B M / (GROUPS·LANES) times
// indices: g a group of rows, r a row in it and the lane that loads it, v a vec4 of the lane's
// columns, l a step along K in a vec4.

#import index
#import gemm

const GROUPS: u32 = 3u; // tile
const VECS: u32 = 2u; // tile
const LANES: u32 = 8u; // tile
#import rows

const ROWS: u32 = GROUPS * LANES;
const COLS: u32 = 4u * VECS;
const STEP: u32 = 4u;

// For its share of A a lane is a row of each group, for its share of B, and of the result, four columns, VECS times. In a
// step of four along K it loads those, and shares A with the subgroup by `subgroupBroadcast`.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let across = (p.cols + LANES * COLS - 1u) / (LANES * COLS);
    let tile = folded(wid, groups);
    let m0 = tile / across * ROWS;
    let n0 = (tile % across * LANES + lane) * COLS;
    if (m0 >= p.rows) { return; }
    let run = i32(p.run);
    let height = p.height;
    let b_stride = p.b_stride;
    let first_a = i32(wid.z * p.a_batch);
    let first_b = wid.z * p.b_batch + p.b_first;

    #repeat g 0..GROUPS
    let w{g} = window(m0 + {g}u * LANES + lane);
    #repeat r 0..LANES
    #repeat v 0..VECS
    var acc{g}_{r}_{v} = vec4f();
    #end
    #end
    #end
    let steps = (p.segment + STEP - 1u) / STEP;
    let part = wid.z % p.splits;
    let begin = part * (steps * p.segments) / p.splits;
    let end = (part + 1u) * (steps * p.segments) / p.splits;
    for (var s = begin / steps; s * steps < end; s++) {
        #repeat g 0..GROUPS
        let inside{g} = u32(w{g}.y + i32(s)) < height;
        let base{g} = first_a + w{g}.base + i32(s) * run;
        #end
        let last = (s + 1u) * p.segment - 1u;
        let stop = min((end - s * steps) * STEP, p.segment);
        for (var j = (max(begin, s * steps) - s * steps) * STEP; j < stop; j += STEP) {
            #repeat g 0..GROUPS
            let a{g} = fetch_a(base{g}, u32(w{g}.x), j, inside{g});
            #end
            let k = s * p.segment + j;
            #repeat l 0..4
            let at{l} = first_b + min(k + {l}u, last) * b_stride;
            let b{l} = fetch_b(at{l}, n0);
            #end
            #repeat g 0..GROUPS
            #repeat r 0..LANES
            #repeat l 0..4
            let s{g}_{r}_{l} = subgroupBroadcast(a{g}[{l}], {r}u);
            #end
            #repeat v 0..VECS
            #repeat l 0..4
            acc{g}_{r}_{v} = fma(vec4f(s{g}_{r}_{l}), b{l}[{v}], acc{g}_{r}_{v});
            #end
            #end
            #end
            #end
        }
    }

    var sums: array<vec4f, ROWS * VECS>;
    #repeat g 0..GROUPS
    #repeat r 0..LANES
    #repeat v 0..VECS
    sums[({g}u * LANES + {r}u) * VECS + {v}u] = acc{g}_{r}_{v};
    #end
    #end
    #end
    store_rows(&sums, wid.z * p.rows * p.cols, m0, n0, p.rows);
}
