// Reductions down the columns of a workgroup seen as rows of LANES invocations. Every invocation gets its column's result,
// summed in the order of the rows. A column is one of elements. The importing kernel declares `override LANES: u32` and
// `override WG: u32`.
#import four

var<workgroup> sh_column: array<Element, WG>;

fn column_sum(lid: u32, value: Element) -> Element {
    if (WG == LANES) { return value; }
    sh_column[lid] = value;
    workgroupBarrier();
    var total = Element(0.0);
    for (var i = lid % LANES; i < WG; i += LANES) { total += sh_column[i]; }
    workgroupBarrier();
    return total;
}

fn column_max(lid: u32, value: Element) -> Element {
    if (WG == LANES) { return value; }
    sh_column[lid] = value;
    workgroupBarrier();
    var most = value;
    for (var i = lid % LANES; i < WG; i += LANES) { most = max(most, sh_column[i]); }
    workgroupBarrier();
    return most;
}
