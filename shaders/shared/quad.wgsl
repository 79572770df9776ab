// Four numbers fetched and stored at once. Where a load costs by its components rather than its bytes (adapters that compute
// on the CPU), two words of 64 bits are cheaper than four floats. The importing kernel declares the tile constant WORDS.
#repeat once 0..WORDS
alias Quad = vec2<u64>;
fn half_pair(w: u64) -> vec2f {
    return vec2f(bitcast<f32>(u32(w)), bitcast<f32>(u32(w >> 32u)));
}
fn open(q: Quad) -> vec4f {
    return vec4f(half_pair(q.x), half_pair(q.y));
}
fn word(low: f32, high: f32) -> u64 {
    return (u64(bitcast<u32>(high)) << 32u) | u64(bitcast<u32>(low));
}
fn seal(v: vec4f) -> Quad {
    return Quad(word(v.x, v.y), word(v.z, v.w));
}
#end
#repeat once WORDS..1
alias Quad = vec4f;
fn open(q: Quad) -> vec4f {
    return q;
}
fn seal(v: vec4f) -> Quad {
    return v;
}
#end
