//! Products whose gradients are asked for, with what stands behind them as operations of their own; and cases of products.

use super::epilogue::{Act, Epilogue};
use super::layout::{place_columns, slice_last};
use super::pointwise::activation;
use super::{Case, activate, add, channel_affine, mul, sum_to};
use crate::Result;
use crate::shape::Shape;
use crate::tensor::{Cx, Host, Seeded, Tensor};
use std::ops::Range;

impl Epilogue<'_> {
    /// `product` of `inputs` with this epilogue on its columns, which are `columns` of scale and shift. Where a gradient is
    /// asked for, the product itself gets the shift at most, and the rest follows as operations with gradients of their own.
    pub(crate) fn after(
        &self,
        cx: &Cx,
        inputs: [&Tensor; 2],
        columns: &Range<usize>,
        product: impl FnOnce(&Epilogue) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let slope = match self.act {
            Act::Prelu(slope) => Some(slope),
            _ => None,
        };
        let own = [self.scale, self.shift, self.residual, slope];
        if !cx.tracks(&inputs) && !own.into_iter().flatten().any(|t| cx.tracks(&[t])) {
            return product(self);
        }
        let part = |t: &Tensor| match columns.len() == t.len() {
            true => Ok(t.clone()),
            false => slice_last(cx, t, columns.clone()),
        };
        let plain = Epilogue::default();
        let mut y = match (self.scale, self.shift) {
            (None, shift) => product(&Epilogue { shift, ..plain })?,
            (Some(scale), None) => mul(cx, &product(&plain)?, &part(scale)?)?,
            (Some(scale), Some(shift)) => {
                let acc = product(&plain)?;
                channel_affine(cx, &acc, &part(scale)?, &part(shift)?, None, Act::None)?
            }
        };
        if let Some(residual) = self.residual {
            y = add(cx, &y, residual)?;
        }
        match self.act {
            Act::None => Ok(y),
            act => activate(cx, &y, act),
        }
    }

    /// Puts `y`, a product of two inputs with the shift at most, on the tape. `backward` gives the gradients of the two,
    /// those of them that are wanted.
    pub(crate) fn record(
        &self,
        cx: &Cx,
        op: &'static str,
        [a, b]: [&Tensor; 2],
        columns: Range<usize>,
        y: Tensor,
        backward: impl FnOnce(&Cx, &Tensor) -> Result<[Option<Tensor>; 2]> + 'static,
    ) -> Tensor {
        let Some(shift) = self.shift else {
            return cx.record(op, [a, b], y, move |cx, dy, _| backward(cx, &dy));
        };
        let total = shift.len();
        cx.record(op, [a, b, shift], y, move |cx, dy, [.., need]| {
            let summed = || match sum_to(cx, &dy, [columns.len()])? {
                all if columns.len() == total => Ok(all),
                part => place_columns(cx, &part, columns.start, total),
            };
            let dshift = need.then(summed).transpose()?;
            let [da, db] = backward(cx, &dy)?;
            Ok([da, db, dshift])
        })
    }
}

/// A number for PReLU with a slope for each channel, in cases.
pub(crate) const EACH: u32 = 7;

/// Work of the largest products whose gradients are checked.
const MOST_FLOPS: f64 = 2e7;

/// Which parts a test case has, and their values: a stand-in for [`Epilogue`] that owns no tensor. Cases of every matrix
/// operation append [`Parts::inputs`] to their own and read them back with [`Parts::tensors`] and [`Parts::apply`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parts {
    pub scale: bool,
    pub shift: bool,
    pub residual: bool,
    /// Whether the residual is the same for all images.
    pub repeats: bool,
    pub act: u32,
}

impl std::fmt::Display for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = ["", " relu", " prelu", " mish", " tanh", " sigmoid", " gelu", " prelu each"];
        let act = names[self.act as usize];
        let part = |there: bool, name: &'static str| if there { name } else { "" };
        let (scale, shift) = (part(self.scale, " scale"), part(self.shift, " shift"));
        let repeats = part(self.repeats, " of one image");
        write!(f, "{scale}{shift}{}{repeats}{act}", part(self.residual, " residual"))
    }
}

impl Parts {
    pub(crate) const BIAS: Parts =
        Parts { scale: false, shift: true, residual: false, repeats: false, act: 0 };
    pub(crate) const ALL: Parts =
        Parts { scale: true, shift: true, residual: true, repeats: false, act: 2 };
    /// A bias and positions.
    pub(crate) const PLACED: Parts = Parts { residual: true, repeats: true, ..Parts::BIAS };

    pub(crate) fn with_act(mut self, act: u32) -> Self {
        self.act = act;
        self
    }

    /// Scale, shift, residual and slope, present or not: absent ones are empty.
    pub(crate) fn inputs(self, s: &mut Seeded, channels: usize, out: Shape) -> Vec<Host> {
        let mut part = |there: bool, shape: Shape| {
            if there { s.signed(shape) } else { Host::zeros([0]) }
        };
        vec![
            part(self.scale, [channels].into()),
            part(self.shift, [channels].into()),
            part(self.residual, if self.repeats { Shape::from(&out.dims()[1..]) } else { out }),
            part(
                self.act == 2 || self.act == EACH,
                [if self.act == EACH { channels } else { 1 }].into(),
            ),
        ]
    }

    /// The case of a product `a·b` with these parts and its [`Parts::inputs`]. Where the activation has a kink, values are
    /// put on grids such that no sum comes near it; the finite differences of large products would take too long.
    pub(crate) fn case(
        self,
        label: String,
        mut inputs: Vec<Host>,
        flops: f64,
        run: impl Fn(&Cx, &[Tensor]) -> Result<Vec<Tensor>> + Send + 'static,
        oracle: impl Fn(&[Host]) -> Vec<Host> + Send + 'static,
    ) -> Case {
        if flops > MOST_FLOPS || self.act == EACH {
            return Case::new(label, inputs, run, oracle).without_gradient();
        }
        if matches!(self.act, 1 | 2) {
            let on =
                |h: &mut Host, f: &dyn Fn(f64) -> f64| h.data.iter_mut().for_each(|v| *v = f(*v));
            on(&mut inputs[0], &|v| (v * 8.0).round() / 8.0);
            on(&mut inputs[1], &|v| (v * 32.0).round() / 32.0);
            // Times one half or one; and what all sums but the shift are multiples of twice.
            on(&mut inputs[2], &|v| v.signum() * if v.abs() < 0.5 { 0.5 } else { 1.0 });
            on(&mut inputs[3], &|v| ((v * 512.0).floor() + 0.5) / 512.0);
            on(&mut inputs[4], &|v| (v * 8.0).round() / 8.0);
        }
        Case::new(label, inputs, run, oracle)
    }

    /// The epilogue over the uploaded [`Parts::inputs`].
    pub(crate) fn tensors(self, t: &[Tensor]) -> Epilogue<'_> {
        let act = match self.act {
            1 => Act::Relu,
            2 | EACH => Act::Prelu(&t[3]),
            3 => Act::Mish,
            4 => Act::Tanh,
            5 => Act::Sigmoid,
            6 => Act::Gelu,
            _ => Act::None,
        };
        Epilogue {
            scale: self.scale.then_some(&t[0]),
            shift: self.shift.then_some(&t[1]),
            residual: self.residual.then_some(&t[2]),
            act,
        }
    }

    /// The same in f64 on `y`, whose channel 0 is channel `first` of scale and shift.
    pub(crate) fn apply(self, y: &mut Host, h: &[Host], first: usize) {
        let cols = y.shape.last();
        for (i, v) in y.data.iter_mut().enumerate() {
            let c = first + i % cols;
            if self.scale {
                *v *= h[0].data[c];
            }
            if self.shift {
                *v += h[1].data[c];
            }
            if self.residual {
                *v += h[2].data[i % h[2].data.len()];
            }
            let kind = if self.act == EACH { 2 } else { self.act };
            let slopes = &h[3].data;
            let slope = slopes.get(if slopes.len() > 1 { c } else { 0 });
            *v = activation(kind, *v, slope.copied().unwrap_or_default());
        }
    }
}
