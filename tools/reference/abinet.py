"""ABINet in training, without dropout: vision model, language model, alignment and their losses."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from layers import Network

CLASSES, STEPS, CELLS = 37, 26, (8, 32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Sizes:
    """Channels and layers; one width for vision and language, whose heads and inner width are those of vision unless given."""

    planes: tuple[int, ...]
    blocks: tuple[int, ...]
    heads: int
    inner: int
    vision_layers: int
    language_layers: int
    unet: int
    strides: tuple[int, ...] = (2, 1, 2, 1, 1)
    language_heads: int | None = None
    language_inner: int | None = None

    @property
    def width(self) -> int:
        return self.planes[-1]


def _resnet(net: Network, path: str, x: Tensor, sizes: Sizes) -> Tensor:
    x = net.batch_norm(f"{path}.bn1", net.conv(f"{path}.conv1", x, sizes.planes[0], 3, bias=False)).relu()
    for stage, (planes, blocks, stride) in enumerate(zip(sizes.planes, sizes.blocks, sizes.strides), 1):
        for block in range(blocks):
            own, step = f"{path}.layer{stage}.{block}", stride if block == 0 else 1
            y = net.batch_norm(f"{own}.bn1", net.conv(f"{own}.conv1", x, planes, 1, bias=False)).relu()
            y = net.batch_norm(f"{own}.bn2", net.conv(f"{own}.conv2", y, planes, 3, step, bias=False))
            if block == 0:
                x = net.conv(f"{own}.downsample.0", x, planes, 1, step, bias=False)
                x = net.batch_norm(f"{own}.downsample.1", x)
            x = (x + y).relu()
    return x


def _unet(net: Network, path: str, x: Tensor, sizes: Sizes) -> Tensor:
    """Keys of the position attention."""
    skips = []
    for i, stride in enumerate([(1, 2), 2, 2, 2]):
        own = f"{path}.k_encoder.{i}"
        x = net.batch_norm(f"{own}.1", net.conv(f"{own}.0", x, sizes.unet, 3, stride)).relu()
        skips.append(x)
    for i, skip in enumerate([skips[2], skips[1], skips[0], None]):
        own = f"{path}.k_decoder.{i}"
        size, out = (CELLS, sizes.width) if skip is None else (skip.shape[2:], sizes.unet)
        x = F.interpolate(x, size=tuple(size), mode="nearest")
        x = net.batch_norm(f"{own}.2", net.conv(f"{own}.1", x, out, 3)).relu()
        x = x if skip is None else x + skip
    return x


def attend(net: Network, path: str, feature: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """The position attention: features [N, 26, C] of a map [N, C, 8, 32], and the attention [N, 26, 8, 32]."""
    keys = _unet(net, path, feature, sizes).flatten(2)
    queries = net.linear(f"{path}.project", net.positions(STEPS, sizes.width), sizes.width)
    weights = (queries @ keys / sizes.width**0.5).softmax(2)
    return weights @ feature.flatten(2).transpose(1, 2), weights.unflatten(2, CELLS)


def look(net: Network, path: str, image: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """RGB in [0, 1], [N, 3, 32, 128], to class scores [N, 26, 37], attention [N, 26, 8, 32], features [N, 26, C] and the map
    [N, C, 8, 32] that they are of."""
    mean, std = (torch.tensor(v, dtype=torch.float32).to(image.dtype)[:, None, None] for v in (MEAN, STD))
    x = _resnet(net, f"{path}.backbone.resnet", (image - mean) / std, sizes)
    tokens = x.flatten(2).transpose(1, 2) + net.positions(CELLS[0] * CELLS[1], sizes.width)
    for i in range(sizes.vision_layers):
        tokens = net.encoder_layer(f"{path}.backbone.transformer.layers.{i}", tokens, sizes.heads, sizes.inner)
    feature = tokens.transpose(1, 2).unflatten(2, CELLS)
    attended, weights = attend(net, f"{path}.attention", feature, sizes)
    return net.linear(f"{path}.cls", attended, CLASSES), weights, attended, feature


def vision(net: Network, path: str, image: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """The same without the map."""
    return look(net, path, image, sizes)[:3]


def lengths(logits: Tensor) -> Tensor:
    """Places [N] of the first end, counted from 1, within 2 and 26; 26 where there is none."""
    ends = logits.argmax(2) == 0
    first = torch.where(ends.any(1), ends.int().argmax(1) + 1, STEPS)
    return first.clamp(2, STEPS)


def language(net: Network, path: str, logits: Tensor, length: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Corrects a reading: class scores and features. A step sees the others within the length, but not itself."""
    place = net.positions(STEPS, sizes.width)
    memory = net.linear(f"{path}.proj", logits.detach().softmax(2), sizes.width, bias=False) + place
    step = torch.arange(STEPS)
    mask = (step[:, None] == step)[None] | (step >= length[:, None])[:, None]
    x = place.expand_as(memory)
    heads, inner = sizes.language_heads or sizes.heads, sizes.language_inner or sizes.inner
    for i in range(sizes.language_layers):
        x = net.decoder_layer(f"{path}.model.layers.{i}", x, memory, memory, heads, inner, mask)
    return net.linear(f"{path}.cls", x, CLASSES), x


def read(net: Network, image: Tensor, sizes: Sizes) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Class scores [N, 26, 37] of vision, and of the language model and the alignment after each of three iterations."""
    seen, _, features = vision(net, "vision", image, sizes)
    corrections, readings = [], []
    current = seen
    for _ in range(3):
        corrected, meaning = language(net, "language", current, lengths(current), sizes)
        gate = net.linear("alignment.w_att", torch.cat([meaning, features], 2), sizes.width).sigmoid()
        current = net.linear("alignment.cls", gate * features + (1 - gate) * meaning, CLASSES)
        corrections.append(corrected)
        readings.append(current)
    return seen, corrections, readings


def losses(net: Network, image: Tensor, ids: Tensor, sizes: Sizes) -> dict[str, Tensor]:
    """The loss of a batch of images [N, 3, 32, 128] and classes [N, 26], and its parts."""
    within = torch.arange(STEPS) <= (ids > 0).sum(1)[:, None]

    def cross_entropy(logits: Tensor) -> Tensor:
        """Over the characters and the end."""
        target = F.one_hot(ids, CLASSES).to(logits.dtype)
        return -(target * logits.log_softmax(2)).sum(2)[within].mean()

    seen, corrections, readings = read(net, image, sizes)
    parts = {"vision": [seen], "language": corrections, "alignment": readings}
    means = {name: torch.stack([cross_entropy(v) for v in values]).mean() for name, values in parts.items()}
    return {"loss": sum(means.values()), **means}
