// The TAPS pixels that an output o reads on an axis, from `whole` − FIRST on, and their weights: 1 nearest, 2 linear, 4 cubic.
// Its source position is the fraction (a·o + b)/d, whose whole part `quotient` finds exactly.
#import index
const TAPS: u32 = 1u; // tile
const FIRST: i32 = i32(TAPS == 4u);

// The pixel before a source position, and how far behind it the position lies, in [0, 1).
struct Place { whole: i32, part: f32 }

fn place(o: u32, a: i32, b: i32, d: i32) -> Place {
    // b ≥ −d: adding d keeps the numerator of the division positive.
    let numerator = a * i32(o) + b + d;
    let whole = i32(quotient(u32(numerator), u32(d)));
    return Place(whole - 1, f32(numerator - whole * d) / f32(d));
}

// Keys' cubic with a = −0.75 at the distances t + 1, t, 1 − t and 2 − t.
fn cubic(t: f32) -> vec4f {
    let s = 1.0 - t;
    return vec4f(
        -0.75 * t * s * s,
        (1.25 * t - 2.25) * t * t + 1.0,
        (1.25 * s - 2.25) * s * s + 1.0,
        -0.75 * s * t * t,
    );
}

fn weight(tap: u32, t: f32) -> f32 {
    if (TAPS == 1u) { return 1.0; }
    if (TAPS == 2u) { return select(1.0 - t, t, tap == 1u); }
    return cubic(t)[tap];
}
