//! Procedural weights of LEMMA.

use crate::models::abinet;
use crate::models::recipe::{
    Recipe,
    Rule::{self, Control, Gain},
};

const RULES: &[(&str, Rule)] = &[
    ("guidanceGen.attn_conv.0.weight", Gain(8.0)),
    ("guidanceGen.attn_conv.6.weight", Gain(4.0)),
    ("block*.gru*.weight_ih*", Gain(0.8)),
    ("block*.gru*.weight_hh*", Gain(0.5)),
    ("block8.1.weight", Gain(0.5)),
    ("stn_head.stn_fc2.weight", Gain(0.5)),
    ("stn_head.stn_fc2.bias", Control(0.02)),
];

pub(crate) const RECIPE: Recipe = Recipe {
    key: "lemma",
    rules: &[abinet::RULES, RULES],
    suffixes: &[
        ("position_prior.vision.cls.weight", "#1794"),
        ("position_prior.language.cls.weight", "#190"),
    ],
};
