"""Weights that follow from a seed and a name, as `src/models/procedural.rs` makes them for the official sizes of recognizers
and of the networks that LEMMA is compared with."""

import fnmatch
import math

import numpy as np

from seeded import Stream, control_points


def affine(a, b):
    return lambda x, fan_in: a + b * x


def gain(a):
    return lambda x, fan_in: (a * math.sqrt(3.0 / fan_in)) * x


def first_row(a, b):
    def rule(x, fan_in):
        values = gain(a)(x, fan_in)
        values[:fan_in] *= b
        return values

    return rule


def bump(at, a, b):
    def rule(x, fan_in):
        values = b * x
        values[at] += a
        return values

    return rule


def control(b):
    return lambda x, fan_in: control_points() + b * x


def identity(x, fan_in):
    return np.eye(fan_in).ravel()


def fixed(values):
    return lambda x, fan_in: np.array(values)


COMMON = [("*.running_mean", affine(0.0, 0.1)), ("*.running_var", affine(1.0, 0.25))]
ABINET = [
    ("*resnet*.bn1.weight", affine(1.5, 0.2)),
    ("*resnet*.bn1.bias", affine(-0.25, 0.1)),
    ("*resnet.layer*.bn2.weight", affine(0.38, 0.1)),
    ("*resnet.layer*.bn2.bias", affine(-0.12, 0.2)),
    ("*resnet.layer*.downsample.0.weight", gain(1.0)),
    ("*backbone.transformer*out_proj.weight", gain(0.3)),
    ("*backbone.transformer*linear2.weight", gain(0.3)),
    ("*vision.attention.project.weight", gain(6.0)),
    ("*vision.cls.weight", first_row(4.0, 0.1)),
    ("*vision.cls.bias", bump(0, 6.5, 0.1)),
    ("*language.proj.weight", gain(12.0)),
    ("*language.model.*in_proj_weight", gain(2.5)),
    ("*language.model.*out_proj.weight", gain(0.3)),
    ("*language.model.*linear2.weight", gain(0.3)),
    ("*language.cls.weight", first_row(4.0, 0.1)),
    ("*language.cls.bias", bump(0, 7.5, 0.1)),
]
TRUNK = [
    ("block*.gru*.weight_ih*", gain(0.8)),
    ("block*.gru*.weight_hh*", gain(0.5)),
    ("block8.1.weight", gain(0.5)),
    ("stn_head.stn_fc2.weight", gain(0.5)),
    ("stn_head.stn_fc2.bias", control(0.02)),
]
MEAN = [255.0 * v for v in (0.4488, 0.4371, 0.4040)]
COMPARED = {
    "srcnn": [],
    "srres": [("block*.conv2.weight", gain(0.5)), *TRUNK[2:]],
    "tsrn": TRUNK,
    "tg": TRUNK,
    "tbsrn": [("*.multihead.linears.[01].weight", gain(2.0)), *TRUNK],
    "tatt": [
        ("infoGen.fc_in.weight", gain(4.0)),
        ("infoGen.init_factor.weight", affine(0.0, 1.0)),
        ("infoGen.*in_proj_weight", gain(2.5)),
        *TRUNK,
    ],
    "c3": [("infoGen*.tconv1.weight", gain(16.0)), *TRUNK],
    "pcan": [("block*.conv_reduce.weight", gain(1.0)), *TRUNK],
    "rcan": [
        ("*_mean.weight", identity),
        ("sub_mean.bias", fixed([-v for v in MEAN])),
        ("add_mean.bias", fixed(MEAN)),
        ("body.*.body.*.body.2.weight", gain(0.4)),
        ("body.*.conv_du.*.weight", gain(0.1)),
        ("body.*.body.20.weight", gain(0.5)),
        ("body.10.weight", gain(0.5)),
        ("tail.1.weight", gain(0.4)),
    ],
    "san": [
        ("RG.*.rcab.*.conv_first.2.weight", gain(0.3)),
        ("RG.*.conv_last.weight", gain(0.5)),
        ("tail.1.weight", gain(0.05)),
    ],
}
RULES = COMPARED | {
    "crnn": [("rnn.*.rnn.weight_ih*", gain(3.0)), ("rnn.*.embedding.weight", gain(4.0))],
    "aster": [
        ("stn_head.stn_fc2.weight", gain(0.5)),
        ("stn_head.stn_fc2.bias", control(0.02)),
        ("encoder.layer*.bn1.weight", affine(1.5, 0.2)),
        ("encoder.layer*.bn2.weight", affine(0.4, 0.1)),
        ("encoder.layer*.downsample.0.weight", gain(1.0)),
        ("encoder.rnn.weight_ih*", gain(3.0)),
        ("decoder.decoder.attention_unit.[sx]Embed.weight", gain(4.0)),
        ("decoder.decoder.attention_unit.wEmbed.weight", gain(8.0)),
        ("decoder.decoder.tgt_embedding.weight", affine(0.0, 1.0)),
        ("decoder.decoder.gru.weight_ih*", gain(2.0)),
        ("decoder.decoder.fc.weight", gain(8.0)),
        ("decoder.decoder.fc.bias", bump(94, 5.0, 0.1)),
    ],
    "moran": [
        ("ASRN.cnn.block*.conv2.1.weight", affine(0.4, 0.1)),
        ("ASRN.rnn.*.weight_ih*", gain(3.0)),
        ("ASRN.rnn.*.embedding.weight", gain(3.0)),
        ("ASRN.attention*.i2h.weight", gain(3.0)),
        ("ASRN.attention*.h2h.weight", gain(4.0)),
        ("ASRN.attention*.score.weight", gain(6.0)),
        ("ASRN.attention*.char_embeddings", affine(0.0, 1.0)),
        ("ASRN.attention*.attention_cell.rnn.weight_ih", gain(2.0)),
        ("ASRN.attention*.generator.weight", gain(8.0)),
        ("ASRN.attention*.generator.bias", bump(36, 8.0, 0.1)),
    ],
    "matrn": [
        ("semantic_visual.model1*in_proj_weight", gain(2.0)),
        ("semantic_visual.model1*out_proj.weight", gain(0.3)),
        ("semantic_visual.model1*linear2.weight", gain(0.3)),
        ("semantic_visual.model2_vis.project.weight", gain(6.0)),
        ("semantic_visual.w_att.weight", gain(2.0)),
        *((f"semantic_visual.cls{of}.weight", first_row(4.0, 0.1)) for of in ("", "_vis", "_sem")),
        *((f"semantic_visual.cls{of}.bias", bump(0, 6.5, 0.1)) for of in ("", "_vis", "_sem")),
        *ABINET,
    ],
    "parseq": [
        ("pos_queries", affine(0.0, 1.0)),
        ("encoder.pos_embed", affine(0.0, 1.0)),
        ("encoder.blocks.*.attn.qkv.weight", gain(2.0)),
        ("decoder.layers.*.in_proj_weight", gain(2.0)),
        ("head.weight", first_row(4.0, 0.1)),
        ("head.bias", bump(0, 8.3, 0.1)),
    ],
}
# Chosen so that words of several lengths are read.
SUFFIXES = {
    "aster:decoder.decoder.fc.weight": "#143",
    "moran:ASRN.attentionL2R.generator.weight": "#108",
    "matrn:vision.cls.weight": "#785",
    "matrn:semantic_visual.cls.weight": "#1352",
    "parseq:head.weight": "#847",
}


def default(name, shape):
    """What a tensor is that no pattern names."""
    if len(shape) >= 2:
        return gain(math.sqrt(2.0) if len(shape) >= 4 else 1.0)
    if not name.endswith(("weight", "a_2")):
        return affine(0.0, 0.1)
    return affine(0.25, 0.05) if shape == (1,) else affine(1.0, 0.2)


class Procedural:
    """The weights of a model by name and shape."""

    def __init__(self, model: str, seed: int = 1) -> None:
        self.model, self.seed = model, seed

    def __call__(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        rules = RULES[self.model] + COMMON
        found = (rule for pattern, rule in rules if fnmatch.fnmatchcase(name, pattern))
        rule = next(found, None) or default(name, shape)
        hashed = f"{self.model}:{name}"
        x = Stream(self.seed, hashed + SUFFIXES.get(hashed, "")).signed(math.prod(shape))
        return rule(x, math.prod(shape[1:])).astype(np.float32).reshape(shape)
