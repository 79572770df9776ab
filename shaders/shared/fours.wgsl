// How matrix kernels move A, B, residual and result: in fours where every offset is a multiple of four, else one by one.
// The importing kernel imports `gemm` and declares the tile constant VECS: fours of columns for each lane.
const A_FOURS: u32 = 1u; // tile
const B_FOURS: u32 = 1u; // tile
const WORDS: u32 = 0u; // tile
// Whether two fours of B are fetched as one vector of words.
const EIGHTS: u32 = 0u; // tile
// Whether A and B, both in fours, are fetched through images, whose rows are IMAGE_WIDTH fours.
const IMAGES: u32 = 0u; // tile
const IMAGE_WIDTH: u32 = 1024u; // tile
#import quad

#repeat once 0..IMAGES
@group(0) @binding(1) var a: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var b: texture_storage_2d<rgba32float, read>;

fn four_a(at: u32) -> vec4f {
    return textureLoad(a, vec2u(at % IMAGE_WIDTH, at / IMAGE_WIDTH));
}

fn four_b(at: u32) -> vec4f {
    return textureLoad(b, vec2u(at % IMAGE_WIDTH, at / IMAGE_WIDTH));
}
#end

#repeat once 0..A_FOURS
#repeat once IMAGES..1
@group(0) @binding(1) var<storage, read> a: array<Quad>;

fn four_a(at: u32) -> vec4f {
    return open(a[at]);
}
#end

// Four numbers of A at offset j of a row's run; zero outside the image. No short circuits: branches by the dozen choke some
// drivers' compilers.
fn fetch_a(base: i32, x: u32, j: u32, inside: bool) -> vec4f {
    let ok = inside & (x + j < p.run);
    return select(vec4f(), four_a(select(0u, (u32(base) + j) / 4u, ok)), ok);
}
#end
#repeat once A_FOURS..1
@group(0) @binding(1) var<storage, read> a: array<f32>;

fn one_a(base: i32, x: u32, j: u32, inside: bool) -> f32 {
    let ok = inside & (x + j < p.run) & (j < p.segment);
    return select(0.0, a[select(0u, u32(base) + j, ok)], ok);
}

fn fetch_a(base: i32, x: u32, j: u32, inside: bool) -> vec4f {
    return vec4f(
        one_a(base, x, j, inside),
        one_a(base, x, j + 1u, inside),
        one_a(base, x, j + 2u, inside),
        one_a(base, x, j + 3u, inside));
}
#end

#repeat once 0..B_FOURS
#repeat once 0..EIGHTS
@group(0) @binding(2) var<storage, read> b: array<vec4<u64>>;

fn fetch_b(at: u32, col: u32) -> array<vec4f, VECS> {
    let w = b[(at + min(col, p.cols - 8u)) / 8u];
    return array<vec4f, VECS>(open(w.xy), open(w.zw));
}
#end
#repeat once EIGHTS..1
#repeat once IMAGES..1
@group(0) @binding(2) var<storage, read> b: array<Quad>;

fn four_b(at: u32) -> vec4f {
    return open(b[at]);
}
#end

fn fetch_b(at: u32, col: u32) -> array<vec4f, VECS> {
    var four: array<vec4f, VECS>;
    #repeat v 0..VECS
    four[{v}] = four_b((at + min(col + {v}u * 4u, p.cols - 4u)) / 4u);
    #end
    return four;
}
#end
@group(0) @binding(5) var<storage, read> residual: array<Quad>;
@group(0) @binding(7) var<storage, read_write> y: array<Quad>;

fn store(v: vec4f, plane: u32, at: u32, col: u32, below: vec4f) {
    var sum = v;
    if ((p.epilogue & HAS_RESIDUAL) != 0u) { sum += open(residual[at / 4u]); }
    y[(plane + placed(at, col)) / 4u] = seal(curve(sum, below));
}
#end
#repeat once B_FOURS..1
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read> residual: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

fn one_b(at: u32, col: u32) -> f32 {
    return b[at + min(col, p.cols - 1u)];
}

fn fetch_b(at: u32, col: u32) -> array<vec4f, VECS> {
    var four: array<vec4f, VECS>;
    #repeat v 0..VECS
    four[{v}] = vec4f(
        one_b(at, col + {v}u * 4u),
        one_b(at, col + {v}u * 4u + 1u),
        one_b(at, col + {v}u * 4u + 2u),
        one_b(at, col + {v}u * 4u + 3u));
    #end
    return four;
}

fn store(v: vec4f, plane: u32, at: u32, col: u32, below: vec4f) {
    for (var c = 0u; c < min(4u, p.cols - col); c++) {
        var sum = v;
        if ((p.epilogue & HAS_RESIDUAL) != 0u) { sum[c] += residual[at + c]; }
        y[plane + placed(at + c, col + c)] = curve(sum, below)[c];
    }
}
#end
