"""The networks that LEMMA is compared with, from images [N, C, 16, 64] to images [N, C, 32, 128]. Each is written by what its paper
and its authors' code say it computes; parts that do not reach the result are left out."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

import lemma
import recognizers
from layers import Network
from procedural import Procedural

HEIGHT, WIDTH = 16, 64
PIXELS = HEIGHT * WIDTH
CHANNELS, HIDDEN, BLOCKS = 64, 32, 5
STEPS = 26


def srcnn(net: Network, x: Tensor) -> Tensor:
    x = F.interpolate(x, scale_factor=2, mode="nearest")
    x = net.conv("conv1", x, 64, 9).relu()
    return net.conv("conv3", net.conv("conv2", x, 32, 1).relu(), 3, 5)


def conv_norm(net: Network, conv: str, norm: str, x: Tensor, out: int) -> Tensor:
    return net.batch_norm(norm, net.conv(conv, x, out, 3))


def head(net: Network, x: Tensor) -> Tensor:
    return net.prelu("block1.1", net.conv("block1.0", x, CHANNELS, 9))


def tail(net: Network, first: Tensor, x: Tensor, planes: int, prelu: bool = False) -> Tensor:
    x = first + conv_norm(net, "block7.0", "block7.1", x, CHANNELS)
    x = F.pixel_shuffle(net.conv("block8.0.conv", x, 4 * CHANNELS, 3), 2)
    x = net.prelu("block8.0.prelu", x) if prelu else F.mish(x)
    return net.conv("block8.1", x, planes, 9).tanh()


def srresnet(net: Network, image: Tensor) -> Tensor:
    x = first = head(net, image)
    for i in range(2, 2 + BLOCKS):
        y = conv_norm(net, f"block{i}.conv1", f"block{i}.bn1", x, CHANNELS)
        y = net.prelu(f"block{i}.prelu", y)
        x = x + conv_norm(net, f"block{i}.conv2", f"block{i}.bn2", y, CHANNELS)
    return tail(net, first, x, image.shape[1], prelu=True)


def columns(net: Network, path: str, x: Tensor) -> Tensor:
    """A 1×1 convolution, and a GRU down each column."""
    x = net.conv(f"{path}.conv1", x, CHANNELS, 1)
    y = net.gru(f"{path}.gru", x.permute(0, 3, 2, 1).flatten(0, 1), HIDDEN)
    return y.unflatten(0, (len(x), WIDTH)).permute(0, 3, 2, 1)


def rows(net: Network, path: str, x: Tensor) -> Tensor:
    """The same along each row."""
    x = net.conv(f"{path}.conv1", x, CHANNELS, 1)
    y = net.gru(f"{path}.gru", x.permute(0, 2, 3, 1).flatten(0, 1), HIDDEN)
    return y.unflatten(0, (len(x), HEIGHT)).permute(0, 3, 1, 2)


def two_convs(net: Network, path: str, x: Tensor) -> Tensor:
    y = F.mish(conv_norm(net, f"{path}.conv1", f"{path}.bn1", x, CHANNELS))
    return conv_norm(net, f"{path}.conv2", f"{path}.bn2", y, CHANNELS)


def sequential(net: Network, image: Tensor, guide=None) -> Tensor:
    """TSRN and what grew out of it; `guide` makes of the first feature what is joined to that of each block."""
    x = first = head(net, image)
    guidance = guide(first) if guide else None
    for i in range(2, 2 + BLOCKS):
        s = two_convs(net, f"block{i}", x)
        s = s if guidance is None else torch.cat([s, guidance], 1)
        x = rows(net, f"block{i}.gru2", x + columns(net, f"block{i}.gru1", s))
    return tail(net, first, x, image.shape[1])


def tsrn(net: Network, image: Tensor) -> Tensor:
    return sequential(net, image)


def straighten_enlarged(net: Network, image: Tensor) -> Tensor:
    """The spatial transformer of TSRN and PCAN: it sees and samples the image at twice its height."""
    enlarged = F.interpolate(image, size=(2 * HEIGHT, WIDTH), mode="bilinear", align_corners=True)
    return lemma.straighten(net, enlarged, last_pool=2)


def _places() -> Tensor:
    """Where a pixel lies, [PIXELS, 64]: its column in the first half, its row in the second; in float32."""
    half = CHANNELS // 2
    rate = torch.exp(torch.arange(0, half, 2, dtype=torch.float32) * -(math.log(10000.0) / half))

    def waves(places: Tensor) -> Tensor:
        angle = places[:, None] * rate
        return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)

    across, down = (waves(torch.arange(n, dtype=torch.float32)) for n in (WIDTH, HEIGHT))
    both = [across.expand(HEIGHT, WIDTH, half), down[:, None].expand(HEIGHT, WIDTH, half)]
    return torch.cat(both, 2).reshape(PIXELS, CHANNELS)


PLACES = _places()


def unbiased_norm(net: Network, path: str, x: Tensor) -> Tensor:
    width = x.shape[-1]
    scale, shift = net.parameter(f"{path}.a_2", width), net.parameter(f"{path}.b_2", width)
    return scale * (x - x.mean(2, keepdim=True)) / (x.std(2, keepdim=True) + 1e-6) + shift


def tbsrn(net: Network, image: Tensor) -> Tensor:
    x = first = head(net, image)
    for i in range(2, 2 + BLOCKS):
        s = two_convs(net, f"block{i}", x)
        path = f"block{i}.feature_enhancer"
        tokens = s.flatten(2).transpose(1, 2)
        t = torch.cat([tokens, PLACES.to(s.dtype).expand(len(s), PIXELS, CHANNELS)], 2)
        q, k, v = (
            net.linear(f"{path}.multihead.linears.{j}", t, 128).unflatten(2, (4, 32)).transpose(1, 2) for j in range(3)
        )
        mixed = ((q @ k.transpose(2, 3) / math.sqrt(32)).softmax(3) @ v).transpose(1, 2).flatten(2)
        o = unbiased_norm(net, f"{path}.mul_layernorm1", t + net.linear(f"{path}.multihead.linears.3", mixed, 128))
        f = net.linear(f"{path}.pff.w_2", net.linear(f"{path}.pff.w_1", o, 128).relu(), 128)
        u = net.linear(f"{path}.linear", unbiased_norm(net, f"{path}.mul_layernorm3", o + f), CHANNELS)
        x = x + u.transpose(1, 2).unflatten(2, (HEIGHT, WIDTH))
    return tail(net, first, x, image.shape[1])


def probabilities(reader: recognizers.Recognizer, image: Tensor) -> Tensor:
    """The prior of TATT and C3-STISR: what CRNN reads in the image."""
    return recognizers.crnn_scores(reader, image[:, :3]).softmax(2)


def interpreter(net: Network, feature: Tensor, prior: Tensor, together: bool) -> Tensor:
    """TATT's: pixels ask for text. Each image as if it were alone, or `together`, as released: the images are the time steps of
    the GRU that says where pixels lie, all with the same input."""
    path, heads = "infoGen", 4
    text = net.prelu(f"{path}.activation", net.linear(f"{path}.fc_in", prior, CHANNELS))
    place = net.positions(STEPS, CHANNELS)
    own = f"{path}.transformer.encoder.layers.0"
    twice = 2.0 * text
    y = net.layer_norm(
        f"{own}.norm1", twice + net.attention(f"{own}.self_attn", twice + place, twice + place, twice, heads)
    )
    memory = net.layer_norm(f"{own}.norm2", y + net.feed_forward(own, y, CHANNELS))
    table = net.parameter(f"{path}.init_factor.weight", PIXELS, CHANNELS)
    strung = table.unflatten(0, (HEIGHT, WIDTH)).transpose(0, 1).flatten(1)
    strung = strung[:, None].expand(-1, len(feature) if together else 1, -1)
    asked = net.gru(f"{path}.transformer.gru_encoding", strung, HEIGHT * CHANNELS // 2)
    asked = asked.unflatten(2, (HEIGHT, CHANNELS)).permute(1, 2, 0, 3).flatten(1, 2)
    z = feature.flatten(2).transpose(1, 2)
    said = []
    for i in range(2):
        own = f"{path}.transformer.decoder.layers.{i}"
        seen = net.attention(f"{own}.multihead_attn", z + asked, memory + place, memory, heads)
        z = net.layer_norm(f"{own}.norm2", z + seen)
        z = net.layer_norm(f"{own}.norm3", z + net.feed_forward(own, z, CHANNELS))
        said.append(net.layer_norm(f"{path}.transformer.decoder.norm", z))
    return (sum(said) / 2).transpose(1, 2).unflatten(2, (HEIGHT, WIDTH))


def tatt(net: Network, image: Tensor, prior: Tensor, together: bool = False) -> Tensor:
    return sequential(net, image, lambda first: interpreter(net, first, prior, together))


def projection(net: Network, path: str, prior: Tensor) -> Tensor:
    """C3-STISR's: what was read as a map."""
    x = prior.transpose(1, 2)[:, :, None]
    for i, (width, stride, pad) in enumerate([(512, 2, 0), (128, 2, 0), (64, 2, 1), (32, (2, 1), 1)], 1):
        weight = net.parameter(f"{path}.tconv{i}.weight", x.shape[1], width, 3, 3)
        x = net.batch_norm(f"{path}.bn{i}", F.conv_transpose2d(x, weight, stride=stride, padding=pad)).relu()
    return F.interpolate(x, size=(HEIGHT, WIDTH), mode="bilinear", align_corners=True)


def c3(net: Network, image: Tensor, prior: Tensor) -> Tensor:
    """As released, where the fused clues do not reach the blocks."""
    return sequential(net, image, lambda _: projection(net, "infoGen", prior))


def gates(net: Network, path: str, mean: Tensor) -> Tensor:
    """Squeeze and excitation without biases, of the means of channels [N, C]."""
    width = mean.shape[1]
    hidden = net.linear(f"{path}.0", mean, width // 16, bias=False).relu()
    return net.linear(f"{path}.2", hidden, width, bias=False).sigmoid()[:, :, None, None]


def higher_order(net: Network, path: str, x: Tensor) -> Tensor:
    """PCAN's attention over the outputs of all blocks."""
    width = x.shape[1] // 4
    a = net.conv(f"{path}.conv1", x, width, 1)
    seen = []
    for name, kernel in (("vertical", (3, 1)), ("horizontal", (1, 3))):
        weight = net.parameter(f"{path}.{name}_conv_weight", width, width, *kernel)
        bias = net.parameter(f"{path}.{name}_conv_bias", width)
        for d in (1, 2, 3):
            pad = (d, 0) if name == "vertical" else (0, d)
            seen.append(F.conv2d(a, weight, bias, 2, pad, d))
    both = torch.cat(seen, 1)
    both = both * gates(net, f"{path}.se.fc", both.mean((2, 3)))
    u = F.max_pool2d(net.conv(f"{path}.conv_reduce", both, width, 3), 8, 4)
    u = net.conv(f"{path}.conv3", net.conv(f"{path}.conv_max", u, width, 3).relu(), width, 3).relu()
    u = F.interpolate(net.conv(f"{path}.conv3_", u, width, 3), size=x.shape[2:], mode="bilinear", align_corners=False)
    return x * net.conv(f"{path}.conv4", net.conv(f"{path}.conv_f", a, width, 1) + u, x.shape[1], 1).sigmoid()


def pcan(net: Network, image: Tensor) -> Tensor:
    maps = [head(net, image)]
    for i in range(2, 2 + BLOCKS):
        path = f"block{i}"
        c = net.conv(f"{path}.conv_reduce", torch.cat(maps, 1), CHANNELS, 1)
        r = F.mish(conv_norm(net, f"{path}.conv1", f"{path}.bn1", c, CHANNELS))
        across = rows(net, f"{path}.gru1", c + conv_norm(net, f"{path}.conv2_w", f"{path}.bn2_w", r, CHANNELS))
        down = columns(net, f"{path}.gru2", c + conv_norm(net, f"{path}.conv2_h", f"{path}.bn2_h", r, CHANNELS))
        both = torch.cat([down, across], 1)
        both = both * gates(net, f"{path}.fs.fc", both.mean((2, 3)))
        maps.append(F.mish(conv_norm(net, f"{path}.conv3", f"{path}.bn3", both, CHANNELS)))
    x = higher_order(net, "spatial_attention", torch.cat(maps[1:], 1))
    return tail(net, maps[0], x, image.shape[1])


def rise(net: Network, x: Tensor) -> Tensor:
    """The end of RCAN and SAN."""
    return net.conv("tail.1", F.pixel_shuffle(net.conv("tail.0.0", x, 4 * CHANNELS, 3), 2), 3, 3)


def channel_attention(net: Network, path: str, x: Tensor, summary: Tensor) -> Tensor:
    hidden = net.conv(f"{path}.0", summary, 4, 1).relu()
    return x * net.conv(f"{path}.2", hidden, CHANNELS, 1).sigmoid()


def rcan(net: Network, image: Tensor) -> Tensor:
    """Of values from 0 to 255."""
    x = first = net.conv("head.0", net.conv("sub_mean", image, 3, 1), CHANNELS, 3)
    for g in range(10):
        source = x
        for b in range(20):
            path = f"body.{g}.body.{b}.body"
            y = net.conv(f"{path}.2", net.conv(f"{path}.0", x, CHANNELS, 3).relu(), CHANNELS, 3)
            x = x + channel_attention(net, f"{path}.3.conv_du", y, y.mean((2, 3), keepdim=True))
        x = source + net.conv(f"body.{g}.body.20", x, CHANNELS, 3)
    return net.conv("add_mean", rise(net, first + net.conv("body.10", x, CHANNELS, 3)), 3, 1)


def non_local(net: Network, x: Tensor) -> Tensor:
    """SAN's: each quarter of the image attends to itself."""
    path = "non_local.non_local"

    def quarter(x: Tensor) -> Tensor:
        theta = net.conv(f"{path}.theta", x, 8, 1).flatten(2)
        phi, values = (F.max_pool2d(net.conv(f"{path}.{name}.0", x, 8, 1), 2).flatten(2) for name in ("phi", "g"))
        mixed = (theta.transpose(1, 2) @ phi).softmax(2) @ values.transpose(1, 2)
        return x + net.conv(f"{path}.W", mixed.transpose(1, 2).unflatten(2, x.shape[2:]), CHANNELS, 1)

    halves = [torch.cat([quarter(part) for part in half.chunk(2, 3)], 3) for half in x.chunk(2, 2)]
    return torch.cat(halves, 2)


def second_order(net: Network, path: str, x: Tensor) -> Tensor:
    """SAN's channel attention: the mean rows of the root of the features' covariance, by Newton and Schulz."""
    flat = x.flatten(2)
    centered = flat - flat.mean(2, keepdim=True)
    covariance = centered @ centered.transpose(1, 2) / flat.shape[2]
    trace = covariance.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    three = 3.0 * torch.eye(x.shape[1], dtype=x.dtype)
    a = covariance / trace
    z = 0.5 * (three - a)
    y = a @ z
    for _ in range(3):
        t = 0.5 * (three - z @ y)
        y, z = y @ t, t @ z
    root = 0.5 * y @ (three - z @ y) * trace.sqrt()
    return channel_attention(net, f"{path}.conv_du", x, root.mean(1)[:, :, None, None])


def san(net: Network, image: Tensor) -> Tensor:
    first = net.conv("head.0", image, CHANNELS, 3)
    x = source = non_local(net, first)
    for g in range(20):
        y = x
        for b in range(10):
            path = f"RG.{g}.rcab.{b}.conv_first"
            y = y + net.conv(f"{path}.2", net.conv(f"{path}.0", y, CHANNELS, 3).relu(), CHANNELS, 3)
        y = net.conv(f"RG.{g}.conv_last", second_order(net, f"RG.{g}.soca", y), CHANNELS, 3)
        x = x + y + net.parameter("gamma", 1) * source
    return rise(net, first + non_local(net, x))


NETWORKS = {
    "srcnn": srcnn,
    "srres": srresnet,
    "tsrn": tsrn,
    "tbsrn": tbsrn,
    "tg": tsrn,
    "tatt": tatt,
    "c3": c3,
    "pcan": pcan,
    "rcan": rcan,
    "san": san,
}


def network(key: str, dtype: torch.dtype = torch.float32, training: bool = False) -> Network:
    """The tensors of one, procedural ones."""
    net = Network(1, dtype, training=training)
    net.initial = Procedural(key)
    return net


# Networks with a mask of dark pixels as a fourth channel, and those that a recognizer guides.
MASKED = ("srres", "tsrn", "tatt", "c3", "pcan")
GUIDED = ("tatt", "c3")
