// The pixels that bilinear sampling reads. The importing kernel has x, and its parameters have height, width and channels.
#import grid_place

// x at a pixel, or zero outside. The index is clamped as an integer, so that no coordinate can point outside the binding.
fn pixel(image: u32, row: f32, column: f32, c: u32) -> Element {
    let r = clamp(i32(row), 0, i32(p.height) - 1);
    let k = clamp(i32(column), 0, i32(p.width) - 1);
    let inside = row == f32(r) && column == f32(k);
    let at = ((image * p.height + u32(r)) * p.width + u32(k)) * p.channels + c;
    return select(Element(), x[at], inside);
}
