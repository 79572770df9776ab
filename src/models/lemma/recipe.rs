//! Procedural weights of LEMMA.

use crate::models::recipe::{
    Recipe,
    Rule::{self, Gain},
};
use crate::models::{abinet, textzoom};

const RULES: &[(&str, Rule)] =
    &[("guidanceGen.attn_conv.0.weight", Gain(8.0)), ("guidanceGen.attn_conv.6.weight", Gain(4.0))];

pub(crate) const RECIPE: Recipe = Recipe {
    key: "lemma",
    rules: &[abinet::RULES, RULES, textzoom::RULES],
    suffixes: &[
        ("position_prior.vision.cls.weight", "#1794"),
        ("position_prior.language.cls.weight", "#190"),
    ],
};
