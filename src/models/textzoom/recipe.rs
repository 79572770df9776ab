//! Procedural weights of what the networks share.

use crate::models::recipe::Rule::{self, Control, Gain};

/// Those of recurrent blocks between the shared first and last layers.
pub(crate) const RULES: &[(&str, Rule)] = &[
    ("block*.gru*.weight_ih*", Gain(0.8)),
    ("block*.gru*.weight_hh*", Gain(0.5)),
    ("block8.1.weight", Gain(0.5)),
    ("stn_head.stn_fc2.weight", Gain(0.5)),
    ("stn_head.stn_fc2.bias", Control(0.02)),
];

/// Those of the spatial transformer.
pub(crate) const STRAIGHTENING: &[(&str, Rule)] = RULES.split_at(3).1;
