// Words of four channels of a head in `v` and `y`, which the importing kernel binds. ALIGNED says that every head begins and
// ends at a word; otherwise a word is put together from two neighbors.

override ALIGNED: bool = true;

// The four floats from place `shift` of two neighboring words; those from place `count` on become 0.
fn four(a: vec4f, b: vec4f, shift: u32, count: u32) -> vec4f {
    var x = a;
    if (shift == 1u) { x = vec4f(a.yzw, b.x); }
    if (shift == 2u) { x = vec4f(a.zw, b.xy); }
    if (shift == 3u) { x = vec4f(a.w, b.xyz); }
    return select(vec4f(), x, vec4u(0u, 1u, 2u, 3u) < vec4u(count));
}

// Four channels from float `at`, of which `count` belong to the head.
fn value(at: u32, count: u32) -> vec4f {
    if (ALIGNED) { return v[at / 4u]; }
    return four(v[at / 4u], v[min(at / 4u + 1u, arrayLength(&v) - 1u)], at % 4u, count);
}

// Stores the channels among four from float `at`, of which `count` belong to the head.
fn put(at: u32, count: u32, x: vec4f) {
    y[at] = x.x;
    if (ALIGNED || count > 1u) { y[at + 1u] = x.y; }
    if (ALIGNED || count > 2u) { y[at + 2u] = x.z; }
    if (ALIGNED || count > 3u) { y[at + 3u] = x.w; }
}
