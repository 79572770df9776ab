// The index of a workgroup in a grid that was folded into x and y; compare it with its bound, since the fold rounds up.
fn folded(wid: vec3u, groups: vec3u) -> u32 {
    return wid.x + wid.y * groups.x;
}
