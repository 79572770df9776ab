//! formula: weights = soft-max over keys of scale·q·kᵀ, masked; y = weights·v if VALUES; per image and head
//! bindings: q [N|1, Lq, ·], k, v [N|1, Lk, ·], lengths u32 [N] -> y [N, Lq, H·D], weights [N, H, Lq, Lk] if WEIGHTS
//! grid: one workgroup of 8 lanes of one subgroup per 8·TG queries of a head, folded into x and y; any Lq, Lk, D (≤ 32·TV if VALUES)
//! cost: reads q once per 8·TK keys, k and v once per 8·TG queries; 4·Lq·Lk·D flops a head, one exponential a pair
// indices: g a group of eight queries, i a query in it, j a key of the lane, c a vec4 of its
// channels: s{g}_{i}_{j} is a score.

// A lane loads its own queries and keys, which are exchanged by `subgroupShuffle`: no workgroup memory
// and no barrier. For adapters where loads are expensive relative to shuffles (llvmpipe).

#import attention
#import index

// Groups of 8 queries, keys of a lane, and words of channels of a lane.
const TG: u32 = 2u; // tile
const TK: u32 = 4u; // tile
const TV: u32 = 2u; // tile
const BK: u32 = 8u * TK;

fn max_of_8(x: f32) -> f32 {
    let a = max(x, subgroupShuffleXor(x, 1u));
    let b = max(a, subgroupShuffleXor(a, 2u));
    return max(b, subgroupShuffleXor(b, 4u));
}

fn sum_of_8(x: f32) -> f32 {
    let a = x + subgroupShuffleXor(x, 1u);
    let b = a + subgroupShuffleXor(a, 2u);
    return b + subgroupShuffleXor(b, 4u);
}

// Sum over the lanes that hold the same of `words` words.
fn sum_over_keys(x: vec4f, words: u32) -> vec4f {
    let a = x + subgroupShuffleXor(x, 4u);
    let b = a + subgroupShuffleXor(a, 2u);
    return select(select(b, a, words == 4u), x, words == 8u);
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let blocks = (p.lq + 8u * TG - 1u) / (8u * TG);
    let group = folded(wid, groups);
    if (group >= blocks * p.heads * p.images) { return; }
    let head = (group / blocks) % p.heads;
    let image = group / blocks / p.heads;
    let first = (group % blocks) * 8u * TG;
    var keys = p.lk;
    if (has_lengths(p.mask)) { keys = min(keys, lengths[image]); }

    // Lanes lie along the words of a narrow head and share out the keys.
    let words = select(select(2u, 4u, p.width > 8u), 8u, p.width > 16u);
    let share = 8u / words;
    // Rows beyond the last repeat it; what they store again is the same.
    let q_base = image * p.q_image + p.q_first + head * p.width;
    let k_base = image * p.k_image + p.k_first + head * p.width;
    let v_base = image * p.v_image + p.v_first + head * p.width;
    #repeat g 0..TG
    let q{g} = q_base + min(first + 8u * {g}u + lane, p.lq - 1u) * p.q_row;
    #repeat i 0..8
    let i{g}_{i} = min(first + 8u * {g}u + {i}u, p.lq - 1u);
    let w{g}_{i} = ((image * p.heads + head) * p.lq + i{g}_{i}) * p.lk;
    var most{g}_{i} = MASKED;
    var sum{g}_{i} = 0.0;
    #repeat c 0..TV
    var o{g}_{i}_{c} = vec4f();
    #end
    #end
    #end
    #repeat c 0..TV
    let at{c} = (lane % words + words * {c}u) * 4u;
    let c{c} = min(at{c}, (p.width - 1u) / 4u * 4u);
    #end

    for (var begin = 0u; begin < p.lk; begin += BK) {
        #repeat j 0..TK
        let j{j} = begin + lane + 8u * {j}u;
        let k{j} = k_base + min(j{j}, p.lk - 1u) * p.k_row;
        #repeat g 0..TG
        #repeat i 0..8
        var s{g}_{i}_{j} = 0.0;
        #end
        #end
        #end
        for (var c = 0u; c < p.width; c += 4u) {
            #repeat j 0..TK
            let b{j} = key(k{j} + c, p.width - c);
            #end
            #repeat g 0..TG
            let a{g} = query(q{g} + c, p.width - c);
            #repeat i 0..8
            let a{g}_{i} = subgroupShuffle(a{g}, {i}u);
            #repeat j 0..TK
            s{g}_{i}_{j} = dot4(a{g}_{i}, b{j}, s{g}_{i}_{j});
            #end
            #end
            #end
        }
        #repeat g 0..TG
        #repeat i 0..8
        var block_most{g}_{i} = most{g}_{i};
        #repeat j 0..TK
        s{g}_{i}_{j} = select(s{g}_{i}_{j} * p.scale, MASKED, masked(i{g}_{i}, j{j}, keys));
        block_most{g}_{i} = max(block_most{g}_{i}, s{g}_{i}_{j});
        #end
        #end
        #end
        #repeat j 0..TK
        if (WEIGHTS && j{j} < p.lk) {
            #repeat g 0..TG
            #repeat i 0..8
            weights[w{g}_{i} + j{j}] = s{g}_{i}_{j};
            #end
            #end
        }
        #end
        #repeat g 0..TG
        #repeat i 0..8
        block_most{g}_{i} = max_of_8(block_most{g}_{i});
        let fade{g}_{i} = exp(most{g}_{i} - block_most{g}_{i});
        most{g}_{i} = block_most{g}_{i};
        sum{g}_{i} *= fade{g}_{i};
        #repeat j 0..TK
        s{g}_{i}_{j} = select(0.0, exponential(s{g}_{i}_{j} - most{g}_{i}), j{j} < p.lk);
        sum{g}_{i} += s{g}_{i}_{j};
        #end
        #repeat c 0..TV
        o{g}_{i}_{c} *= fade{g}_{i};
        #end
        #end
        #end
        for (var step = 0u; VALUES && step < words; step++) {
            let holder = step * share + lane / words;
            #repeat j 0..TK
            let v{j} = v_base + min(begin + 8u * {j}u + holder, p.lk - 1u) * p.v_row;
            #repeat c 0..TV
            let v{j}_{c} = value(v{j} + c{c}, p.width - c{c});
            #end
            #repeat g 0..TG
            #repeat i 0..8
            let p{g}_{i}_{j} = vec4f(subgroupShuffle(s{g}_{i}_{j}, holder));
            #repeat c 0..TV
            o{g}_{i}_{c} = fma(p{g}_{i}_{j}, v{j}_{c}, o{g}_{i}_{c});
            #end
            #end
            #end
            #end
        }
    }

    // Lanes that hold the same words store different rows.
    #repeat g 0..TG
    #repeat c 0..TV
    var mine{g}_{c} = vec4f();
    #end
    #repeat i 0..8
    sum{g}_{i} = 1.0 / sum_of_8(sum{g}_{i});
    #repeat c 0..TV
    o{g}_{i}_{c} = sum_over_keys(o{g}_{i}_{c}, words) * sum{g}_{i};
    mine{g}_{c} = select(mine{g}_{c}, o{g}_{i}_{c}, {i}u % share == lane / words);
    #end
    if (VALUES && {i}u % share == share - 1u) {
        let row = first + 8u * {g}u + {i}u + 1u - share + lane / words;
        let y_base = ((image * p.lq + row) * p.heads + head) * p.width;
        #repeat c 0..TV
        if (row < p.lq && at{c} < p.width) {
            put(y_base + at{c}, p.width - at{c}, mine{g}_{c});
        }
        #end
    }
    #end
    #end
    // Each lane finishes the scores it wrote itself; it reads all before it writes, since rows may be one.
    for (var j = lane; WEIGHTS && j < p.lk; j += 8u) {
        #repeat g 0..TG
        #repeat i 0..8
        let s{g}_{i} = weights[w{g}_{i} + j];
        #end
        #end
        #repeat g 0..TG
        #repeat i 0..8
        weights[w{g}_{i} + j] = exp(s{g}_{i} - most{g}_{i}) * sum{g}_{i};
        #end
        #end
    }
}
