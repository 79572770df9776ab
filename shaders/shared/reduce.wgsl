// Reductions over a workgroup of WG invocations, a power of two. Every invocation gets the result.
// The importing kernel declares `override WG: u32` and has one-dimensional workgroups.

var<workgroup> sh_reduce: array<f32, WG>;

fn workgroup_sum(lid: u32, value: f32) -> f32 {
    sh_reduce[lid] = value;
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lid < half) { sh_reduce[lid] += sh_reduce[lid + half]; }
    }
    workgroupBarrier();
    let total = sh_reduce[0];
    workgroupBarrier();
    return total;
}

fn workgroup_max(lid: u32, value: f32) -> f32 {
    sh_reduce[lid] = value;
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lid < half) { sh_reduce[lid] = max(sh_reduce[lid], sh_reduce[lid + half]); }
    }
    workgroupBarrier();
    let most = sh_reduce[0];
    workgroupBarrier();
    return most;
}
