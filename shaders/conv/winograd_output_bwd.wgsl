//! formula: v[4i + j, t, n] = (A·d·Aᵀ)[i, j], d the 2×2 pixels of x that tile t is, zero outside the image
//! bindings: x [images, H, W, N], a gradient -> v [16, T, N], T = images·⌈H/2⌉·⌈W/2⌉
//! grid: one invocation per tile and four channels, 64 to a workgroup, folded into x and y; N a multiple of four, any H and W
//! cost: reads x once, writes four times its size; 12 additions for each channel of a tile
// indices: r a row, j a column: 2×2 pixels, 4×4 in the transformed domain.

#import index
#import by_tiles

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
    v[i + {r}u * 4u * p.n] = seal(e{r}_0);
    v[i + ({r}u * 4u + 1u) * p.n] = seal(e{r}_0 + e{r}_1);
    v[i + ({r}u * 4u + 2u) * p.n] = seal(e{r}_0 - e{r}_1);
    v[i + ({r}u * 4u + 3u) * p.n] = seal(-e{r}_1);
    #end
}
