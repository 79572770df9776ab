// What kernels share that turn an image x into sixteen numbers v for each of its tiles of 2×2 pixels. A tile's number of each
// of the sixteen planes is `p.n` fours apart.
#import tile_place

const WORDS: u32 = 0u; // tile
#import quad

struct Params { n: u32, height: u32, width: u32, fours: u32, down: u32, across: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Quad>;
@group(0) @binding(2) var<storage, read_write> v: array<Quad>;

// Four channels of a pixel; zero outside the image.
fn pixel(image: u32, row: u32, column: u32, four: u32) -> vec4f {
    // What lies before the image has wrapped round.
    let inside = (row < p.height) & (column < p.width);
    let at = ((image * p.height + row) * p.width + column) * p.fours + four;
    return select(vec4f(), open(x[select(0u, at, inside)]), inside);
}
