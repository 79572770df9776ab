//! formula: dmaps[n, t, p] = dy[n, p]·[t = winner[n, p]]·[t < ℓ[n]]
//! bindings: winner [N, P] u32, lengths [N] u32, dy [N, P] -> dmaps [N, T, P]
//! grid: one invocation per element, folded into x and y; exact for any size
//! cost: reads winner and dy once per map, writes the maps once

#import element

struct Params { n: u32, steps: u32, pixels: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> winner: array<u32>;
@group(0) @binding(2) var<storage, read> lengths: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dmaps: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let t = i / p.pixels % p.steps;
    let image = i / (p.pixels * p.steps);
    let pixel = image * p.pixels + i % p.pixels;
    // A winner at the length or beyond is one of the zeros there.
    let wins = (winner[pixel] == t) & (t < lengths[image]);
    dmaps[i] = select(0.0, dy[pixel], wins);
}
