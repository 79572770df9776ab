//! formula: y = weights·v per image and head
//! bindings: weights [N, H, Lq, Lk], v [N|1, Lk, ·] -> y [N, Lq, H·D]
//! grid: one workgroup of 8 lanes of one subgroup per 8·TG queries and 32·TV channels of a head, folded into x and y; any sizes
//! cost: reads v once per 8·TG queries, the weights once per 32·TV channels; 2·Lq·Lk·D flops a head
// indices: g a group of eight queries, i a query in it, c a vec4 of the lane's channels:
// o{g}_{i}_{c} is an output.

#import heads
#import index

struct Params {
    images: u32, lq: u32, lk: u32, heads: u32, width: u32,
    v_image: u32, v_row: u32, v_first: u32,
}

const TG: u32 = 2u; // tile
const TV: u32 = 4u; // tile


@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks = (p.lq + 8u * TG - 1u) / (8u * TG);
    let spans = (p.width + 32u * TV - 1u) / (32u * TV);
    let group = folded(wid, groups);
    if (group >= spans * blocks * p.heads * p.images) { return; }
    let span = group % spans;
    let first = (group / spans) % blocks * 8u * TG;
    let head = (group / spans / blocks) % p.heads;
    let image = group / spans / blocks / p.heads;
    let w_base = (image * p.heads + head) * p.lq;
    #repeat g 0..TG
    let w{g} = (w_base + min(first + 8u * {g}u + lane, p.lq - 1u)) * p.lk;
    #repeat c 0..TV
    #repeat i 0..8
    var o{g}_{i}_{c} = vec4f();
    #end
    #end
    #end
    #repeat c 0..TV
    let at{c} = (span * 8u * TV + lane + 8u * {c}u) * 4u;
    let c{c} = min(at{c}, (p.width - 1u) / 4u * 4u);
    #end
    var row = image * p.v_image + p.v_first + head * p.width;
    for (var j = 0u; j < p.lk; j++) {
        #repeat c 0..TV
        let v{c} = value(row + c{c}, p.width - c{c});
        #end
        #repeat g 0..TG
        let p{g} = weights[w{g} + j];
        #repeat i 0..8
        let p{g}_{i} = vec4f(subgroupShuffle(p{g}, {i}u));
        #repeat c 0..TV
        o{g}_{i}_{c} = fma(p{g}_{i}, v{c}, o{g}_{i}_{c});
        #end
        #end
        #end
        row += p.v_row;
    }
    #repeat g 0..TG
    #repeat i 0..8
    if (first + 8u * {g}u + {i}u < p.lq) {
        let y_base = ((image * p.lq + first + 8u * {g}u + {i}u) * p.heads + head) * p.width;
        #repeat c 0..TV
        if (at{c} < p.width) { put(y_base + at{c}, p.width - at{c}, o{g}_{i}_{c}); }
        #end
    }
    #end
    #end
}
