"""Writes what the shipped networks give on four demo words, in float32 and evaluation mode: `tests/golden/parity-nano.safetensors`.

    python tools/reference/parity.py weights tests/golden/parity-nano.safetensors
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import abinet
import lemma
from layers import Network

WORDS = ("coffee", "station", "bakery", "year")


class Loaded(Network):
    """A network whose tensors come from a weights file."""

    def __init__(self, path: Path) -> None:
        super().__init__(seed=0, dtype=torch.float32, training=False)
        with safe_open(path, "pt") as file:
            self.config = json.loads(file.metadata()["config"])
            self.parameters = self.buffers = {name: file.get_tensor(name).float() for name in file.keys()}


def reader_sizes(config: dict) -> abinet.Sizes:
    vision, language = config["vision"], config["language"]
    return abinet.Sizes(
        planes=tuple(vision["resnet_planes"]),
        blocks=tuple(vision["resnet_blocks"]),
        strides=tuple(vision["resnet_strides"]),
        heads=vision["nhead"],
        language_heads=language["nhead"],
        inner=vision["d_inner"],
        language_inner=language["d_inner"],
        vision_layers=vision["encoder_layers"],
        language_layers=language["num_layers"],
        unet=vision["unet_channels"],
    )


def lemma_sizes(config: dict) -> lemma.Sizes:
    guidance = config["guidance"]
    return lemma.Sizes(
        hidden=config["hidden_units"],
        blocks=config["srb_nums"],
        heads=guidance["nhead"],
        inner=guidance["d_inner"],
        encoder_layers=guidance["encoder_layers"],
        decoder_layers=guidance["decoder_layers"],
        selected=guidance["select_num"],
        expansion=tuple(guidance["attn_conv"][:2]),
        prior=reader_sizes(config["position_prior"]),
    )


def images(folder: Path) -> Tensor:
    """Color and mask, [N, 4, 16, 64]; the mask is 1 where the luma is at most its mean."""
    stack = []
    for word in WORDS:
        picture = Image.open(folder / f"{word}.png").convert("RGB").resize((64, 16), Image.BICUBIC)
        luma = np.asarray(picture.convert("L"), np.float64)
        color = np.asarray(picture, np.float32).transpose(2, 0, 1) / 255
        stack.append(np.concatenate([color, (luma <= luma.mean())[None].astype(np.float32)]))
    return torch.from_numpy(np.stack(stack))


@torch.no_grad()
def main(weights: Path, out: Path) -> None:
    image = images(weights / "demo")
    net = Loaded(weights / "lemma-nano.safetensors")
    values = {"input": image} | lemma.enlarge(net, image, lemma_sizes(net.config))
    reader = Loaded(weights / "abinet-nano.safetensors")
    _, _, readings = abinet.read(reader, values["prior_input"], reader_sizes(reader.config))
    values["abinet_logits"] = readings[0]
    save_file({name: value.float().contiguous() for name, value in values.items()}, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
