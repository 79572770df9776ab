// The element of a kernel that moves or maps data, one for each invocation.
#import four
#import index

override WG: u32 = 64u;

// The element of an invocation; compare it with the number of elements.
fn element(wid: vec3u, groups: vec3u, lid: u32) -> u32 {
    return folded(wid, groups) * WG + lid;
}
