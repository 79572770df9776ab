//! formula: dw[3i + j, c, o] = (Gᵀ·d·G)[i, j], d the 4×4 numbers of du from channel c to channel o
//! bindings: du [16, Cin, Cout] -> dw [9, Cin, Cout]
//! grid: one invocation per four output channels of an input channel, 64 to a workgroup, folded into x and y; Cout a multiple of four
//! cost: reads du once, writes 9/16 of its size; 35 additions and 14 multiplications for the taps of a channel
// indices: r a row, j a column: 4×4 in the transformed domain, 3×3 taps.

#import index

const WORDS: u32 = 0u; // tile
#import quad

struct Params { n: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> du: array<Quad>;
@group(0) @binding(2) var<storage, read_write> dw: array<Quad>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = folded(wid, groups) * 64u + lid;
    if (i >= p.n) { return; }
    // Gᵀ down the columns of d, then along its rows.
    #repeat j 0..4
    #repeat r 0..4
    let d{r}_{j} = open(du[i + ({r}u * 4u + {j}u) * p.n]);
    #end
    let both{j} = 0.5 * (d1_{j} + d2_{j});
    let e0_{j} = d0_{j} + both{j};
    let e1_{j} = 0.5 * (d1_{j} - d2_{j});
    let e2_{j} = both{j} + d3_{j};
    #end
    #repeat r 0..3
    let along{r} = 0.5 * (e{r}_1 + e{r}_2);
    dw[i + {r}u * 3u * p.n] = seal(e{r}_0 + along{r});
    dw[i + ({r}u * 3u + 1u) * p.n] = seal(0.5 * (e{r}_1 - e{r}_2));
    dw[i + ({r}u * 3u + 2u) * p.n] = seal(along{r} + e{r}_3);
    #end
}
