// The index of a workgroup in a grid that was folded into x and y; compare it with its bound, since the fold rounds up.
fn folded(wid: vec3u, groups: vec3u) -> u32 {
    return wid.x + wid.y * groups.x;
}

// ⌊a / d⌋ for a and d below 2³⁰: a float's quotient, the quotient of what that leaves, and a correction by one. Some adapters
// divide floats by the dozen and integers one at a time.
fn quotient(a: u32, d: u32) -> u32 {
    let by = 1.0 / f32(i32(d));
    let first = i32(f32(i32(a)) * by);
    let left = i32(a) - first * i32(d);
    let second = first + i32(floor(f32(left) * by));
    let rest = i32(a) - second * i32(d);
    return u32(second + select(0, 1, rest >= i32(d)) - select(0, 1, rest < 0));
}
