"""LEMMA in training, without dropout and text-focus loss: spatial transformer, recognizer, guidance, blocks, losses."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import abinet
from layers import Network
from seeded import control_points

HEIGHT, WIDTH = 16, 64
PIXELS = HEIGHT * WIDTH
STN_WIDTHS = (32, 64, 128, 256, 256, 256)


@dataclass(frozen=True)
class Sizes:
    """Channels and layers."""

    hidden: int
    blocks: int
    heads: int
    inner: int
    encoder_layers: int
    decoder_layers: int
    selected: int
    expansion: tuple[int, int]
    prior: abinet.Sizes

    @property
    def width(self) -> int:
        return 2 * self.hidden


def spline() -> np.ndarray:
    """The matrix [PIXELS, 20] from control points to the source of every pixel: a thin-plate spline, computed in float64. Its
    two tables are buffers of the published network and as such float32; their product is not rounded."""
    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        square = ((a[:, None] - b[None]) ** 2).sum(2)
        return 0.5 * square * np.log(np.where(square > 0, square, 1.0))

    row = 0.05 + 0.9 * np.arange(10) / 9.0
    target = np.stack([np.tile(row, 2), np.repeat([0.05, 0.95], 10)], 1)
    affine = np.concatenate([np.ones((20, 1)), target], 1)
    system = np.block([[distances(target, target), affine], [affine.T, np.zeros((3, 3))]])
    y, x = np.divmod(np.arange(PIXELS), WIDTH)
    pixel = np.stack([x / (WIDTH - 1), y / (HEIGHT - 1)], 1)
    terms = np.concatenate([distances(pixel, target), np.ones((PIXELS, 1)), pixel], 1)
    inverse = np.linalg.inv(system)[:, :20]
    return terms.astype(np.float32).astype(float) @ inverse.astype(np.float32).astype(float)


SPLINE = torch.from_numpy(spline())


def straighten(net: Network, image: Tensor, last_pool: int | tuple[int, int] = (1, 2)) -> Tensor:
    """The spatial transformer: `image` [N, 4, 16, 64], resampled; or a higher one, the last of whose poolings is another."""
    x = image
    for i, width in enumerate(STN_WIDTHS):
        own = f"stn_head.stn_convnet.{2 * i}"
        x = net.batch_norm(f"{own}.1", net.conv(f"{own}.0", x, width, 3)).relu()
        x = F.max_pool2d(x, 2) if i < 4 else F.max_pool2d(x, last_pool) if i == 4 else x
    x = net.batch_norm("stn_head.stn_fc1.1", net.linear("stn_head.stn_fc1.0", x.flatten(1), 512)).relu()
    control = net.linear("stn_head.stn_fc2", 0.1 * x, control_points().size).reshape(-1, 20, 2)
    source = (SPLINE.to(control.dtype) @ control).clamp(0, 1)
    grid = (2 * source - 1).reshape(-1, HEIGHT, WIDTH, 2)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def bicubic(x: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(x, size=(height, width), mode="bicubic", align_corners=True)


def guidance(net: Network, maps: Tensor, text: Tensor, length: Tensor, feature: Tensor, sizes: Sizes) -> Tensor:
    """Attention maps [N, 26, 16, 64], class scores [N, 26, 37] and lengths [N] of a reading, and the first convolution's
    feature [N, C, 16, 64], to the guidance of that shape."""
    path, width = "guidanceGen", sizes.width
    valid = torch.arange(abinet.STEPS) < length[:, None]
    score = (maps * valid[:, :, None, None]).max(1).values
    x = score[:, None]
    for i, channels in zip((0, 3), sizes.expansion):
        x = net.conv(f"{path}.attn_conv.{i}", x, channels, 3, bias=False)
        x = net.prelu(f"{path}.attn_conv.{i + 2}", net.batch_norm(f"{path}.attn_conv.{i + 1}", x))
    weights = net.conv(f"{path}.attn_conv.6", x, width, 3, bias=False).flatten(2).softmax(2)
    located = F.instance_norm(feature, eps=1e-5) * weights.unflatten(2, (HEIGHT, WIDTH))
    region = net.conv(f"{path}.DWC", located, width, 3)
    place = net.positions(PIXELS, width)
    tokens = region.flatten(2).transpose(1, 2) + place
    best = score.detach().flatten(1).argsort(dim=1, descending=True, stable=True)[:, : sizes.selected]
    selected = tokens.gather(1, best[:, :, None].expand(-1, -1, width))
    kept = tokens * torch.zeros_like(tokens[..., :1]).scatter(1, best[:, :, None], 1.0)
    words = net.linear(f"{path}.text_proj", text, width, bias=False) + maps.flatten(2) @ place
    for i in range(sizes.encoder_layers):
        words = net.encoder_layer(f"{path}.text_Encoder.layers.{i}", words, sizes.heads, sizes.inner)
    key = words
    for i in range(sizes.decoder_layers):
        key = net.decoder_layer(f"{path}.text_decoder.layers.{i}", key, selected, selected, sizes.heads, sizes.inner)
    for i in range(sizes.decoder_layers):
        kept = net.decoder_layer(f"{path}.sematic_decoder.layers.{i}", kept, key, words, sizes.heads, sizes.inner)
    return kept.transpose(1, 2).unflatten(2, (HEIGHT, WIDTH))


def fuse(net: Network, path: str, feature: Tensor, guide: Tensor) -> Tensor:
    """The adaptive fusion module."""
    width = feature.shape[1]

    def branch(own: str, x: Tensor) -> Tensor:
        x = net.batch_norm(f"{own}.1", net.conv(f"{own}.0", x, width, 1))
        return net.conv(f"{own}.3", net.prelu(f"{own}.2", x), width, 1)

    both = torch.cat([feature, net.batch_norm(f"{path}.BN", guide)], 1)
    first, second, third = (branch(f"{path}.conv1x1_{i}", both) for i in (1, 2, 3))
    own = f"{path}.channel_attn"
    weight = net.parameter(f"{own}.0.weight", width, 1, HEIGHT, WIDTH)
    a = F.conv2d(first, weight, net.parameter(f"{own}.0.bias", width), groups=width)
    a = net.conv(f"{own}.3", net.conv(f"{own}.1", a, width, 1).relu(), width, 1).relu()
    a = net.conv(f"{own}.5", a, width, 1).sigmoid()
    return net.batch_norm(f"{path}.BN2", third + branch(f"{path}.aggregation", a * second))


def block(net: Network, path: str, x: Tensor, guide: Tensor, hidden: int) -> Tensor:
    """A recurrent residual block."""
    n, width = x.shape[:2]
    y = F.mish(net.batch_norm(f"{path}.bn1", net.conv(f"{path}.conv1", x, width, 3)))
    y = net.batch_norm(f"{path}.bn2", net.conv(f"{path}.conv2", y, width, 3))
    y = fuse(net, f"{path}.affine", y, guide)
    columns = net.gru(f"{path}.gru1.gru", y.permute(0, 3, 2, 1).flatten(0, 1), hidden)
    y = columns.unflatten(0, (n, WIDTH)).permute(0, 3, 2, 1)
    r = net.batch_norm(f"{path}.BN", x + y)
    rows = net.gru(f"{path}.gru2.gru", r.permute(0, 2, 3, 1).flatten(0, 1), hidden)
    return rows.unflatten(0, (n, HEIGHT)).permute(0, 3, 1, 2)


def read(net: Network, image: Tensor, sizes: Sizes) -> dict[str, Tensor]:
    """What the recognizer inside sees and says of `image` [N, 4, 16, 64]: its input, class scores of the vision and the language
    model, their lengths, attention maps [N, 26, 16, 64]."""
    prior = "position_prior"
    enlarged = bicubic(image[:, :3].detach(), 32, 128)
    seen, attention, _ = abinet.vision(net, f"{prior}.vision", enlarged, sizes.prior)
    length = abinet.lengths(seen)
    text, _ = abinet.language(net, f"{prior}.language", seen, length, sizes.prior)
    return {
        "prior_input": enlarged,
        "img_logits": seen,
        "text_logits": text,
        "vision_lengths": length,
        "pt_lengths": abinet.lengths(text),
        "attn_map": bicubic(attention, HEIGHT, WIDTH),
    }


def enlarge(net: Network, image: Tensor, sizes: Sizes) -> dict[str, Tensor]:
    """The result `sr` [N, 4, 32, 128] of `image` [N, 4, 16, 64], and on the way to it what was read and the guidance."""
    reading = read(net, image, sizes)
    first = net.prelu("block1.1", net.conv("block1.0", image, sizes.width, 9))
    guide = guidance(net, reading["attn_map"], reading["text_logits"], reading["pt_lengths"], first, sizes)
    x = first
    for i in range(sizes.blocks):
        x = block(net, f"block{2 + i}", x, guide, sizes.hidden)
    end = 2 + sizes.blocks
    x = first + net.batch_norm(f"block{end}.1", net.conv(f"block{end}.0", x, sizes.width, 3))
    x = F.mish(F.pixel_shuffle(net.conv(f"block{end + 1}.0.conv", x, 4 * sizes.width, 3), 2))
    return reading | {"guidance": guide, "sr": net.conv(f"block{end + 1}.1", x, 4, 9).tanh()}


def losses(net: Network, low: Tensor, high: Tensor, ids: Tensor, sizes: Sizes) -> dict[str, Tensor]:
    """The loss of a batch, low [N, 4, 16, 64], high [N, 4, 32, 128], classes [N, 26], and its parts."""
    values = enlarge(net, straighten(net, low), sizes)
    mse = F.mse_loss(values["sr"], high)

    def doubled(logits: Tensor) -> Tensor:
        """Cross entropy that takes probabilities for scores, over all steps."""
        return F.cross_entropy(logits.softmax(2).flatten(0, 1), ids.flatten())

    finetune = doubled(values["img_logits"]) + doubled(values["text_logits"])
    return {"loss": mse + 0.01 * finetune, "mse": mse, "finetune": finetune}
