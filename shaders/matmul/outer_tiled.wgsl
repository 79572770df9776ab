//! formula: y[m, n] = Σᵣ a[r, m]·b[r, n]: the gradient of a weight; a row of A is a window of an image
//! bindings: a [images, H, W, Cin], b [R, N], scale, shift, residual, slope (not used) -> y [Z, M, N]
//! grid: tiles of SIDE·4·FOURS numbers of a run of A's windows by as many columns, columns fastest, folded into x and y; z is a batch, or a part of the rows; exact for any M, N, R
//! cost: 2·R·M·N flops; A is read N / (SIDE·4·FOURS) times, B M / (SIDE·4·FOURS) times

#import index
#import tiled

const SIDE: u32 = 8u; // tile
const FOURS: u32 = 2u; // tile

const WG: u32 = SIDE * SIDE;
// Fours along one side of the tile, and rows of A and B in a step: FOURS loads of each for an invocation.
const LINE: u32 = SIDE * FOURS;
const DEPTH: u32 = SIDE;

var<workgroup> sh_a: array<vec4f, DEPTH * LINE>;
var<workgroup> sh_b: array<vec4f, DEPTH * LINE>;

// A number of row r of A: without short circuits, since branches by the dozen choke some drivers' compilers.
fn load_a(base: i32, left: i32, inside: bool) -> f32 {
    let ok = inside & (u32(left) < p.run);
    return select(0.0, a[select(0u, u32(base + left), ok)], ok);
}

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
    let end = (part + 1u) * p.rows / p.splits;

    #repeat i 0..FOURS
    #repeat c 0..4
    #repeat j 0..FOURS
    var acc{i}_{c}_{j} = vec4f();
    #end
    #end
    #end
    for (var first = part * p.rows / p.splits; first < end; first += DEPTH) {
        let row = min(first + ty, end - 1u);
        let there = first + ty < end;
        let w = window(row);
        let inside = there & (u32(w.y + i32(segment)) < p.height);
        let base = i32(wid.z * p.a_batch) + w.base - w.x + i32(segment * p.run);
        #repeat i 0..FOURS
        let four{i} = tx + {i}u * SIDE;
        let left{i} = w.x + i32(m0 + four{i} * 4u);
        sh_a[ty * LINE + four{i}] = vec4f(
            load_a(base, left{i}, inside),
            load_a(base, left{i} + 1, inside),
            load_a(base, left{i} + 2, inside),
            load_a(base, left{i} + 3, inside));
        sh_b[ty * LINE + four{i}] = load_b(wid.z * p.b_batch + row * p.cols, n0 + four{i} * 4u);
        #end
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
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
        workgroupBarrier();
    }
    let plane = (wid.z * p.segments + segment) * p.segment;
    #repeat i 0..FOURS
    #repeat c 0..4
    #repeat j 0..FOURS
    store(acc{i}_{c}_{j}, plane, m0 + (ty + {i}u * SIDE) * 4u + {c}u, n0 + (tx + {j}u * SIDE) * 4u);
    #end
    #end
    #end
}

fn store(sum: vec4f, plane: u32, row: u32, col: u32) {
    if (row >= p.segment) { return; }
    for (var c = 0u; c < 4u; c++) {
        if (col + c < p.cols) { y[(plane + row) * p.cols + col + c] = sum[c]; }
    }
}
