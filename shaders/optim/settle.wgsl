//! formula: kept ← now where the clock says the step was done, now ← kept where it was left out
//! bindings: clock [8] of clock_update -> now, kept [E], in place
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads and writes one tensor once

#import element

struct Params { n: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clock: array<f32>;
@group(0) @binding(2) var<storage, read_write> now: array<Element>;
@group(0) @binding(3) var<storage, read_write> kept: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    if (clock[7] == 0.0) { now[i] = kept[i]; } else { kept[i] = now[i]; }
}
