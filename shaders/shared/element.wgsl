// The element of a kernel that moves or maps data: four floats where every row allows it (tile constant VEC), else one.
#import index

const VEC: u32 = 0u; // tile
#repeat i VEC..1
alias Element = f32;
#end
#repeat i 0..VEC
alias Element = vec4f;
#end

override WG: u32 = 64u;

// The element of an invocation; compare it with the number of elements.
fn element(wid: vec3u, groups: vec3u, lid: u32) -> u32 {
    return folded(wid, groups) * WG + lid;
}
