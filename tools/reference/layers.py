"""What both networks are built of. A network is its tensors by name: a layer asks for those it needs, and the first asking
makes them. Names and shapes are those of the published checkpoints, images are [N, C, H, W] and sequences [N, L, C]."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from seeded import Initial, sinusoids


class Network:
    """Tensors by name, in one floating-point type."""

    def __init__(self, seed: int, dtype: torch.dtype, disturb: float = 0.0, training: bool = True) -> None:
        """With `disturb` every initial weight is off by that share of itself, at random."""
        self.initial = Initial(seed)
        self.dtype = dtype
        self.disturb = disturb
        self.training = training
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}

    def parameter(self, name: str, *shape: int) -> Tensor:
        if name not in self.parameters:
            value = torch.tensor(self.initial(name, shape)).to(self.dtype)
            value = value * (1.0 + self.disturb * (2.0 * torch.rand_like(value) - 1.0))
            self.parameters[name] = value.requires_grad_()
        return self.parameters[name]

    def buffer(self, name: str, *shape: int) -> Tensor:
        if name not in self.buffers:
            self.buffers[name] = torch.tensor(self.initial(name, shape)).to(self.dtype)
        return self.buffers[name]

    def positions(self, rows: int, width: int) -> Tensor:
        return torch.tensor(sinusoids(rows, width)).to(self.dtype)

    def conv(self, path: str, x: Tensor, out: int, size: int, stride: int | tuple[int, int] = 1, bias: bool = True) -> Tensor:
        weight = self.parameter(f"{path}.weight", out, x.shape[1], size, size)
        shift = self.parameter(f"{path}.bias", out) if bias else None
        return F.conv2d(x, weight, shift, stride, size // 2)

    def linear(self, path: str, x: Tensor, out: int, bias: bool = True) -> Tensor:
        weight = self.parameter(f"{path}.weight", out, x.shape[-1])
        return F.linear(x, weight, self.parameter(f"{path}.bias", out) if bias else None)

    def batch_norm(self, path: str, x: Tensor) -> Tensor:
        """In training by the statistics of the batch, which the running ones follow."""
        width = x.shape[1]
        weight, bias = (self.parameter(f"{path}.{leaf}", width) for leaf in ("weight", "bias"))
        mean, var = (self.buffer(f"{path}.running_{leaf}", width) for leaf in ("mean", "var"))
        return F.batch_norm(x, mean, var, weight, bias, training=self.training, momentum=0.1, eps=1e-5)

    def layer_norm(self, path: str, x: Tensor) -> Tensor:
        weight, bias = (self.parameter(f"{path}.{leaf}", x.shape[-1]) for leaf in ("weight", "bias"))
        return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-5)

    def prelu(self, path: str, x: Tensor) -> Tensor:
        return F.prelu(x, self.parameter(f"{path}.weight", 1))

    def attention(
        self, path: str, query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None = None
    ) -> Tensor:
        """Multi-head attention with one packed projection; `mask` [N, Lq, Lk] is true where nothing may be seen."""
        width = query.shape[-1]
        weights = self.parameter(f"{path}.in_proj_weight", 3 * width, width).chunk(3)
        biases = self.parameter(f"{path}.in_proj_bias", 3 * width).chunk(3)

        def split(x: Tensor, i: int) -> Tensor:
            projected = F.linear(x, weights[i], biases[i])
            return projected.reshape(*x.shape[:2], heads, width // heads).transpose(1, 2)

        q, k, v = (split(x, i) for i, x in enumerate((query, key, value)))
        scores = (q * (width // heads) ** -0.5) @ k.transpose(2, 3)
        if mask is not None:
            scores = scores.masked_fill(mask[:, None], -math.inf)
        mixed = (scores.softmax(3) @ v).transpose(1, 2).reshape(query.shape)
        return self.linear(f"{path}.out_proj", mixed, width)

    def feed_forward(self, path: str, x: Tensor, inner: int) -> Tensor:
        return self.linear(f"{path}.linear2", self.linear(f"{path}.linear1", x, inner).relu(), x.shape[-1])

    def encoder_layer(self, path: str, x: Tensor, heads: int, inner: int) -> Tensor:
        x = self.layer_norm(f"{path}.norm1", x + self.attention(f"{path}.self_attn", x, x, x, heads))
        return self.layer_norm(f"{path}.norm2", x + self.feed_forward(path, x, inner))

    def decoder_layer(
        self, path: str, query: Tensor, key: Tensor, value: Tensor, heads: int, inner: int, mask: Tensor | None = None
    ) -> Tensor:
        """A layer of cross attention alone."""
        attended = self.attention(f"{path}.multihead_attn", query, key, value, heads, mask)
        x = self.layer_norm(f"{path}.norm2", query + attended)
        return self.layer_norm(f"{path}.norm3", x + self.feed_forward(path, x, inner))

    def gru(self, path: str, x: Tensor, hidden: int) -> Tensor:
        """A bidirectional layer on sequences [N, L, C]: [N, L, 2·hidden]."""
        flat = [
            self.parameter(f"{path}.{kind}_{to}_l0{direction}", 3 * hidden, *([width] if kind == "weight" else []))
            for direction in ("", "_reverse")
            for kind in ("weight", "bias")
            for to, width in (("ih", x.shape[2]), ("hh", hidden))
        ]
        start = x.new_zeros(2, x.shape[0], hidden)
        return torch.gru(x, start, flat, True, 1, 0.0, True, True, True)[0]
