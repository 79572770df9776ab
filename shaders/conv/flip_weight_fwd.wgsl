//! formula: y[t, o, c] = x[s(t), c, o], s reversing all taps; of a weight in Winograd's domain (TRANSFORMED) as (3, 1, 2, 0) along both axes
//! bindings: x [T, Cin, Cout] -> y [T, Cout, Cin]
//! grid: one invocation per element, or block of 4 by 4, of y, folded into x and y; exact for any size, and in blocks for multiples of 4
//! cost: reads x and writes y once; no flops
// indices: r a row, k a column of a 4×4 block, which is transposed.

#import element

// Channels in units of an element.
struct Params { n: u32, taps: u32, inputs: u32, outputs: u32 }

override TRANSFORMED: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

// The tap that lies reversed at another's place. Both axes reversed are all taps reversed; in Winograd's domain the first and the
// last row of G are each other reversed, and the two between are their own reverse.
fn reversed(tap: u32) -> u32 {
    if (!TRANSFORMED) { return p.taps - 1u - tap; }
    return ends_exchanged(tap / 4u) * 4u + ends_exchanged(tap % 4u);
}

fn ends_exchanged(i: u32) -> u32 {
    return select(i, 3u - i, i % 3u == 0u);
}

@compute @workgroup_size(WG)
fn main(
    @builtin(workgroup_id) wid: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lid: u32,
) {
    let i = element(wid, groups, lid);
    if (i >= p.n) { return; }
    let line = quotient(i, p.inputs);
    let c = i - line * p.inputs;
    let tap = quotient(line, p.outputs);
    let o = line - tap * p.outputs;
#repeat once VEC..1
    y[i] = x[(reversed(tap) * p.inputs + c) * p.outputs + o];
#end
#repeat once 0..VEC
    #repeat r 0..4
    let x{r} = x[((reversed(tap) * p.inputs + c) * 4u + {r}u) * p.outputs + o];
    #end
    #repeat k 0..4
    y[(line * 4u + {k}u) * p.inputs + c] = vec4f(x0[{k}], x1[{k}], x2[{k}], x3[{k}]);
    #end
#end
}
