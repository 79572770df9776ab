//! formula: v ← v·x + y, many times, in 4·VECTORS independent chains of each invocation
//! bindings: -> y [1], written only if the result is one that cannot occur
//! grid: one invocation after the other, 256 to a workgroup
//! cost: 512·VECTORS flops a round and invocation, no memory
// indices: i a vec4 that is multiplied, j a round.

const VECTORS: u32 = 3u; // tile

struct Params { rounds: u32, x: f32, y: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lid: u32) {
    let vx = vec4f(p.x);
    let vy = vec4f(p.y);
    #repeat i 0..VECTORS
    var v{i} = vec4f(f32(lid + {i}u));
    #end
    for (var round = 0u; round < p.rounds; round++) {
        #repeat j 0..64
        #repeat i 0..VECTORS
        v{i} = fma(v{i}, vx, vy);
        #end
        #end
    }
    // The chains converge to y / (1 − x) from above zero; the compiler cannot know.
    var all = vec4f();
    #repeat i 0..VECTORS
    all += v{i};
    #end
    let sum = dot(all, vec4f(1.0));
    if (sum < 0.0) { y[0] = sum; }
}
