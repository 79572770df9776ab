//! formula: dx = γ·rstd·(dy − (dβ + x̂·dγ)/R), x̂ = (x − μ)·rstd; dx = γ·rstd·dy if CONSTANT statistics
//! bindings: x, dy [R, C], mean, rstd, gamma, dbeta, dgamma [C] -> dx [R, C]
//! grid: one workgroup per LANES elements (of 1 or 4 channels) of DEPTH·WG/LANES rows, folded into x and y; any sizes
//! cost: reads x and dy once, writes dx once; 6 flops an element

#import four
#import index

// Channels count by elements.
struct Params { rows: u32, channels: u32 }

override LANES: u32 = 8u;
override WG: u32 = 64u;
override DEPTH: u32 = 8u;
override CONSTANT: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read> mean: array<Element>;
@group(0) @binding(4) var<storage, read> rstd: array<Element>;
@group(0) @binding(5) var<storage, read> gamma: array<Element>;
@group(0) @binding(6) var<storage, read> dbeta: array<Element>;
@group(0) @binding(7) var<storage, read> dgamma: array<Element>;
@group(0) @binding(8) var<storage, read_write> dx: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let splits = WG / LANES;
    let blocks = (p.channels + LANES - 1u) / LANES;
    let group = folded(wid, groups);
    let c = (group % blocks) * LANES + lid % LANES;
    // Rows that follow each other, since some adapters run one invocation's loop to its end before the next one's.
    let begin = ((group / blocks) * splits + lid / LANES) * DEPTH;
    if (c >= p.channels) { return; }
    let slope = gamma[c] * rstd[c];
    var m = Element(0.0);
    var level = Element(0.0);
    var tilt = Element(0.0);
    if (!CONSTANT) {
        m = mean[c];
        level = dbeta[c] / f32(p.rows);
        tilt = rstd[c] * (dgamma[c] / f32(p.rows));
    }
    for (var r = begin; r < min(begin + DEPTH, p.rows); r++) {
        let i = r * p.channels + c;
        var d = dy[i];
        if (!CONSTANT) { d = d - level - (x[i] - m) * tilt; }
        dx[i] = slope * d;
    }
}
