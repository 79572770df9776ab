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
