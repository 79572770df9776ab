//! formula: average ← average + (1 − min(decay, (1 + t)/(10 + t)))·(now − average), t the steps done; as it is where the clock says the step was left out
//! bindings: clock [8] of clock_update, now [E] -> average [E], in place
//! grid: one invocation per element of 1 or 4 floats, folded into x and y; exact for any size
//! cost: reads two tensors and writes one once; 3 flops a float

#import element

struct Params { n: u32, decay: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clock: array<f32>;
@group(0) @binding(2) var<storage, read> now: array<Element>;
@group(0) @binding(3) var<storage, read_write> average: array<Element>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n || clock[7] == 0.0) { return; }
    // The first weights, which know nothing, are forgotten sooner.
    let decay = min(p.decay, (1.0 + clock[4]) / (10.0 + clock[4]));
    average[i] += (1.0 - decay) * (now[i] - average[i]);
}
