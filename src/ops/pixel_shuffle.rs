//! Channels to pixels: `torch.nn.PixelShuffle`, with an activation on the way.

use super::epilogue::{Residual, Tail, Tailed};
use super::pointwise::activation;
use super::{Act, Case, KernelUse, Row, activate, element, permute};
use crate::gpu::Variant;
use crate::shape::to_u32;
use crate::tensor::{Cx, Host, Kernels, Op, Seeded, Tensor};
use crate::{Error, ErrorKind, Result, kernel, params};

kernel!(SHUFFLE = "layout/pixel_shuffle_fwd", Params, ShuffleBinds { x, slope, y });
kernel!(SHUFFLE_2 = "layout/pixel_shuffle_2_fwd", Params2, ShuffleBinds);
params! { struct Params { n: u32, height: u32, width: u32, channels: u32, r: u32 } }
params! { struct Params2 { n: u32, width: u32, quads: u32 } }

/// act(x) with channel c·r² + u·r + v of pixel (i, j) moved to channel c of pixel (r·i + u, r·j + v):
/// `[N, H, W, C·r²]` → `[N, r·H, r·W, C]`.
///
/// # Errors
/// A number of channels that r² does not divide.
pub fn pixel_shuffle(cx: &Cx, x: &Tensor, r: usize, act: Act) -> Result<Tensor> {
    let [n, h, w, c] = x.shape().nhwc("pixel_shuffle")?;
    if r == 0 || r > 64 || !c.is_multiple_of(r * r) {
        return Err(Error::new(ErrorKind::Shape, "pixel_shuffle", "channels")
            .expected(format!("a multiple of r² with r = {r} from 1 to 64"))
            .got(x.shape()));
    }
    if let Act::Prelu(slope) = act {
        cx.expect("pixel_shuffle", "slope", slope, [1])?;
    }
    let channels = c / (r * r);
    let y = cx.out([n, h * r, w * r, channels]);
    if y.is_empty() {
        return Ok(y);
    }
    let slope = if let Act::Prelu(slope) = act { slope } else { x };
    let recorded = cx.tracks(&[x, slope]);
    let mut tail = Tail::default();
    tail.activate(if recorded { Act::None } else { act });
    cx.push(Shuffle { x: x.detached(), r, tail, y: y.clone() });
    let y = cx.record("pixel_shuffle", [x], y, move |cx, dy, _| {
        let places = dy.reshape([n, h, r, w, r, channels])?;
        Ok([Some(permute(cx, &places, &[0, 1, 3, 5, 2, 4])?)])
    });
    if recorded && !matches!(act, Act::None) { activate(cx, &y, act) } else { Ok(y) }
}

/// The move as a node of a pass.
pub(crate) struct Shuffle {
    pub(crate) x: Tensor,
    pub(crate) r: usize,
    /// An activation alone.
    tail: Tail,
    y: Tensor,
}

impl Op for Shuffle {
    fn reads<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.x);
        self.tail.see(see);
    }

    fn writes<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        see(&self.y);
    }

    fn lower(&self, k: &Kernels) -> Result<()> {
        let Shuffle { x, r, tail, y } = self;
        let [_, height, width, channels] = x.shape().nhwc("pixel_shuffle")?;
        let channels = channels / (r * r);
        let (act, variant) = (tail.act(), variant(tail.act));
        let binds = ShuffleBinds { x: x.read(), slope: act.slope(), y: y.write() };
        if *r == 2 && channels.is_multiple_of(4) {
            let n = y.len() / 16;
            let quads = to_u32(channels / 4);
            let p = Params2 { n: to_u32(n), width: to_u32(width), quads };
            return k.run(&SHUFFLE_2, &variant, element::grid(n), &p, binds);
        }
        let p = Params {
            n: to_u32(y.len()),
            height: to_u32(height),
            width: to_u32(width),
            channels: to_u32(channels),
            r: to_u32(*r),
        };
        k.run(&SHUFFLE, &variant, element::grid(y.len()), &p, binds)
    }
}

impl Tailed for Shuffle {
    fn tail(&self) -> &Tail {
        &self.tail
    }

    fn result(&self) -> &Tensor {
        &self.y
    }

    fn has_channels(&self, _: usize) -> bool {
        false
    }

    fn takes(&self, _: &Residual) -> bool {
        false
    }

    fn with(&self, tail: Tail, y: Tensor) -> Self {
        Shuffle { x: self.x.clone(), r: self.r, tail, y }
    }
}

fn variant(kind: u32) -> Variant {
    element::scalar().set("KIND", kind)
}

/// The row of the table.
pub const ROW: Row = Row {
    op: "pixel_shuffle",
    kernels: &[
        KernelUse { kernel: &SHUFFLE, variants },
        KernelUse { kernel: &SHUFFLE_2, variants },
    ],
    tolerance: 1e-6,
    gradient: 5e-6,
    cases,
};

fn variants() -> Vec<Variant> {
    (0..7).map(variant).collect()
}

fn cases() -> Vec<Case> {
    let case = |why: &str, [n, h, w, c]: [usize; 4], r: usize, kind: u32| {
        let label = format!("[{n}, {h}, {w}, {c}·{r}²] activation {kind}: {why}");
        let mut s = Seeded::new(&label);
        let mut x = s.uniform([n, h, w, c * r * r], -4.0, 4.0);
        // Away from the kink of PReLU.
        x.data.iter_mut().for_each(|v| *v = ((*v * 8.0).floor() + 0.5) / 8.0);
        let inputs = vec![x, Host::new([1], vec![0.25])];
        let case = Case::new(
            label,
            inputs,
            move |cx, t| {
                let act = match kind {
                    0 => Act::None,
                    2 => Act::Prelu(&t[1]),
                    _ => Act::Mish,
                };
                Ok(vec![pixel_shuffle(cx, &t[0], r, act)?])
            },
            move |h| vec![oracle(&h[0], r, |v| activation(kind, v, h[1].data[0]))],
        );
        // Only PReLU has a slope.
        if kind == 2 { case } else { case.gradient_of(&[0]) }
    };
    vec![
        case("one value", [1, 1, 1, 1], 1, 0),
        case("primes", [2, 3, 5, 7], 3, 2),
        case("three channels", [2, 3, 5, 3], 2, 3),
        case("one above a workgroup of fours", [1, 5, 13, 4], 2, 2),
        case("up-sampling", [1, 16, 64, 64], 2, 3).bench(10.0 * 262_144.0),
    ]
}

/// Reference by plain loops.
fn oracle(x: &Host, r: usize, f: impl Fn(f64) -> f64) -> Host {
    let [n, h, w, c] = x.shape.nhwc("oracle").expect("an image");
    let channels = c / (r * r);
    let mut y = Host::zeros([n, h * r, w * r, channels]);
    for (at, v) in x.data.iter().enumerate() {
        let (pixel, from) = (at / c, at % c);
        let (image, i, j) = (pixel / (h * w), pixel / w % h, pixel % w);
        let (to, u, v_) = (from / (r * r), from / r % r, from % r);
        let target = ((image * h + i) * r + u) * w * r + j * r + v_;
        y.data[target * channels + to] = f(*v);
    }
    y
}
