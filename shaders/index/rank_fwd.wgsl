//! formula: rank[n, p] = #{q : s[q] > s[p], or s[q] = s[p] and q < p};  order[n, rank[n, p]] = p
//! bindings: score [N, P] -> order [N, P] u32, rank [N, P] u32
//! grid: one workgroup per 4·OWN·WG positions of an image, folded into x and y; exact for P ≤ 1024
//! cost: reads the scores once per workgroup; P² comparisons an image and a single barrier

#import index

struct Params { images: u32, cols: u32, blocks: u32 }

// Quads of positions that an invocation ranks: more of them share one read of the others' keys.
const OWN: u32 = 2u; // tile

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> score: array<f32>;
@group(0) @binding(2) var<storage, read_write> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> rank: array<u32>;

var<workgroup> sh_key: array<vec4u, 256>;

// Numbers from 1 in the order of the floats: the zeros are equal, a NaN is the largest, as in PyTorch. 0 stands for no score.
fn key(base: u32, q: u32) -> u32 {
    if (q >= p.cols) { return 0u; }
    let bits = bitcast<u32>(score[base + q]);
    let size = bits & 0x7fffffffu;
    let positive = size | 0x80000000u;
    let ordered = select(positive, ~bits, bits != size && size != 0u);
    return select(ordered, 0xffffffffu, size > 0x7f800000u);
}

fn place(base: u32, position: u32, before: u32) {
    if (position >= p.cols) { return; }
    rank[base + position] = before;
    order[base + before] = position;
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let group = folded(wid, groups);
    let image = group / p.blocks;
    if (image >= p.images) { return; }
    let base = image * p.cols;
    let quads = (p.cols + 3u) / 4u;
    for (var q = lid; q < quads; q += WG) {
        sh_key[q] = vec4u(
            key(base, 4u * q),
            key(base, 4u * q + 1u),
            key(base, 4u * q + 2u),
            key(base, 4u * q + 3u),
        );
    }
    workgroupBarrier();
    let first = (group % p.blocks * WG + lid) * OWN;
#repeat j 0..OWN
    let own{j} = sh_key[min(first + {j}u, quads - 1u)];
    // Within a quad, an equal key at a lower position comes before.
    var before{j} = vec4u(0u, vec3u(own{j}.xxx == own{j}.yzw));
    before{j} += vec4u(0u, 0u, vec2u(own{j}.yy == own{j}.zw));
    before{j}.w += u32(own{j}.z == own{j}.w);
#end
    for (var q = 0u; q < quads; q++) {
        let other = sh_key[q];
#repeat j 0..OWN
        // Equal keys of lower quads come before too: larger than key − 1 is what they are.
        let bound{j} = own{j} - u32(q < first + {j}u);
        before{j} += vec4u(vec4u(other.x) > bound{j}) + vec4u(vec4u(other.y) > bound{j})
            + vec4u(vec4u(other.z) > bound{j}) + vec4u(vec4u(other.w) > bound{j});
#end
    }
#repeat j 0..OWN
    place(base, 4u * (first + {j}u), before{j}.x);
    place(base, 4u * (first + {j}u) + 1u, before{j}.y);
    place(base, 4u * (first + {j}u) + 2u, before{j}.z);
    place(base, 4u * (first + {j}u) + 3u, before{j}.w);
#end
}
