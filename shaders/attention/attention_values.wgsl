//! formula: y = weights·v per image and head
//! bindings: weights [N, H, Lq, Lk], v [N|1, Lk, ·] -> y [N, Lq, H·D]
//! grid: one workgroup per TQ queries and 4·WG·TV channels of a head, folded into x and y; any sizes
//! cost: reads v once per TQ queries, the weights once per workgroup along D; 2·Lq·Lk·D flops a head
// indices: i a query of the invocation, c a vec4 of its channels: o{i}_{c} is an output.

#import heads
#import index

struct Params {
    images: u32, lq: u32, lk: u32, heads: u32, width: u32,
    v_image: u32, v_row: u32, v_first: u32,
}

const TQ: u32 = 4u; // tile
const TV: u32 = 1u; // tile

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let blocks = (p.lq + TQ - 1u) / TQ;
    let spans = (p.width + 4u * WG * TV - 1u) / (4u * WG * TV);
    let group = folded(wid, groups);
    if (group >= spans * blocks * p.heads * p.images) { return; }
    let span = group % spans;
    let first = (group / spans) % blocks * TQ;
    let head = (group / spans / blocks) % p.heads;
    let image = group / spans / blocks / p.heads;
    #repeat i 0..TQ
    let w{i} = ((image * p.heads + head) * p.lq + min(first + {i}u, p.lq - 1u)) * p.lk;
    #end
    #repeat c 0..TV
    let at{c} = (span * WG * TV + lid + WG * {c}u) * 4u;
    let c{c} = min(at{c}, (p.width - 1u) / 4u * 4u);
    #repeat i 0..TQ
    var o{i}_{c} = vec4f();
    #end
    #end
    var row = image * p.v_image + p.v_first + head * p.width;
    for (var j = 0u; j < p.lk; j++) {
        #repeat c 0..TV
        let v{c} = value(row + c{c}, p.width - c{c});
        #end
        #repeat i 0..TQ
        let p{i} = vec4f(weights[w{i} + j]);
        #repeat c 0..TV
        o{i}_{c} = fma(p{i}, v{c}, o{i}_{c});
        #end
        #end
        row += p.v_row;
    }
    #repeat i 0..TQ
    if (first + {i}u < p.lq) {
        let y_base = ((image * p.lq + first + {i}u) * p.heads + head) * p.width;
        #repeat c 0..TV
        if (at{c} < p.width) { put(y_base + at{c}, p.width - at{c}, o{i}_{c}); }
        #end
    }
    #end
}
