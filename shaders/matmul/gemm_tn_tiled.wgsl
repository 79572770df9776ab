//! formula: y[m, n] = Σᵣ a[r, m]·b[r, n]: the gradient of a weight; a row of A is a window of an image
//! bindings: a [images, H, W, Cin], b [R, N], scale, shift, residual, slope (not used) -> y [Z, M, N]
//! grid: tiles of SIDE·4·FOURS numbers of a run of A's windows by as many columns, columns fastest, folded into x and y; z is a batch, or a part of the rows; exact for any M, N, R (fours of A, or of B and y, only where everything is a multiple of 4)
//! cost: 2·R·M·N flops; A is read N / (SIDE·4·FOURS) times, B M / (SIDE·4·FOURS) times
// indices: i a vec4 of rows, c a row in it, j a vec4 of columns: acc{i}_{c}_{j}.

#import index
#import gemm

const SIDE: u32 = 8u; // tile
const FOURS: u32 = 2u; // tile

const VECS: u32 = 1u; // tile
#import fours

const WG: u32 = SIDE * SIDE;
// Fours along one side of the tile, and rows of A and B in a step: FOURS loads of each for an invocation.
const LINE: u32 = SIDE * FOURS;
const DEPTH: u32 = SIDE;

// Of one step and of the next.
var<workgroup> sh_a: array<vec4f, 2u * DEPTH * LINE>;
var<workgroup> sh_b: array<vec4f, 2u * DEPTH * LINE>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let across = (p.cols + LINE * 4u - 1u) / (LINE * 4u);
    let down = (p.segment + LINE * 4u - 1u) / (LINE * 4u);
    let tile = folded(wid, groups);
    let segment = tile / across / down;
    let m0 = tile / across % down * LINE * 4u;
    let n0 = tile % across * LINE * 4u;
    if (segment >= p.segments) { return; }
    let tx = lid % SIDE;
    let ty = lid / SIDE;
    let part = wid.z % p.splits;
    let begin = part * p.rows / p.splits;
    let end = (part + 1u) * p.rows / p.splits;
    let steps = (end - begin + DEPTH - 1u) / DEPTH;

    #repeat i 0..FOURS
    #repeat c 0..4
    #repeat j 0..FOURS
    var acc{i}_{c}_{j} = vec4f();
    #end
    #end
    #end
    // As in `gemm_tiled`: a round fetches a step and computes the one before.
    for (var step = 0u; step <= steps; step++) {
        let here = step % 2u * DEPTH;
        let row = begin + step * DEPTH + ty;
        let last = min(row, end - 1u);
        let w = window(last);
        let inside = (row < end) & (u32(w.y + i32(segment)) < p.height);
        let base = i32(wid.z * p.a_batch) + w.base + i32(segment * p.run);
        #repeat i 0..FOURS
        let four{i} = tx + {i}u * SIDE;
        let from{i} = m0 + four{i} * 4u;
        let a{i} = fetch_a(base, u32(w.x), from{i}, inside & (from{i} < p.segment));
        let b{i} = fetch_b(wid.z * p.b_batch + last * p.cols, n0 + four{i} * 4u)[0];
        #end
        if (step > 0u) {
            let before = DEPTH - here;
            for (var k = before; k < before + DEPTH; k++) {
                #repeat j 0..FOURS
                let vb{j} = sh_b[k * LINE + tx + {j}u * SIDE];
                #end
                #repeat i 0..FOURS
                let va{i} = sh_a[k * LINE + ty + {i}u * SIDE];
                #repeat c 0..4
                #repeat j 0..FOURS
                acc{i}_{c}_{j} = fma(vec4f(va{i}[{c}]), vb{j}, acc{i}_{c}_{j});
                #end
                #end
                #end
            }
        }
        #repeat i 0..FOURS
        sh_a[(here + ty) * LINE + four{i}] = a{i};
        sh_b[(here + ty) * LINE + four{i}] = b{i};
        #end
        workgroupBarrier();
    }
    let plane = (wid.z * p.segments + segment) * p.segment * p.cols;
    var sums: array<vec4f, FOURS * 4u * FOURS>;
    #repeat i 0..FOURS
    #repeat c 0..4
    #repeat j 0..FOURS
    sums[({i}u * 4u + {c}u) * FOURS + {j}u] = acc{i}_{c}_{j};
    #end
    #end
    #end
    for (var i = 0u; i < FOURS * 4u; i++) {
        let row = m0 + (ty + i / 4u * SIDE) * 4u + i % 4u;
        for (var j = 0u; j < FOURS; j++) {
            let col = n0 + (tx + j * SIDE) * 4u;
            if (row < p.segment && col < p.cols) {
                store(sums[i * FOURS + j], plane, row * p.cols + col, col, vec4f(1.0));
            }
        }
    }
}
