// Reductions down the columns of a workgroup seen as rows of LANES invocations. Every invocation gets its column's result,
// summed in the order of the rows. The importing kernel declares `override LANES: u32` and `override WG: u32`.

var<workgroup> sh_column: array<f32, WG>;

fn column_sum(lid: u32, value: f32) -> f32 {
    if (WG == LANES) { return value; }
    sh_column[lid] = value;
    workgroupBarrier();
    var total = 0.0;
    for (var i = lid % LANES; i < WG; i += LANES) { total += sh_column[i]; }
    workgroupBarrier();
    return total;
}

fn column_max(lid: u32, value: f32) -> f32 {
    if (WG == LANES) { return value; }
    sh_column[lid] = value;
    workgroupBarrier();
    var most = value;
    for (var i = lid % LANES; i < WG; i += LANES) { most = max(most, sh_column[i]); }
    workgroupBarrier();
    return most;
}
