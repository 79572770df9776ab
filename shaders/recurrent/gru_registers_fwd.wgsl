//! formula: r = σ(x_r + W_r h + b_r), z = σ(x_z + W_z h + b_z), n = tanh(x_n + r ⊙ (W_n h + b_n)), h' = n + z ⊙ (h − n)
//! bindings: for each direction 0, 1: input [N, H, W, 3U or more] as r z n, weight [U, 3U], bias [3U] -> y [N, H, W, 2U]
//! grid: one subgroup per RUN sequences of a direction, folded into x and y; exact for U = PER·LANES
//! cost: reads the inputs and writes y once, the weights once per workgroup; 6·U² flops a step
// indices: d a direction, k the lane that broadcasts and v its unit, u a unit of the lane, i a
// weight that moves on.

#import activation
#import index

// Step t of sequence s is pixel (s / across)·image + (s % across)·apart + t·step.
struct Params {
    sequences: u32,
    across: u32,
    image: u32,
    apart: u32,
    step: u32,
    steps: u32,
    run: u32,
    // Numbers of a pixel in the inputs, and the first of each direction there.
    row: u32,
    first_0: u32,
    first_1: u32,
}

// Unit u·LANES + l lives in lane l: its weights stay in registers, its state is broadcast.
const PER: u32 = 4u; // tile
const LANES: u32 = 8u; // tile
// Weights of a lane but those of the last unit: 3·(UNITS − 1)·PER.
const SHIFTED: u32 = 372u; // tile
const UNITS: u32 = PER * LANES;

override WG: u32 = 8u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> input_0: array<f32>;
@group(0) @binding(2) var<storage, read> weight_0: array<f32>;
@group(0) @binding(3) var<storage, read> bias_0: array<f32>;
@group(0) @binding(4) var<storage, read> input_1: array<f32>;
@group(0) @binding(5) var<storage, read> weight_1: array<f32>;
@group(0) @binding(6) var<storage, read> bias_1: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

#repeat d 0..2
fn walk_{d}(block: u32, id: u32) {
    let lane = min(id, LANES - 1u);
#repeat u 0..PER
    let r{u} = {u}u * LANES + lane;
    let z{u} = r{u} + UNITS;
    let n{u} = z{u} + UNITS;
    let br{u} = bias_{d}[r{u}];
    let bz{u} = bias_{d}[z{u}];
    let bn{u} = bias_{d}[n{u}];
#end
    // Weight (k, g, u) at (k·3 + g)·PER + u: from unit k to gate g of the lane's unit u. They enter at the end and shift through:
    // every index is a constant, so the array stays in registers, and the code stays short.
    var w: array<f32, 3 * UNITS * PER>;
    for (var k = 0u; k < UNITS; k++) {
#repeat i 0..SHIFTED
        w[{i}] = w[{i} + 3 * PER];
#end
#repeat u 0..PER
        w[3 * (UNITS - 1) * PER + {u}u] = weight_{d}[k * 3 * UNITS + r{u}];
        w[3 * (UNITS - 1) * PER + PER + {u}u] = weight_{d}[k * 3 * UNITS + z{u}];
        w[3 * (UNITS - 1) * PER + 2 * PER + {u}u] = weight_{d}[k * 3 * UNITS + n{u}];
#end
    }
    let last = min(p.sequences, (block + 1u) * p.run);
    for (var s = block * p.run; s < last; s++) {
        var pixel = s / p.across * p.image + s % p.across * p.apart;
        var stride = p.step;
        if ({d}u == 1u) {
            pixel += (p.steps - 1u) * p.step;
            stride = 0u - p.step;
        }
#repeat u 0..PER
        var h{u} = 0.0;
#end
        for (var t = 0u; t < p.steps; t++) {
            let x = pixel * p.row + p.first_{d};
#repeat u 0..PER
            var sr{u} = br{u};
            var sz{u} = bz{u};
            var sn{u} = bn{u};
#end
#repeat v 0..PER
#repeat k 0..LANES
            let h_{v}_{k} = subgroupBroadcast(h{v}, {k}u);
#repeat u 0..PER
            sr{u} = fma(h_{v}_{k}, w[(({v}u * LANES + {k}u) * 3u + 0u) * PER + {u}u], sr{u});
            sz{u} = fma(h_{v}_{k}, w[(({v}u * LANES + {k}u) * 3u + 1u) * PER + {u}u], sz{u});
            sn{u} = fma(h_{v}_{k}, w[(({v}u * LANES + {k}u) * 3u + 2u) * PER + {u}u], sn{u});
#end
#end
#end
            let out = (pixel * 2u + {d}u) * UNITS;
#repeat u 0..PER
            let gr{u} = sigmoid(input_{d}[x + r{u}] + sr{u});
            let gz{u} = sigmoid(input_{d}[x + z{u}] + sz{u});
            let gn{u} = tanh_safe(input_{d}[x + n{u}] + gr{u} * sn{u});
            h{u} = fma(gz{u}, h{u} - gn{u}, gn{u});
            if (id < LANES) { y[out + r{u}] = h{u}; }
#end
            pixel += stride;
        }
    }
}
#end

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(subgroup_invocation_id) id: u32,
) {
    let group = folded(wid, groups);
    let block = group / 2u;
    if (block * p.run >= p.sequences) { return; }
    if (group % 2u == 0u) { walk_0(block, id); } else { walk_1(block, id); }
}
