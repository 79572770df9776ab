//! What a matrix kernel does to its result before writing it: folded batch norm or bias, residual, activation.

use crate::Result;
use crate::gpu::Variant;
use crate::shape::Shape;
use crate::tensor::{Bind, Cx, Op, Tensor};

/// A pointwise activation.
#[derive(Debug, Clone, Copy, Default)]
pub enum Act<'a> {
    /// The identity.
    #[default]
    None,
    /// max(v, 0).
    Relu,
    /// v for v > 0, else slope·v, with one slope `[1]` for all channels: `torch.nn.PReLU()`; behind a product also with one for
    /// each, `[N]`, where nothing asks for its gradient.
    Prelu(&'a Tensor),
    /// v·tanh(ln(1 + eᵛ)).
    Mish,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e⁻ᵛ).
    Sigmoid,
    /// v·Φ(v) with the normal distribution function: `torch.nn.GELU()`.
    Gelu,
}

impl Act<'_> {
    /// Its number in `shaders/shared/activation.wgsl`.
    pub(crate) fn code(self) -> u32 {
        match self {
            Act::None => 0,
            Act::Relu => 1,
            Act::Prelu(_) => 2,
            Act::Mish => 3,
            Act::Tanh => 4,
            Act::Sigmoid => 5,
            Act::Gelu => 6,
        }
    }

    /// The slope as a kernel's input.
    pub(crate) fn slope(&self) -> Bind<'_> {
        match self {
            Act::Prelu(slope) => slope.read(),
            _ => Bind::Absent,
        }
    }

    /// Checks the slope's shape for operation `op`.
    pub(crate) fn check(self, cx: &Cx, op: &str) -> Result<()> {
        match self {
            Act::Prelu(slope) => cx.expect(op, "slope", slope, [1]),
            _ => Ok(()),
        }
    }
}

/// y = act(scale ⊙ acc + shift + residual) on the result of a product, each part optional. Scale and shift go along the
/// last axis: a folded batch norm, or a bias.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// Factor of each output channel, `[N]`.
    pub scale: Option<&'a Tensor>,
    /// Summand of each output channel, `[N]`.
    pub shift: Option<&'a Tensor>,
    /// Added before the activation; of the output's shape, or of that without its first axis: the same for all images of a batch.
    pub residual: Option<&'a Tensor>,
    /// Applied last.
    pub act: Act<'a>,
}

impl<'a> Epilogue<'a> {
    /// Adds a bias `[N]`.
    pub fn bias(bias: &'a Tensor) -> Self {
        Epilogue { shift: Some(bias), ..Default::default() }
    }

    /// A batch norm by running statistics, folded: scale = γ·r, shift = β − μ·γ·r.
    pub fn affine(scale: &'a Tensor, shift: &'a Tensor) -> Self {
        Epilogue { scale: Some(scale), shift: Some(shift), ..Default::default() }
    }

    /// With a residual.
    pub fn residual(mut self, residual: &'a Tensor) -> Self {
        self.residual = Some(residual);
        self
    }

    /// With an activation.
    pub fn act(mut self, act: Act<'a>) -> Self {
        self.act = act;
        self
    }

    /// What of it is data to a kernel: bits as in `shaders/shared/gemm.wgsl`.
    pub(crate) fn word(&self) -> u32 {
        let act = match self.act {
            Act::Prelu(slope) if slope.len() == 1 => 4,
            Act::Prelu(_) => 32,
            Act::Relu => 0,
            _ => 8,
        };
        let residual = u32::from(self.residual.is_some()) << 4;
        u32::from(self.scale.is_some()) | u32::from(self.shift.is_some()) << 1 | act | residual
    }

    /// What of it is code: a kernel's variant with this activation, unless that is straight on both sides of 0.
    pub(crate) fn on(&self, variant: Variant) -> Variant {
        let curve = if self.curved() { self.act.code() } else { 0 };
        variant.set("CURVE", curve)
    }

    /// Whether its activation is not straight on both sides of 0.
    pub(crate) fn curved(&self) -> bool {
        !matches!(self.act, Act::None | Act::Relu | Act::Prelu(_))
    }

    /// Every variant that [`Epilogue::on`] makes of one.
    pub(crate) fn all(variant: Variant) -> [Variant; 5] {
        [Act::None, Act::Mish, Act::Tanh, Act::Sigmoid, Act::Gelu]
            .map(|act| Epilogue::default().act(act).on(variant.clone()))
    }

    /// Checks the operands: `channels` in scale and shift, a residual of shape `out` or of one of its images.
    pub(crate) fn check(&self, cx: &Cx, op: &str, channels: usize, out: Shape) -> Result<()> {
        for (name, operand) in [("scale", self.scale), ("shift", self.shift)] {
            if let Some(t) = operand {
                cx.expect(op, name, t, [channels])?;
            }
        }
        if let Some(t) = self.residual {
            let image = out.rank() > 2 && t.shape() == Shape::from(&out.dims()[1..]);
            if !image {
                cx.expect(op, "residual", t, out)?;
            }
        }
        match self.act {
            Act::Prelu(slope) if slope.len() > 1 => cx.expect(op, "slope", slope, [channels]),
            act => act.check(cx, op),
        }
    }
}

/// An [`Epilogue`] that owns its tensors: what stands behind a product in a pass, and what rules put there.
#[derive(Clone, Default)]
pub(crate) struct Tail {
    pub(crate) scale: Option<Tensor>,
    pub(crate) shift: Option<Tensor>,
    pub(crate) residual: Option<Tensor>,
    /// The activation's number.
    pub(crate) act: u32,
    /// That of PReLU.
    pub(crate) slope: Option<Tensor>,
}

impl From<&Epilogue<'_>> for Tail {
    fn from(ep: &Epilogue<'_>) -> Self {
        let mut tail = Tail {
            scale: ep.scale.map(Tensor::detached),
            shift: ep.shift.map(Tensor::detached),
            residual: ep.residual.map(Tensor::detached),
            ..Tail::default()
        };
        tail.activate(ep.act);
        tail
    }
}

impl Tail {
    /// As kernels take it.
    pub(crate) fn epilogue(&self) -> Epilogue<'_> {
        Epilogue {
            scale: self.scale.as_ref(),
            shift: self.shift.as_ref(),
            residual: self.residual.as_ref(),
            act: self.act(),
        }
    }

    /// Its activation.
    pub(crate) fn act(&self) -> Act<'_> {
        match (self.act, &self.slope) {
            (1, _) => Act::Relu,
            (2, Some(slope)) => Act::Prelu(slope),
            (3, _) => Act::Mish,
            (4, _) => Act::Tanh,
            (5, _) => Act::Sigmoid,
            (6, _) => Act::Gelu,
            _ => Act::None,
        }
    }

    /// Puts an activation last.
    pub(crate) fn activate(&mut self, act: Act) {
        self.act = act.code();
        self.slope = if let Act::Prelu(slope) = act { Some(slope.detached()) } else { None };
    }

    /// Shows its tensors.
    pub(crate) fn see<'a>(&'a self, see: &mut dyn FnMut(&'a Tensor)) {
        [&self.scale, &self.shift, &self.residual, &self.slope].into_iter().flatten().for_each(see);
    }
}

/// A summand behind a result: `tensor`, or so many `copies` of it one behind the other.
pub(crate) struct Residual {
    pub(crate) tensor: Tensor,
    pub(crate) copies: usize,
}

/// An operation that can do more to its result before writing it.
pub(crate) trait Tailed: Op {
    /// What it does.
    fn tail(&self) -> &Tail;

    /// Its result.
    fn result(&self) -> &Tensor;

    /// Whether scale and shift of so many channels fit its result.
    fn has_channels(&self, channels: usize) -> bool {
        self.result().shape().last() == channels
    }

    /// Whether it can add a residual.
    fn takes(&self, residual: &Residual) -> bool;

    /// The same with another tail, into `y`.
    fn with(&self, tail: Tail, y: Tensor) -> Self;
}
