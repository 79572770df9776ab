//! formula: weights = soft-max over keys of scale·q·kᵀ, masked; y = weights·v if VALUES; per image and head
//! bindings: q [N|1, Lq, ·], k, v [N|1, Lk, ·], lengths u32 [N] -> y [N, Lq, H·D], weights [N, H, Lq, Lk] if WEIGHTS
//! grid: one workgroup per ROWS·TQ queries of a head, folded into x and y; any Lq and Lk, any D (≤ 4·COLS·TV if VALUES)
//! cost: reads q once per COLS·TK keys, k and v once per ROWS·TQ queries; 4·Lq·Lk·D flops a head, one exponential a pair
// indices: i a query of the invocation, j one of its keys, c a vec4 of its channels: s{i}_{j} is a
// score, o{i}_{c} an output.

#import attention
#import index

// Invocations along keys (then channels) and along queries; queries, keys and words of channels of one invocation.
const COLS: u32 = 16u; // tile
const ROWS: u32 = 4u; // tile
const TQ: u32 = 4u; // tile
const TK: u32 = 4u; // tile
const TV: u32 = 1u; // tile
const BK: u32 = COLS * TK;

var<workgroup> sh_row: array<f32, ROWS * TQ * COLS>;
var<workgroup> sh_p: array<f32, ROWS * TQ * BK>;

@compute @workgroup_size(ROWS * COLS)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let blocks = (p.lq + ROWS * TQ - 1u) / (ROWS * TQ);
    let group = folded(wid, groups);
    if (group >= blocks * p.heads * p.images) { return; }
    let head = (group / blocks) % p.heads;
    let image = group / blocks / p.heads;
    let col = lid % COLS;
    let row = (lid / COLS) * TQ;
    let first = (group % blocks) * ROWS * TQ + row;
    var keys = p.lk;
    if (has_lengths(p.mask)) { keys = min(keys, lengths[image]); }

    // Rows beyond the last repeat it: they only cost time and are never stored.
    let q_base = image * p.q_image + p.q_first + head * p.width;
    let k_base = image * p.k_image + p.k_first + head * p.width;
    let v_base = image * p.v_image + p.v_first + head * p.width;
    #repeat i 0..TQ
    let q{i} = q_base + min(first + {i}u, p.lq - 1u) * p.q_row;
    let w{i} = ((image * p.heads + head) * p.lq + first + {i}u) * p.lk;
    var most{i} = MASKED;
    var sum{i} = 0.0;
    #end
    #repeat c 0..TV
    let c{c} = min((col + COLS * {c}u) * 4u, (p.width - 1u) / 4u * 4u);
    #repeat i 0..TQ
    var o{i}_{c} = vec4f();
    #end
    #end

    for (var begin = 0u; begin < p.lk; begin += BK) {
        #repeat j 0..TK
        let j{j} = begin + col + COLS * {j}u;
        let k{j} = k_base + min(j{j}, p.lk - 1u) * p.k_row;
        #repeat i 0..TQ
        var s{i}_{j} = 0.0;
        #end
        #end
        for (var c = 0u; c < p.width; c += 4u) {
            #repeat i 0..TQ
            let a{i} = query(q{i} + c, p.width - c);
            #end
            #repeat j 0..TK
            let b{j} = key(k{j} + c, p.width - c);
            #repeat i 0..TQ
            s{i}_{j} = dot4(a{i}, b{j}, s{i}_{j});
            #end
            #end
        }
        #repeat i 0..TQ
        var block_most{i} = most{i};
        #repeat j 0..TK
        s{i}_{j} = select(s{i}_{j} * p.scale, MASKED, masked(first + {i}u, j{j}, keys));
        block_most{i} = max(block_most{i}, s{i}_{j});
        if (WEIGHTS && first + {i}u < p.lq && j{j} < p.lk) { weights[w{i} + j{j}] = s{i}_{j}; }
        #end
        sh_row[(row + {i}u) * COLS + col] = block_most{i};
        #end
        workgroupBarrier();
        #repeat i 0..TQ
        for (var c = 0u; c < COLS; c++) {
            block_most{i} = max(block_most{i}, sh_row[(row + {i}u) * COLS + c]);
        }
        let fade{i} = exp(most{i} - block_most{i});
        most{i} = block_most{i};
        sum{i} *= fade{i};
        #repeat j 0..TK
        let p{i}_{j} = select(0.0, exponential(s{i}_{j} - most{i}), j{j} < p.lk);
        sum{i} += p{i}_{j};
        sh_p[(row + {i}u) * BK + COLS * {j}u + col] = p{i}_{j};
        #end
        #repeat c 0..TV
        o{i}_{c} *= fade{i};
        #end
        #end
        workgroupBarrier();
        if (VALUES) {
            let used = min(BK, p.lk - begin);
            var v_at = v_base + begin * p.v_row;
            for (var j = 0u; j < used; j++) {
                #repeat c 0..TV
                let v{c} = value(v_at + c{c}, p.width - c{c});
                #end
                #repeat i 0..TQ
                let p{i} = vec4f(sh_p[(row + {i}u) * BK + j]);
                #repeat c 0..TV
                o{i}_{c} = fma(p{i}, v{c}, o{i}_{c});
                #end
                #end
                v_at += p.v_row;
            }
        }
    }

    #repeat i 0..TQ
    sh_row[(row + {i}u) * COLS + col] = sum{i};
    #end
    workgroupBarrier();
    #repeat i 0..TQ
    sum{i} = 0.0;
    for (var c = 0u; c < COLS; c++) { sum{i} += sh_row[(row + {i}u) * COLS + c]; }
    if (first + {i}u < p.lq) {
        if (VALUES) {
            let y_base = ((image * p.lq + first + {i}u) * p.heads + head) * p.width;
            #repeat c 0..TV
            let at{c} = (col + COLS * {c}u) * 4u;
            if (at{c} < p.width) { put(y_base + at{c}, p.width - at{c}, o{i}_{c} / sum{i}); }
            #end
        }
        // Each invocation finishes the scores it wrote itself.
        if (WEIGHTS) {
            for (var j = col; j < p.lk; j += COLS) {
                weights[w{i} + j] = exp(weights[w{i} + j] - most{i}) / sum{i};
            }
        }
    }
    #end
}
