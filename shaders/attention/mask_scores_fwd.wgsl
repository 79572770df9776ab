//! formula: y[n, h, i, j] = scale·x[n, h, i, j] where query i of image n attends to key j, else -1e30, or 0 if GRADIENT
//! bindings: x [N, H, Lq, Lk], lengths u32 [N], or [N, Lq, Lk] that is not 0 where a pair is hidden -> y [N, H, Lq, Lk]
//! grid: one invocation per float, folded into x and y; exact for any size
//! cost: reads x and writes y once; one flop a score

#import element
#import mask

struct Params { n: u32, heads: u32, lq: u32, lk: u32, mask: u32, scale: f32 }

override GRADIENT: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> lengths: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let at = element(wid, groups, lid);
    if (at >= p.n) { return; }
    let row = quotient(at, p.lk);
    let sheet = quotient(row, p.lq);
    let j = at - row * p.lk;
    let i = row - sheet * p.lq;
    var keys = p.lk;
    if (has_lengths(p.mask)) { keys = lengths[quotient(sheet, p.heads)]; }
    var hidden = hides(p.mask, i, j, keys);
    if (p.mask == TABLE) {
        hidden = lengths[(quotient(sheet, p.heads) * p.lq + i) * p.lk + j] != 0u;
    }
    y[at] = select(p.scale * x[at], select(MASKED, 0.0, GRADIENT), hidden);
}
