//! formula: y[m, n] = act(scale[n]·Σ a[m, k]·b[k, n] + shift[n] + residual[m, n]) for at most four columns; a row of A is a window of an image
//! bindings: a [images, H, W, Cin], b [K, N], scale, shift [N], residual [M, N], slope [1 or as shift] -> y [M, N]
//! grid: one subgroup for LANES outputs side by side in each of LINES lines, folded into x and y; exact for windows with stride 1 in x whose width is a multiple of TAPS, Cin a multiple of 4
//! cost: 2·M·N·K flops; A is read PIXELS·LANES times for each LANES·TAPS of its uses, B M / (LINES·LANES) times
// indices: r a line of windows, i a fetch of the lane, t a tap, l a channel in its vec4.

#import index
#import gemm

const LINES: u32 = 4u; // tile
const TAPS: u32 = 3u; // tile
const LANES: u32 = 8u; // tile
const VECS: u32 = 1u; // tile
// Fetches that cover the pixels under LANES windows, and the weights of four channels of TAPS taps.
const PIXELS: u32 = 2u; // tile
const WEIGHTS: u32 = 2u; // tile
#import fours

// A lane is an output of each line. A pixel is fetched by one lane and handed on to those whose windows it lies in, a weight to
// all of them.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let across = (p.out_width + LANES - 1u) / LANES;
    let tile = folded(wid, groups);
    let line0 = tile / across * LINES;
    let x0 = tile % across * LANES;
    if (line0 * p.out_width >= p.rows) { return; }
    let channels = p.step;
    let cols = p.cols;
    #repeat r 0..LINES
    let w{r} = window((line0 + {r}u) * p.out_width + x0);
    var acc{r} = vec4f();
    #end
    for (var s = 0u; s < p.segments; s++) {
        #repeat r 0..LINES
        let inside{r} = u32(w{r}.y + i32(s)) < p.height;
        let base{r} = w{r}.base + i32(s * p.run);
        #end
        for (var j0 = 0u; j0 < p.segment; j0 += TAPS * channels) {
            for (var c0 = 0u; c0 < channels; c0 += 4u) {
                // Indices are constant, so these are registers.
                var b: array<vec4f, WEIGHTS>;
                #repeat i 0..WEIGHTS
                let n{i} = min({i}u * LANES + lane, TAPS * 4u - 1u);
                let k{i} = s * p.segment + j0 + n{i} / 4u * channels + c0 + n{i} % 4u;
                b[{i}] = fetch_b(k{i} * cols, 0u)[0];
                #end
                var pixel: array<vec4f, LINES * PIXELS>;
                #repeat i 0..PIXELS
                let at{i} = j0 + ({i}u * LANES + lane) * channels + c0;
                #repeat r 0..LINES
                pixel[{r}u * PIXELS + {i}u] = fetch_a(base{r}, u32(w{r}.x), at{i}, inside{r});
                #end
                #end
                #repeat t 0..TAPS
                #repeat l 0..4
                let b{t}_{l} = subgroupBroadcast(b[({t}u * 4u + {l}u) / LANES], ({t}u * 4u + {l}u) % LANES);
                #end
                let place{t} = (lane + {t}u) % LANES;
                let beyond{t} = lane + {t}u % LANES >= LANES;
                #repeat r 0..LINES
                let a{t}_{r} = select(
                    subgroupShuffle(pixel[{r}u * PIXELS + {t}u / LANES], place{t}),
                    subgroupShuffle(pixel[{r}u * PIXELS + min({t}u / LANES + 1u, PIXELS - 1u)], place{t}),
                    beyond{t});
                #repeat l 0..4
                acc{r} = fma(vec4f(a{t}_{r}[{l}]), b{t}_{l}, acc{r});
                #end
                #end
                #end
            }
        }
    }

    var sums: array<vec4f, LINES>;
    #repeat r 0..LINES
    sums[{r}] = acc{r};
    #end
    if (x0 + lane >= p.out_width) { return; }
    let f = affine(0u);
    let below = slope_below(0u);
    let m0 = line0 * p.out_width + x0 + lane;
    for (var r = 0u; r < LINES; r++) {
        let m = m0 + r * p.out_width;
        if (m < p.rows) { store(fma(sums[r], f.scale, f.shift), 0u, m * cols, 0u, below); }
    }
}
