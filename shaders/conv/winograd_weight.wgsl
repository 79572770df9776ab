//! formula: u[4i + j, c, o] = (G·g·Gᵀ)[i, j], g the 3×3 taps of w from channel c to channel o
//! bindings: w [9, Cin, Cout] -> u [16, Cin, Cout]
//! grid: one invocation per four output channels of an input channel, 64 to a workgroup, folded into x and y; Cout a multiple of four
//! cost: reads w once, writes 16/9 of its size; 28 additions and 32 multiplications for the taps of a channel
// indices: r a row, j a column: 3×3 taps, 4×4 in the transformed domain.

#import index

const WORDS: u32 = 0u; // tile
#import quad

struct Params { n: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<Quad>;
@group(0) @binding(2) var<storage, read_write> u: array<Quad>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = folded(wid, groups) * 64u + lid;
    if (i >= p.n) { return; }
    // G down the columns of g, then along its rows.
    #repeat j 0..3
    #repeat r 0..3
    let g{r}_{j} = open(w[i + ({r}u * 3u + {j}u) * p.n]);
    #end
    let e0_{j} = g0_{j};
    let e1_{j} = 0.5 * (g0_{j} + g1_{j} + g2_{j});
    let e2_{j} = 0.5 * (g0_{j} - g1_{j} + g2_{j});
    let e3_{j} = g2_{j};
    #end
    #repeat r 0..4
    u[i + {r}u * 4u * p.n] = seal(e{r}_0);
    u[i + ({r}u * 4u + 1u) * p.n] = seal(0.5 * (e{r}_0 + e{r}_1 + e{r}_2));
    u[i + ({r}u * 4u + 2u) * p.n] = seal(0.5 * (e{r}_0 - e{r}_1 + e{r}_2));
    u[i + ({r}u * 4u + 3u) * p.n] = seal(e{r}_2);
    #end
}
