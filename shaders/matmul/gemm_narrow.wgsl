//! formula: y[m, n] = act(scale[n]·Σ a[m, k]·b[k, n] + shift[n] + residual[m, n]) for at most four columns; a row of A is a window of an image
//! bindings: a [images, H, W, Cin], b [K, N], scale, shift [N], residual [M, N], slope [1 or as shift] -> y [M, N]
//! grid: one subgroup for ROWS outputs side by side in a line, folded into x and y; exact for windows with stride 1 in x whose width is a multiple of TAPS, Cin a multiple of 4
//! cost: 2·M·N·K flops; A is read ROWS + TAPS - 1 times for each ROWS·TAPS of its uses, B M / ROWS times

#import index
#import gemm

// REACH is ROWS + TAPS - 1.
const ROWS: u32 = 8u; // tile
const TAPS: u32 = 3u; // tile
const REACH: u32 = 10u; // tile
const LANES: u32 = 8u; // tile
const VECS: u32 = 1u; // tile
#import fours

// Lanes lie along K, four channels each, and their sums are added up at the end. A pixel that was fetched serves all the
// outputs, of TAPS neighbours, whose windows it lies in.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let across = (p.out_width + ROWS - 1u) / ROWS;
    let tile = folded(wid, groups);
    let line = tile / across;
    let x0 = tile % across * ROWS;
    let m0 = line * p.out_width + x0;
    if (m0 >= p.rows) { return; }
    let w = window(m0);
    let channels = p.step;
    let cols = p.cols;

    #repeat r 0..ROWS
    var acc{r} = vec4f();
    #end
    for (var s = 0u; s < p.segments; s++) {
        let inside = u32(w.y + i32(s)) < p.height;
        let base = w.base + i32(s * p.run);
        for (var j0 = 0u; j0 < p.segment; j0 += TAPS * channels) {
            for (var c0 = 0u; c0 < channels; c0 += LANES * 4u) {
                let c = c0 + lane * 4u;
                let there = inside & (c < channels);
                let j = j0 + min(c, channels - 4u);
                // Indices are constant, so these are registers.
                var pixel: array<vec4f, REACH>;
                #repeat i 0..REACH
                pixel[{i}] = fetch_a(base, u32(w.x), j + {i}u * channels, there);
                #end
                #repeat t 0..TAPS
                #repeat l 0..4
                let b{t}_{l} = fetch_b((s * p.segment + j + {t}u * channels + {l}u) * cols, 0u)[0];
                #end
                #end
                #repeat r 0..ROWS
                #repeat t 0..TAPS
                #repeat l 0..4
                acc{r} = fma(vec4f(pixel[{r}u + {t}u][{l}]), b{t}_{l}, acc{r});
                #end
                #end
                #end
            }
        }
    }

    var sums: array<vec4f, ROWS>;
    #repeat r 0..ROWS
    var total{r} = vec4f();
    #repeat l 0..LANES
    total{r} += subgroupBroadcast(acc{r}, {l}u);
    #end
    sums[{r}] = total{r};
    #end
    let f = affine(0u);
    let below = slope_below(0u);
    for (var r = lane; r < min(ROWS, p.out_width - x0); r += LANES) {
        store(fma(sums[r], f.scale, f.shift), 0u, (m0 + r) * cols, 0u, below);
    }
}
