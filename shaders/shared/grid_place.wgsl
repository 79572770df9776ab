// Where a grid point in [-1, 1] lies, as (column, row) in pixels: align_corners = False. The importing kernel's parameters have
// height and width.
fn place(g: vec2f) -> vec2f {
    return ((g + 1.0) * vec2f(f32(p.width), f32(p.height)) - 1.0) * 0.5;
}
