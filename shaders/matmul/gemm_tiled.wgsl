//! formula: y[m, n] = act(scale[n]·Σ a[m, k]·b[k, n] + shift[n] + residual[m, n]); a row of A is a window of an image
//! bindings: a [images, H, W, Cin], b [K, b_stride], scale, shift [b_stride], residual [M, N], slope [1 or as shift] -> y [Z, M, N]
//! grid: tiles of TY·ROWS·4 by TX·4 outputs, folded into x and y, columns fastest; z is a batch, or a part of K; exact for any M, N, K (fours of A, or of B and y, only where everything is a multiple of 4)
//! cost: 2·M·N·K flops; A is read N / (4·TX) times, B M / (TY·ROWS·4) times
// indices: i a load or a vec4 of rows, c a row in it, l a step along K in a vec4: acc{i}_{c} are
// four columns.

#import index
#import gemm

const ROWS: u32 = 2u; // tile
const TX: u32 = 16u; // tile
const TY: u32 = 8u; // tile
const DEPTH: u32 = 8u; // tile

// Blocks of four by four numbers of A, and fours of B, that each invocation fetches in a step (rounded up).
const BLOCKS_A: u32 = 1u; // tile
const LOADS_B: u32 = 1u; // tile

const VECS: u32 = 1u; // tile
#import fours

const WG: u32 = TX * TY;
const TILE_M: u32 = TY * ROWS * 4u;
const TILE_N: u32 = TX * 4u;
// Blocks of A along K.
const ALONG: u32 = DEPTH / 4u;
// One more four keeps the transposing stores off each other's banks.
const PITCH: u32 = TY * ROWS + 1u;

// Fours of rows, and fours of columns, for each k: of one step and of the next.
var<workgroup> sh_a: array<vec4f, 2u * DEPTH * PITCH>;
var<workgroup> sh_b: array<vec4f, 2u * DEPTH * TX>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let across = (p.cols + TILE_N - 1u) / TILE_N;
    let tile = folded(wid, groups);
    let m0 = tile / across * TILE_M;
    let n0 = tile % across * TILE_N;
    if (m0 >= p.rows) { return; }
    let tx = lid % TX;
    let ty = lid / TX;
    let first_b = wid.z * p.b_batch + p.b_first;
    let steps = (p.segment + DEPTH - 1u) / DEPTH;
    let part = wid.z % p.splits;
    let total = steps * p.segments;
    let begin = part * total / p.splits;
    let end = (part + 1u) * total / p.splits;

    #repeat i 0..BLOCKS_A
    let block{i} = {i}u * WG + lid;
    #repeat c 0..4
    var w{i}_{c} = window(m0 + block{i} / ALONG * 4u + {c}u);
    w{i}_{c}.base += i32(wid.z * p.a_batch);
    #end
    #end
    #repeat i 0..ROWS
    #repeat c 0..4
    var acc{i}_{c} = vec4f();
    #end
    #end
    // A round fetches a step, computes the one before, and puts down what it fetched: the way from memory is hidden behind
    // the arithmetic, and one barrier does for both.
    for (var step = begin; step <= end; step++) {
        let segment = step / steps;
        let first_j = step % steps * DEPTH;
        let here = step % 2u;
        #repeat i 0..BLOCKS_A
        let j{i} = first_j + block{i} % ALONG * 4u;
        let fetches{i} = (step < end) & (block{i} < TY * ROWS * ALONG);
        #repeat c 0..4
        let in{i}_{c} = fetches{i} & (j{i} < p.segment) & (u32(w{i}_{c}.y + i32(segment)) < p.height);
        let a{i}_{c} = fetch_a(w{i}_{c}.base + i32(segment * p.run), u32(w{i}_{c}.x), j{i}, in{i}_{c});
        #end
        #end
        #repeat i 0..LOADS_B
        let at{i} = {i}u * WG + lid;
        let k{i} = min(segment, p.segments - 1u) * p.segment + min(first_j + at{i} / TX, p.segment - 1u);
        let b{i} = fetch_b(first_b + k{i} * p.b_stride, n0 + at{i} % TX * 4u)[0];
        #end
        if (step > begin) {
            let from_a = (1u - here) * DEPTH * PITCH + ty;
            let from_b = (1u - here) * DEPTH * TX + tx;
            for (var k = 0u; k < DEPTH; k++) {
                let vb = sh_b[from_b + k * TX];
                #repeat i 0..ROWS
                let va{i} = sh_a[from_a + k * PITCH + {i}u * TY];
                #repeat c 0..4
                acc{i}_{c} = fma(vec4f(va{i}[{c}]), vb, acc{i}_{c});
                #end
                #end
            }
        }
        #repeat i 0..BLOCKS_A
        if (fetches{i}) {
            let to = (here * DEPTH + block{i} % ALONG * 4u) * PITCH + block{i} / ALONG;
            #repeat l 0..4
            sh_a[to + {l}u * PITCH] = vec4f(a{i}_0[{l}], a{i}_1[{l}], a{i}_2[{l}], a{i}_3[{l}]);
            #end
        }
        #end
        #repeat i 0..LOADS_B
        if (at{i} < DEPTH * TX) { sh_b[here * DEPTH * TX + at{i}] = b{i}; }
        #end
        workgroupBarrier();
    }
    let col = n0 + tx * 4u;
    if (col >= p.cols) { return; }
    let f = affine(col);
    let below = slope_below(col);
    let plane = wid.z * p.rows * p.cols;
    var sums: array<vec4f, ROWS * 4u>;
    #repeat i 0..ROWS
    #repeat c 0..4
    sums[{i}u * 4u + {c}u] = acc{i}_{c};
    #end
    #end
    for (var i = 0u; i < ROWS * 4u; i++) {
        let row = m0 + (ty + i / 4u * TY) * 4u + i % 4u;
        if (row < p.rows) {
            store(fma(sums[i], f.scale, f.shift), plane, row * p.cols + col, col, below);
        }
    }
}
