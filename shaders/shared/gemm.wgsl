// The face of every matrix kernel: y[m, n] = act(scale[n]·Σ a[m, k]·b[k, n] + shift[n] + residual[m, n]).
//
// Row m of A is a window of an image: `segments` runs of `segment` numbers, one run for each row of the window. In a
// channels-last image a run (kx, ci) is contiguous, and so are its rows of B; a row of a plain matrix is one run.
// The importing kernel has `a`, `b`, `residual` and `y` at bindings 1, 2, 5 and 7, in the element type it likes.
#import epilogue

struct Params {
    rows: u32,
    cols: u32,
    segments: u32,
    segment: u32,
    b_stride: u32,
    b_first: u32,
    height: u32,
    run: u32,
    step: u32,
    out_height: u32,
    out_width: u32,
    stride_y: u32,
    pad_y: u32,
    pad_x: u32,
    a_batch: u32,
    b_batch: u32,
    splits: u32,
    epilogue: u32,
}

@group(0) @binding(0) var<uniform> p: Params;

// Where row m of A begins: index of its first number, row of the image, and offset inside that row of `run` numbers.
// All may be negative in the padding.
struct Window { base: i32, y: i32, x: i32 }

fn window(m: u32) -> Window {
    let row = min(m, p.rows - 1u);
    let line = row / p.out_width;
    let image = line / p.out_height;
    let top = i32((line - image * p.out_height) * p.stride_y) - i32(p.pad_y);
    let left = i32((row - line * p.out_width) * p.step) - i32(p.pad_x);
    return Window((i32(image * p.height) + top) * i32(p.run) + left, top, left);
}

// Where the result of a row and column is stored that would be number `at`: there; or, where SHUFFLES, columns are four pixels of
// a quarter of the channels each, and these go to an image of twice the size. It is code, since adapters on the CPU walk
// through branches that are not taken.
override SHUFFLES: bool = false;

fn placed(at: u32, col: u32) -> u32 {
    if (!SHUFFLES) { return at; }
    let channels = p.cols / 4u;
    let row = (at - col) / p.cols;
    let line = row / p.out_width;
    let pixel = col / channels;
    let left = 2u * (row - line * p.out_width) + pixel % 2u;
    return ((2u * line + pixel / 2u) * 2u * p.out_width + left) * channels + col % channels;
}
