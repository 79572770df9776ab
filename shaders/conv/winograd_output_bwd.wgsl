//! formula: dm[4i + j, t, n] = (A·d·Aᵀ)[i, j], d the 2×2 pixels of dy that tile t is, zero outside the image
//! bindings: dy [images, H, W, N] -> dm [16, T, N], T = images·⌈H/2⌉·⌈W/2⌉
//! grid: one invocation per tile and four channels, 64 to a workgroup, folded into x and y; N a multiple of four, any H and W
//! cost: reads dy once, writes four times its size; 12 additions for each channel of a tile

#import index
#import tile_place

const WORDS: u32 = 0u; // tile
#import quad

struct Params { n: u32, height: u32, width: u32, fours: u32, down: u32, across: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<Quad>;
@group(0) @binding(2) var<storage, read_write> dm: array<Quad>;

fn pixel(image: u32, row: u32, column: u32, four: u32) -> vec4f {
    let inside = (row < p.height) & (column < p.width);
    let at = ((image * p.height + row) * p.width + column) * p.fours + four;
    return select(vec4f(), open(dy[select(0u, at, inside)]), inside);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = folded(wid, groups) * 64u + lid;
    if (i >= p.n) { return; }
    let four = i % p.fours;
    let t = place(i / p.fours);
    // A down the columns of d, then along its rows.
    #repeat j 0..2
    #repeat r 0..2
    let d{r}_{j} = pixel(t.image, t.top + {r}u, t.left + {j}u, four);
    #end
    let e0_{j} = d0_{j};
    let e1_{j} = d0_{j} + d1_{j};
    let e2_{j} = d0_{j} - d1_{j};
    let e3_{j} = -d1_{j};
    #end
    #repeat r 0..4
    dm[i + {r}u * 4u * p.n] = seal(e{r}_0);
    dm[i + ({r}u * 4u + 1u) * p.n] = seal(e{r}_0 + e{r}_1);
    dm[i + ({r}u * 4u + 2u) * p.n] = seal(e{r}_0 - e{r}_1);
    dm[i + ({r}u * 4u + 3u) * p.n] = seal(-e{r}_1);
    #end
}
