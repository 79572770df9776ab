//! formula: v[4i + j, t, c] = (Bᵀ·d·B)[i, j], d the 4×4 pixels of channel c around the 2×2 of tile t, zero outside the image
//! bindings: x [N, H, W, C] -> v [16, T, C], T = N·⌈H/2⌉·⌈W/2⌉
//! grid: one invocation per tile and four channels, 64 to a workgroup, folded into x and y; C a multiple of four, any H and W
//! cost: reads x four times, writes four times its size; 32 additions for each element of a tile
// indices: r a row, j a column of the 4×4 tile.

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
    // Bᵀ down the columns of d, then along its rows.
    #repeat j 0..4
    #repeat r 0..4
    let d{r}_{j} = pixel(t.image, t.top + {r}u - 1u, t.left + {j}u - 1u, four);
    #end
    let e0_{j} = d0_{j} - d2_{j};
    let e1_{j} = d1_{j} + d2_{j};
    let e2_{j} = d2_{j} - d1_{j};
    let e3_{j} = d1_{j} - d3_{j};
    #end
    #repeat r 0..4
    v[i + {r}u * 4u * p.n] = seal(e{r}_0 - e{r}_2);
    v[i + ({r}u * 4u + 1u) * p.n] = seal(e{r}_1 + e{r}_2);
    v[i + ({r}u * 4u + 2u) * p.n] = seal(e{r}_2 - e{r}_1);
    v[i + ({r}u * 4u + 3u) * p.n] = seal(e{r}_1 - e{r}_3);
    #end
}
