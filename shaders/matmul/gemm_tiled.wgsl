//! formula: y[m, n] = act(scale[n]·Σ a[m, k]·b[k, n] + shift[n] + residual[m, n]); a row of A is a window of an image
//! bindings: a [images, H, W, Cin], b [K, b_stride], scale, shift [b_stride], residual [M, N], slope [1] -> y [Z, M, N]
//! grid: tiles of TY·ROWS·4 by TX·4 outputs, folded into x and y, columns fastest; z is a batch, or a part of K; exact for any M, N, K
//! cost: 2·M·N·K flops; A is read N / (4·TX) times, B M / (TY·ROWS·4) times

#import index
#import tiled

const ROWS: u32 = 2u; // tile
const TX: u32 = 16u; // tile
const TY: u32 = 8u; // tile
const DEPTH: u32 = 16u; // tile

// Fours of A, and fours of B (rounded up), that each invocation fetches in a step.
const LOADS_A: u32 = 4u; // tile
const LOADS_B: u32 = 2u; // tile

const WG: u32 = TX * TY;
const TILE_M: u32 = TY * ROWS * 4u;
const TILE_N: u32 = TX * 4u;
// One more four keeps the transposing stores off each other's banks.
const PITCH: u32 = TY * ROWS + 1u;

// Fours of rows, and fours of columns, for each k.
var<workgroup> sh_a: array<vec4f, DEPTH * PITCH>;
var<workgroup> sh_b: array<vec4f, DEPTH * TX>;

fn load_a(w: Window, segment: u32, j: u32) -> f32 {
    // Without short circuits: branches by the dozen choke some drivers' compilers.
    let inside = (j < p.segment)
        & (u32(w.y + i32(segment)) < p.height)
        & (u32(w.x + i32(j)) < p.run);
    let at = select(0u, u32(w.base + i32(segment * p.run + j)), inside);
    return select(0.0, a[at], inside);
}

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
    let last = (part + 1u) * total / p.splits;

    let ka = lid % DEPTH;
    let row_a = lid / DEPTH;
    #repeat i 0..LOADS_A
    #repeat c 0..4
    var w{i}_{c} = window(m0 + (row_a + {i}u * (WG / DEPTH)) * 4u + {c}u);
    w{i}_{c}.base += i32(wid.z * p.a_batch);
    #end
    #end
    #repeat i 0..ROWS
    #repeat c 0..4
    var acc{i}_{c} = vec4f();
    #end
    #end
    for (var step = part * total / p.splits; step < last; step++) {
        let segment = step / steps;
        let j0 = step % steps * DEPTH;
        #repeat i 0..LOADS_A
        sh_a[ka * PITCH + row_a + {i}u * (WG / DEPTH)] = vec4f(
            load_a(w{i}_0, segment, j0 + ka),
            load_a(w{i}_1, segment, j0 + ka),
            load_a(w{i}_2, segment, j0 + ka),
            load_a(w{i}_3, segment, j0 + ka));
        #end
        #repeat i 0..LOADS_B
        let at{i} = {i}u * WG + lid;
        let k{i} = segment * p.segment + min(j0 + at{i} / TX, p.segment - 1u);
        if (at{i} < TX * DEPTH) {
            sh_b[at{i}] = load_b(first_b + k{i} * p.b_stride, n0 + at{i} % TX * 4u);
        }
        #end
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let vb = sh_b[k * TX + tx];
            #repeat i 0..ROWS
            let va{i} = sh_a[k * PITCH + ty + {i}u * TY];
            #repeat c 0..4
            acc{i}_{c} = fma(vec4f(va{i}[{c}]), vb, acc{i}_{c});
            #end
            #end
        }
        workgroupBarrier();
    }
    let col = n0 + tx * 4u;
    if (col >= p.cols) { return; }
    let f = affine(col);
    let below = slope_below();
    let plane = wid.z * p.rows * p.cols;
    #repeat i 0..ROWS
    #repeat c 0..4
    store(fma(acc{i}_{c}, f.scale, f.shift), plane, m0 + (ty + {i}u * TY) * 4u + {c}u, col, below);
    #end
    #end
}

fn store(acc: vec4f, plane: u32, row: u32, col: u32, below: f32) {
    if (row >= p.rows) { return; }
    let at = row * p.cols + col;
    var sum = acc;
    if ((p.epilogue & HAS_RESIDUAL) != 0u) {
        for (var c = 0u; c < min(4u, p.cols - col); c++) { sum[c] += residual[at + c]; }
    }
    let v = curve(sum, below);
    for (var c = 0u; c < min(4u, p.cols - col); c++) { y[plane + at + c] = v[c]; }
}
