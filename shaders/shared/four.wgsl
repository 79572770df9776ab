// What a kernel moves, maps or reduces at once: four floats where every row allows it (tile constant VEC), else one.
const VEC: u32 = 0u; // tile
#repeat once VEC..1
alias Element = f32;

// The sum of an element's floats.
fn together(e: Element) -> f32 {
    return e;
}
#end
#repeat once 0..VEC
alias Element = vec4f;

fn together(e: Element) -> f32 {
    return (e.x + e.y) + (e.z + e.w);
}
#end
