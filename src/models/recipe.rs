//! What the procedural weights of a network are like.

/// What makes a network's procedural weights: its key in the names of streams, and what its tensors are like.
pub(crate) struct Recipe {
    /// The key.
    pub key: &'static str,
    /// Names, in which `*` stands for any run of characters, and their rules; the first that fits holds. What none names is as
    /// its rank says.
    pub rules: &'static [&'static [(&'static str, Rule)]],
    /// What is added to a name in its stream alone, chosen so that decoded lengths vary.
    pub suffixes: &'static [(&'static str, &'static str)],
}

/// How a tensor's values follow from its stream `x`.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// a + b·x
    Affine(f64, f64),
    /// a·√(3/fan_in)·x
    Gain(f64),
    /// As `Gain(a)`, row 0 then multiplied by b.
    Row0(f64, f64),
    /// b·x, the element of this number plus a.
    Bump(usize, f64, f64),
    /// The control points of the spatial transformer's start, plus b·x.
    Control(f64),
    /// 1 where row and column are the same, else 0.
    Identity,
    /// These, as they stand.
    Fixed(&'static [f64]),
}
