//! Convolutions in f64, by plain loops.

use crate::shape::Window;
use crate::tensor::Host;

/// Reference in f64.
pub fn oracle(x: &Host, w: &Host, window: Window) -> Host {
    let [n, h, width, c] = x.shape.nhwc("x").expect("an image");
    let out = w.shape.last();
    let (oh, ow) = window.output("oracle", h, width).expect("a window that fits");
    let mut y = Host::zeros([n, oh, ow, out]);
    for (pixel, sums) in y.data.chunks_exact_mut(out).enumerate() {
        let (image, oy, ox) = (pixel / (oh * ow), pixel / ow % oh, pixel % ow);
        for ky in 0..window.kernel.0 {
            for kx in 0..window.kernel.1 {
                let iy = (oy * window.stride.0 + ky).wrapping_sub(window.pad.0);
                let ix = (ox * window.stride.1 + kx).wrapping_sub(window.pad.1);
                if iy >= h || ix >= width {
                    continue;
                }
                for ci in 0..c {
                    let a = x.data[((image * h + iy) * width + ix) * c + ci];
                    let row = &w.data[((ky * window.kernel.1 + kx) * c + ci) * out..][..out];
                    for (v, b) in sums.iter_mut().zip(row) {
                        *v += a * b;
                    }
                }
            }
        }
    }
    y
}

/// A weight with zeros between its taps.
pub fn apart(w: &Host, dilation: (usize, usize)) -> Host {
    let [kh, kw, inputs, outputs] = w.shape.nhwc("w").expect("a weight");
    let (channels, width) = (inputs * outputs, (kw - 1) * dilation.1 + 1);
    let mut y = Host::zeros([(kh - 1) * dilation.0 + 1, width, inputs, outputs]);
    for (tap, values) in w.data.chunks_exact(channels).enumerate() {
        let at = tap / kw * dilation.0 * width + tap % kw * dilation.1;
        y.data[at * channels..][..channels].copy_from_slice(values);
    }
    y
}

/// The adjoint of a convolution: every pixel of `x` spreads over its window, by `w [KH, KW, Cout, Cin]`.
pub fn transposed_oracle(x: &Host, w: &Host, window: Window) -> Host {
    let [n, h, width, c] = x.shape.nhwc("x").expect("an image");
    let ((kh, kw), out) = (window.kernel, w.dims()[2]);
    let size = |n: usize, k: usize, s: usize, p: usize| (n - 1) * s + k - 2 * p;
    let (oh, ow) = (
        size(h, kh, window.stride.0, window.pad.0),
        size(width, kw, window.stride.1, window.pad.1),
    );
    let mut y = Host::zeros([n, oh, ow, out]);
    for (pixel, values) in x.data.chunks_exact(c).enumerate() {
        let (image, iy, ix) = (pixel / (h * width), pixel / width % h, pixel % width);
        for (tap, weights) in w.data.chunks_exact(out * c).enumerate() {
            let oy = (iy * window.stride.0 + tap / kw).wrapping_sub(window.pad.0);
            let ox = (ix * window.stride.1 + tap % kw).wrapping_sub(window.pad.1);
            if oy < oh && ox < ow {
                let sums = &mut y.data[((image * oh + oy) * ow + ox) * out..][..out];
                for (sum, row) in sums.iter_mut().zip(weights.chunks_exact(c)) {
                    *sum += row.iter().zip(values).map(|(w, v)| w * v).sum::<f64>();
                }
            }
        }
    }
    y
}
