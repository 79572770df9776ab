//! Procedural weights of ABINet.

use crate::models::recipe::{
    Recipe,
    Rule::{self, Affine, Bump, Gain, Row0},
};

/// Rules of its parts, wherever they stand in a network.
pub(crate) const RULES: &[(&str, Rule)] = &[
    ("*resnet*.bn1.weight", Affine(1.5, 0.2)),
    ("*resnet*.bn1.bias", Affine(-0.25, 0.1)),
    ("*resnet.layer*.bn2.weight", Affine(0.38, 0.1)),
    ("*resnet.layer*.bn2.bias", Affine(-0.12, 0.2)),
    ("*resnet.layer*.downsample.0.weight", Gain(1.0)),
    ("*backbone.transformer*out_proj.weight", Gain(0.3)),
    ("*backbone.transformer*linear2.weight", Gain(0.3)),
    ("*vision.attention.project.weight", Gain(6.0)),
    ("*vision.cls.weight", Row0(4.0, 0.1)),
    ("*vision.cls.bias", Bump(0, 6.5, 0.1)),
    ("*language.proj.weight", Gain(12.0)),
    ("*language.model.*in_proj_weight", Gain(2.5)),
    ("*language.model.*out_proj.weight", Gain(0.3)),
    ("*language.model.*linear2.weight", Gain(0.3)),
    ("*language.cls.weight", Row0(4.0, 0.1)),
    ("*language.cls.bias", Bump(0, 7.5, 0.1)),
    ("alignment.cls.weight", Row0(4.0, 0.1)),
    ("alignment.cls.bias", Bump(0, 6.5, 0.1)),
];

pub(crate) const RECIPE: Recipe = Recipe {
    key: "abinet",
    rules: &[RULES],
    suffixes: &[
        ("vision.cls.weight", "#80"),
        ("language.cls.weight", "#690"),
        ("alignment.cls.weight", "#1490"),
    ],
};
