//! formula: y = act(scale·(Aᵀ·m·A) + shift + residual), the 2×2 pixels of tile t from the 4×4 numbers m[·, t, n]
//! bindings: m [16, T, N], b not used, scale, shift [N], residual [images or 1, H, W, N], slope [1 or as shift] -> y [images, H, W, N]
//! grid: one invocation per tile and four channels, 64 to a workgroup, folded into x and y; N a multiple of four, any H and W
//! cost: reads four times what it writes; 24 additions for each channel of a tile
// indices: r a row, j a column: 4×4 in the transformed domain, 2×2 pixels.

#import index
#import tile_place
#import epilogue

const WORDS: u32 = 0u; // tile
#import quad

struct Params {
    n: u32, height: u32, width: u32, cols: u32, down: u32, across: u32, b_first: u32, epilogue: u32,
    // Fours from an image's residual to the next one's: 0 where one serves all.
    residual_step: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> m: array<Quad>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<Quad>;
@group(0) @binding(7) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = folded(wid, groups) * 64u + lid;
    if (i >= p.n) { return; }
    let fours = p.cols / 4u;
    let four = i % fours;
    let t = place(i / fours);
    // Aᵀ down the columns of m, then along its rows.
    #repeat j 0..4
    #repeat r 0..4
    let m{r}_{j} = open(m[i + ({r}u * 4u + {j}u) * p.n]);
    #end
    let e0_{j} = m0_{j} + m1_{j} + m2_{j};
    let e1_{j} = m1_{j} - m2_{j} - m3_{j};
    #end
    let f = affine(four * 4u);
    let below = slope_below(four * 4u);
    #repeat r 0..2
    put(e{r}_0 + e{r}_1 + e{r}_2, f, below, t.image, t.top + {r}u, t.left, four);
    put(e{r}_1 - e{r}_2 - e{r}_3, f, below, t.image, t.top + {r}u, t.left + 1u, four);
    #end
}

// The last row and column of an odd image have half a tile.
fn put(sum: vec4f, f: Affine, below: vec4f, image: u32, row: u32, column: u32, four: u32) {
    if ((row >= p.height) | (column >= p.width)) { return; }
    let fours = p.cols / 4u;
    let at = (row * p.width + column) * fours + four;
    var v = fma(sum, f.scale, f.shift);
    if ((p.epilogue & HAS_RESIDUAL) != 0u) { v += open(residual[image * p.residual_step + at]); }
    y[image * p.height * p.width * fours + at] = seal(curve(v, below));
}
