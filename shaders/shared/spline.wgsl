// The place of a point before it is clamped. The importing kernel has control, matrix and their sizes in its parameters.
fn source(point: u32) -> vec2f {
    let row = point % p.points * p.controls;
    let first = point / p.points * p.controls;
    var sum = vec2f();
    for (var k = 0u; k < p.controls; k++) { sum += matrix[row + k] * control[first + k]; }
    return sum;
}
