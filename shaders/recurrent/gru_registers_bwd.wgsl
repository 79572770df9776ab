//! formula: back through h' = n + z ⊙ (h − n): da of a = W h + b is (dr, dz, r ⊙ dn), dx is (dr, dz, dn), dh = z ⊙ dh' + Wᵀ da
//! bindings: x, a [N, H, W, 3U] as r z n, before [N, H, W, U], weights transposed [3U, U], dy [N, H, W, 2U] -> dx, da [N, H, W, 3U]
//! grid: one subgroup per RUN sequences of one direction, folded into x and y; exact for U = PER·LANES
//! cost: reads the inputs and writes dx and da once, the weights once per workgroup; 6·U² flops a step
// indices: g a gate, k the lane that broadcasts and v its unit, u a unit of the lane, i a weight
// that moves on.

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
    direction: u32,
}

// Unit u·LANES + l lives in lane l: what leads to it stays in registers, the gates' gradients are handed round by broadcasts.
const PER: u32 = 4u; // tile
const LANES: u32 = 8u; // tile
// Weights of a lane but those of the last unit: 3·(UNITS − 1)·PER.
const SHIFTED: u32 = 372u; // tile
const UNITS: u32 = PER * LANES;

override WG: u32 = 8u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> before: array<f32>;
@group(0) @binding(4) var<storage, read> transposed: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;
@group(0) @binding(7) var<storage, read_write> da: array<f32>;

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(subgroup_invocation_id) id: u32,
) {
    let block = folded(wid, groups);
    if (block * p.run >= p.sequences) { return; }
    let lane = min(id, LANES - 1u);
#repeat u 0..PER
    let unit{u} = {u}u * LANES + lane;
#end
    // Weight (k, g, u) at (k·3 + g)·PER + u: from gate g of unit k to the lane's unit u. They enter at the end and shift through:
    // every index is a constant, so the array stays in registers, and the code stays short.
    var w: array<f32, 3 * UNITS * PER>;
    for (var k = 0u; k < UNITS; k++) {
#repeat i 0..SHIFTED
        w[{i}] = w[{i} + 3 * PER];
#end
#repeat g 0..3
#repeat u 0..PER
        w[(3 * (UNITS - 1) + {g}) * PER + {u}u] = transposed[({g}u * UNITS + k) * UNITS + unit{u}];
#end
#end
    }
    let last = min(p.sequences, (block + 1u) * p.run);
    for (var s = block * p.run; s < last; s++) {
        var pixel = s / p.across * p.image + s % p.across * p.apart;
        var stride = p.step;
        if (p.direction == 0u) {
            pixel += (p.steps - 1u) * p.step;
            stride = 0u - p.step;
        }
        // The gradient of the state that a step leaves behind.
#repeat u 0..PER
        var dh{u} = 0.0;
#end
        for (var t = 0u; t < p.steps; t++) {
#repeat u 0..PER
            let at{u} = pixel * 3u * UNITS + unit{u};
            let a_n{u} = a[at{u} + 2u * UNITS];
            let r{u} = sigmoid(x[at{u}] + a[at{u}]);
            let z{u} = sigmoid(x[at{u} + UNITS] + a[at{u} + UNITS]);
            let n{u} = tanh_safe(x[at{u} + 2u * UNITS] + r{u} * a_n{u});
            let dh_{u} = dh{u} + dy[(pixel * 2u + p.direction) * UNITS + unit{u}];
            let dx_n{u} = dh_{u} * (1.0 - z{u}) * (1.0 - n{u} * n{u});
            let d0_{u} = dx_n{u} * a_n{u} * r{u} * (1.0 - r{u});
            let d1_{u} = dh_{u} * (before[pixel * UNITS + unit{u}] - n{u}) * z{u} * (1.0 - z{u});
            let d2_{u} = r{u} * dx_n{u};
            if (id < LANES) {
                dx[at{u}] = d0_{u};
                dx[at{u} + UNITS] = d1_{u};
                dx[at{u} + 2u * UNITS] = dx_n{u};
                da[at{u}] = d0_{u};
                da[at{u} + UNITS] = d1_{u};
                da[at{u} + 2u * UNITS] = d2_{u};
            }
            // A sum for each gate: three short chains rather than a long one.
            var sum0_{u} = z{u} * dh_{u};
            var sum1_{u} = 0.0;
            var sum2_{u} = 0.0;
#end
#repeat v 0..PER
#repeat k 0..LANES
#repeat g 0..3
            let s{g}_{v}_{k} = subgroupBroadcast(d{g}_{v}, {k}u);
#repeat u 0..PER
            sum{g}_{u} = fma(s{g}_{v}_{k}, w[(({v}u * LANES + {k}u) * 3u + {g}u) * PER + {u}u], sum{g}_{u});
#end
#end
#end
#end
#repeat u 0..PER
            dh{u} = sum0_{u} + (sum1_{u} + sum2_{u});
#end
            pixel += stride;
        }
    }
}
