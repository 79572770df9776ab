//! formula: y[m, n] = Σᵣ a[r, m]·b[r, n]: the gradient of a weight; a row of A is a window of an image
//! bindings: a [images, H, W, Cin], b [R, N], scale, shift, residual, slope (not used) -> y [Z, M, N]
//! grid: one subgroup per tile of LANES·4 numbers of a run of A's windows by LANES·4·VECS columns, columns fastest, folded into x and y; z is a batch, or a part of the rows; exact for any M, N, R (fours of A, or of B and y, only where everything is a multiple of 4)
//! cost: 2·R·M·N flops; A is read N / (LANES·4·VECS) times, B M / (LANES·4) times
// indices: l the lane whose rows of the product are summed, c a row in its vec4, v a vec4 of
// columns, k a row of A and B in a step.

#import index
#import gemm

const VECS: u32 = 2u; // tile
const LANES: u32 = 8u; // tile
// Rows of A and B at a time.
const STEP: u32 = 2u; // tile
#import rows

const ROWS: u32 = LANES * 4u;
const COLS: u32 = 4u * VECS;

// Of every row a lane fetches four numbers of the window and four columns, VECS times. A is shared by `subgroupBroadcast`.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let across = (p.cols + LANES * COLS - 1u) / (LANES * COLS);
    let down = (p.segment + ROWS - 1u) / ROWS;
    let tile = folded(wid, groups);
    let segment = tile / across / down;
    let m0 = tile / across % down * ROWS;
    let n0 = (tile % across * LANES + lane) * COLS;
    if (segment >= p.segments) { return; }
    let width = p.out_width;
    let mine = i32(m0 + lane * 4u) - i32(p.pad_x);
    let first_a = i32(wid.z * p.a_batch);
    let first_b = wid.z * p.b_batch;

    #repeat l 0..LANES
    #repeat c 0..4
    #repeat v 0..VECS
    var acc{l}_{c}_{v} = vec4f();
    #end
    #end
    #end
    let part = wid.z % p.splits;
    let begin = part * p.rows / p.splits;
    let end = (part + 1u) * p.rows / p.splits;
    for (var line = begin / width; line * width < end; line++) {
        let image = line / p.out_height;
        let top = i32((line - image * p.out_height) * p.stride_y + segment) - i32(p.pad_y);
        let inside = u32(top) < p.height;
        let base = first_a + (i32(image * p.height) + top) * i32(p.run);
        let stop = select(0u, min(end - line * width, width), inside);
        for (var x = max(begin, line * width) - line * width; x < stop; x += STEP) {
            #repeat k 0..STEP
            let left{k} = i32((x + {k}u) * p.step) + mine;
            let a{k} = fetch_a(base + left{k}, u32(left{k}), 0u, x + {k}u < stop);
            let b{k} = fetch_b(first_b + (line * width + min(x + {k}u, stop - 1u)) * p.cols, n0);
            #end
            #repeat l 0..LANES
            #repeat c 0..4
            #repeat k 0..STEP
            let s{l}_{c}_{k} = subgroupBroadcast(a{k}[{c}], {l}u);
            #end
            #repeat v 0..VECS
            #repeat k 0..STEP
            acc{l}_{c}_{v} = fma(vec4f(s{l}_{c}_{k}), b{k}[{v}], acc{l}_{c}_{v});
            #end
            #end
            #end
            #end
        }
    }

    var sums: array<vec4f, ROWS * VECS>;
    #repeat l 0..LANES
    #repeat c 0..4
    #repeat v 0..VECS
    sums[({l}u * 4u + {c}u) * VECS + {v}u] = acc{l}_{c}_{v};
    #end
    #end
    #end
    let plane = (wid.z * p.segments + segment) * p.segment * p.cols;
    store_rows(&sums, plane, m0, n0, p.segment);
}
