"""CRNN, ASTER, MORAN, PARSeq and MATRN in evaluation, written for PyTorch from the description of the networks: what
`../peers/recognizers.py` measures.

    python recognizers.py FOLDER     reads the images of FOLDER's recognizers.safetensors and recognizers2.safetensors, and
                                     compares what is read with their texts

Each takes images [N, 3, 32, 128], RGB in [0, 1], and returns the classes that it reads, [N, T]."""

import json
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import abinet
from layers import Network
from procedural import Procedural

DIGITS, LETTERS = "0123456789", "abcdefghijklmnopqrstuvwxyz"
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
LUMA = (0.299, 0.587, 0.114)


class Recognizer(Network):
    """Tensors by name, procedural ones."""

    def __init__(self, model: str, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(1, dtype, training=False)
        self.initial = Procedural(model)

    def tensors(self, path: str, *leaves: tuple[str, tuple[int, ...]]) -> list[Tensor]:
        return [self.parameter(f"{path}.{leaf}", *shape) for leaf, shape in leaves]

    def lstm(self, path: str, x: Tensor, hidden: int, layers: int = 1) -> Tensor:
        """Bidirectional, over sequences [N, L, C]."""
        flat, width = [], x.shape[2]
        for layer in range(layers):
            for end in (f"l{layer}", f"l{layer}_reverse"):
                shapes = {"weight_ih": (4 * hidden, width), "weight_hh": (4 * hidden, hidden)}
                shapes |= {"bias_ih": (4 * hidden,), "bias_hh": (4 * hidden,)}
                flat += self.tensors(path, *((f"{leaf}_{end}", shape) for leaf, shape in shapes.items()))
            width = 2 * hidden
        start = x.new_zeros(2 * layers, x.shape[0], hidden)
        return torch.lstm(x, (start, start), flat, True, layers, 0.0, False, True, True)[0]

    def gru_cell(self, path: str, x: Tensor, state: Tensor, end: str = "") -> Tensor:
        hidden, width = state.shape[1], x.shape[1]
        shapes = {"weight_ih": (3 * hidden, width), "weight_hh": (3 * hidden, hidden)}
        shapes |= {"bias_ih": (3 * hidden,), "bias_hh": (3 * hidden,)}
        return torch.gru_cell(x, state, *self.tensors(path, *((leaf + end, shape) for leaf, shape in shapes.items())))

    def norm(self, path: str, x: Tensor, eps: float) -> Tensor:
        weight, bias = self.tensors(path, ("weight", (x.shape[-1],)), ("bias", (x.shape[-1],)))
        return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def narrow(image: Tensor) -> Tensor:
    """What CRNN and MORAN see: 32×100, gray."""
    x = F.interpolate(image, (32, 100), mode="bicubic", align_corners=False)
    return (x * torch.tensor(LUMA, dtype=x.dtype)[:, None, None]).sum(1, keepdim=True)


def crnn_scores(net: Recognizer, image: Tensor) -> Tensor:
    """Class scores [N, 26, 37]."""
    x = narrow(image)
    for i, width in enumerate((64, 128, 256, 256, 512, 512, 512)):
        size = 2 if i == 6 else 3
        weight, bias = net.tensors(f"cnn.conv{i}", ("weight", (width, x.shape[1], size, size)), ("bias", (width,)))
        x = F.conv2d(x, weight, bias, padding=0 if i == 6 else 1)
        x = (net.batch_norm(f"cnn.batchnorm{i}", x) if i in (2, 4, 6) else x).relu()
        if i in (0, 1):
            x = F.max_pool2d(x, 2)
        if i in (3, 5):
            x = F.max_pool2d(x, 2, (2, 1), (0, 1))
    x = x.squeeze(2).transpose(1, 2)
    x = net.linear("rnn.0.embedding", net.lstm("rnn.0.rnn", x, 256), 256)
    return net.linear("rnn.1.embedding", net.lstm("rnn.1.rnn", x, 256), 37)


def crnn(net: Recognizer, image: Tensor) -> Tensor:
    return crnn_scores(net, image).argmax(2)


def spline(height: int, width: int) -> Tensor:
    """The matrix [height·width, 20] from control points to the source of every pixel, a thin-plate spline."""
    def distances(a, b):
        square = ((a[:, None] - b[None]) ** 2).sum(2)
        return 0.5 * square * np.log(np.where(square > 0, square, 1.0))

    row = 0.05 + 0.9 * np.arange(10) / 9.0
    target = np.stack([np.tile(row, 2), np.repeat([0.05, 0.95], 10)], 1)
    plane = np.concatenate([np.ones((20, 1)), target], 1)
    system = np.block([[distances(target, target), plane], [plane.T, np.zeros((3, 3))]])
    y, x = np.divmod(np.arange(height * width), width)
    pixel = np.stack([x / (width - 1), y / (height - 1)], 1)
    terms = np.concatenate([distances(pixel, target), np.ones((len(pixel), 1)), pixel], 1)
    return torch.from_numpy(terms @ np.linalg.inv(system)[:, :20])


SPLINE = spline(32, 100)


def aster(net: Recognizer, image: Tensor) -> Tensor:
    """The best of five beams after a hundred steps."""
    image = 2 * image - 1
    n = len(image)
    x = F.interpolate(image, (32, 64), mode="bilinear", align_corners=True)
    for i, width in enumerate((32, 64, 128, 256, 256, 256)):
        own = f"stn_head.stn_convnet.{2 * i}"
        x = net.batch_norm(f"{own}.1", net.conv(f"{own}.0", x, width, 3)).relu()
        x = F.max_pool2d(x, 2) if i < 5 else x
    x = net.batch_norm("stn_head.stn_fc1.1", net.linear("stn_head.stn_fc1.0", x.flatten(1), 512)).relu()
    control = net.linear("stn_head.stn_fc2", 0.1 * x, 40).reshape(n, 20, 2)
    grid = 2 * (SPLINE.to(x.dtype) @ control).clamp(0, 1) - 1
    x = F.grid_sample(image, grid.reshape(n, 32, 100, 2), padding_mode="zeros", align_corners=False)

    x = net.batch_norm("encoder.layer0.1", net.conv("encoder.layer0.0", x, 32, 3, bias=False)).relu()
    strides = ((2, 2), (2, 2), (2, 1), (2, 1), (2, 1))
    for stage, (width, blocks, stride) in enumerate(zip((32, 64, 128, 256, 512), (3, 4, 6, 6, 3), strides), 1):
        for block in range(blocks):
            own, step = f"encoder.layer{stage}.{block}", stride if block == 0 else 1
            y = net.batch_norm(f"{own}.bn1", net.conv(f"{own}.conv1", x, width, 1, step, bias=False)).relu()
            y = net.batch_norm(f"{own}.bn2", net.conv(f"{own}.conv2", y, width, 3, bias=False))
            if block == 0:
                x = net.batch_norm(f"{own}.downsample.1", net.conv(f"{own}.downsample.0", x, width, 1, step, bias=False))
            x = (x + y).relu()
    x = net.lstm("encoder.rnn", x.squeeze(2).transpose(1, 2), 256, 2)
    return beam_search(net, x)


BEAMS, STEPS, END, CLASSES = 5, 100, 94, 97


def beam_search(net: Recognizer, x: Tensor) -> Tensor:
    own, n = "decoder.decoder", len(x)
    table = net.parameter(f"{own}.tgt_embedding.weight", CLASSES + 1, 512)
    keys = net.linear(f"{own}.attention_unit.xEmbed", x, 512).repeat_interleave(BEAMS, 0)
    x = x.repeat_interleave(BEAMS, 0)
    state, symbols = x.new_zeros(n * BEAMS, 512), torch.full((n * BEAMS,), CLASSES)
    scores = torch.tensor([0.0] + [-math.inf] * (BEAMS - 1)).repeat(n, 1)
    base = torch.arange(n)[:, None] * BEAMS
    history = []
    for _ in range(STEPS):
        query = net.linear(f"{own}.attention_unit.sEmbed", state, 512)
        energy = net.linear(f"{own}.attention_unit.wEmbed", torch.tanh(query[:, None] + keys), 1)
        context = (energy.softmax(1) * x).sum(1)
        state = net.gru_cell(f"{own}.gru", torch.cat([table[symbols], context], 1), state, "_l0")
        each = net.linear(f"{own}.fc", state, CLASSES).log_softmax(1) + scores.reshape(-1, 1)
        scores, best = each.reshape(n, -1).topk(BEAMS, 1)
        parents, symbols = best // CLASSES, best % CLASSES
        state = state[(parents + base).flatten()]
        history.append((scores, parents, symbols))
        scores = scores.masked_fill(symbols == END, -math.inf)
        symbols = symbols.flatten()
    return torch.tensor([walked_back([[t[i].tolist() for t in step] for step in history]) for i in range(n)])


def walked_back(history: list) -> list[int]:
    """The symbols of the best hypothesis of one image, of the scores, parents and symbols of each step."""
    order = sorted(range(BEAMS), key=lambda b: -history[-1][0][b])
    result, at, found = [history[-1][0][b] for b in order], order, 0
    sequences = [[] for _ in range(BEAMS)]
    for scores, parents, symbols in reversed(history):
        for of, b in zip(sequences, at):
            of.append(symbols[b])
        at = [parents[b] for b in at]
        for b in reversed(range(BEAMS)):
            if symbols[b] == END:
                slot = BEAMS - 1 - found % BEAMS
                found += 1
                # What this slot walked behind its end was another hypothesis.
                sequences[slot] = [END] * len(sequences[slot])
                at[slot], result[slot] = parents[b], scores[b]
    best = max(range(BEAMS), key=lambda b: result[b])
    return sequences[best][::-1]


def moran(net: Recognizer, image: Tensor) -> Tensor:
    image = narrow(image)
    n = len(image)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 100), indexing="ij")
    base = torch.stack([x, y], 2).to(image.dtype).expand(n, -1, -1, -1)

    def sampled(what: Tensor, shift: Tensor) -> Tensor:
        grid = torch.stack([base[..., 0], base[..., 1] + shift], 3)
        return F.grid_sample(what, grid, padding_mode="zeros", align_corners=False)

    def shifts(x: Tensor) -> Tensor:
        x = F.max_pool2d(x, 2)
        for i, (at, width) in enumerate(((1, 64), (5, 128), (9, 64), (12, 16), (15, 1))):
            x = net.batch_norm(f"MORN.cnn.{at + 1}", net.conv(f"MORN.cnn.{at}", x, width, 3))
            x = x if i == 4 else x.relu()
            x = F.max_pool2d(x, 2) if i < 2 else x
        offsets = F.max_pool2d(x.relu(), 2, 1) - F.max_pool2d((-x).relu(), 2, 1)
        return F.grid_sample(offsets, base, padding_mode="zeros", align_corners=False)[:, 0]

    shift = shifts(image)
    shift = shift + shifts(sampled(image, shift))
    x = sampled(image, shift)

    x = net.batch_norm("ASRN.cnn.block0.1", net.conv("ASRN.cnn.block0.0", x, 32, 3))
    strides = (2, 2, (2, 1), (2, 1), (2, 1))
    for stage, (width, blocks, stride) in enumerate(zip((32, 64, 128, 256, 512), (3, 4, 6, 6, 3), strides), 1):
        for block in range(blocks):
            own, size, step = f"ASRN.cnn.block{stage}.{block}", 1 if block else 3, 1 if block else stride
            y = net.batch_norm(f"{own}.conv1.1", net.conv(f"{own}.conv1.0", x, width, size, step))
            y = net.batch_norm(f"{own}.conv2.1", net.conv(f"{own}.conv2.0", y, width, 3))
            if block == 0:
                x = net.batch_norm(f"{own}.downsample.1", net.conv(f"{own}.downsample.0", x, width, 3, step))
            x = (x + y).relu()
    x = x.squeeze(2).transpose(1, 2)
    for i in range(2):
        x = net.linear(f"ASRN.rnn.{i}.embedding", net.lstm(f"ASRN.rnn.{i}.rnn", x, 256), 256)

    own = "ASRN.attentionL2R"
    table = net.parameter(f"{own}.char_embeddings", 38, 256)
    keys = net.linear(f"{own}.attention_cell.i2h", x, 256, bias=False)
    state, symbols, read = x.new_zeros(n, 256), torch.zeros(n, dtype=torch.int64), []
    for _ in range(20):
        query = net.linear(f"{own}.attention_cell.h2h", state, 256)
        energy = net.linear(f"{own}.attention_cell.score", torch.tanh(keys + query[:, None]), 1, bias=False)
        context = (energy.softmax(1) * x).sum(1)
        state = net.gru_cell(f"{own}.attention_cell.rnn", torch.cat([context, table[symbols]], 1), state)
        read.append(net.linear(f"{own}.generator", state, 37).argmax(1))
        symbols = read[-1] + 1
    return torch.stack(read, 1)


def parseq(net: Recognizer, image: Tensor) -> Tensor:
    weight, bias = net.tensors("encoder.patch_embed.proj", ("weight", (384, 3, 4, 8)), ("bias", (384,)))
    x = F.conv2d(2 * image - 1, weight, bias, (4, 8)).flatten(2).transpose(1, 2)
    n = len(x)
    x = x + net.parameter("encoder.pos_embed", 1, 128, 384)
    for i in range(12):
        own = f"encoder.blocks.{i}"
        packed = net.linear(f"{own}.attn.qkv", net.norm(f"{own}.norm1", x, 1e-6), 1152)
        q, k, v = packed.reshape(n, 128, 3, 6, 64).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, 128, 384)
        x = x + net.linear(f"{own}.attn.proj", mixed, 384)
        hidden = F.gelu(net.linear(f"{own}.mlp.fc1", net.norm(f"{own}.norm2", x, 1e-6), 1536))
        x = x + net.linear(f"{own}.mlp.fc2", hidden, 384)
    memory = net.norm("encoder.norm", x, 1e-6)

    table = net.parameter("text_embed.embedding.weight", 97, 384)
    places = net.parameter("pos_queries", 1, 26, 384)

    def decoded(queries: Tensor, ids: Tensor, hidden: Tensor | None) -> Tensor:
        own = "decoder.layers.0"
        content = math.sqrt(384) * table[ids]
        content = torch.cat([content[:, :1], content[:, 1:] + places[:, : ids.shape[1] - 1]], 1)
        content = net.norm(f"{own}.norm_c", content, 1e-5)
        q = queries + net.attention(f"{own}.self_attn", net.norm(f"{own}.norm_q", queries, 1e-5), content, content, 12, hidden)
        q = q + net.attention(f"{own}.cross_attn", net.norm(f"{own}.norm1", q, 1e-5), memory, memory, 12)
        inner = F.gelu(net.linear(f"{own}.linear1", net.norm(f"{own}.norm2", q, 1e-5), 1536))
        q = q + net.linear(f"{own}.linear2", inner, 384)
        return net.linear("head", net.norm("decoder.norm", q, 1e-5), 95)

    ids = torch.full((n, 1), 95)
    ended = torch.zeros(n, dtype=torch.bool)
    for i in range(26):
        symbols = decoded(places[:, i : i + 1].expand(n, -1, -1), ids, None)[:, 0].argmax(1)
        ended |= symbols == 0
        if i == 25 or ended.all():
            break
        ids = torch.cat([ids, symbols[:, None]], 1)
    # Once more with both sides: nobody sees its own symbol, or anything from the first end on.
    step = torch.arange(ids.shape[1])
    own = step[None] == torch.arange(26)[:, None] + 1
    hidden = own[None] | ((ids == 0).cumsum(1) > 0)[:, None]
    return decoded(places.expand(n, -1, -1), ids, hidden).argmax(2)


SIZES = abinet.Sizes(
    planes=(32, 64, 128, 256, 512), blocks=(3, 4, 6, 6, 3), heads=8, inner=2048, vision_layers=3, language_layers=4, unet=64
)


def matrn(net: Recognizer, image: Tensor) -> Tensor:
    seen, maps, _, feature = abinet.look(net, "vision", image, SIZES)
    tokens = feature.flatten(2).transpose(1, 2)
    own, codes = "semantic_visual", net.positions(256, 512)
    for _ in range(3):
        _, read = abinet.language(net, "language", seen, abinet.lengths(seen), SIZES)
        z = torch.cat([tokens, read + maps.flatten(2) @ codes], 1)
        for i in range(2):
            z = net.encoder_layer(f"{own}.model1.layers.{i}", z, 8, 2048)
        v, _ = abinet.attend(net, f"{own}.model2_vis", z[:, :256].transpose(1, 2).unflatten(2, abinet.CELLS), SIZES)
        s = z[:, 256:]
        gate = net.linear(f"{own}.w_att", torch.cat([v, s], 2), 512).sigmoid()
        seen = net.linear(f"{own}.cls", gate * v + (1 - gate) * s, 37)
    return seen.argmax(2)


def spelled(alphabet: str, end: int):
    """The text of classes up to the end, without those that are no letters."""
    def text(row: list[int]) -> str:
        row = row[: row.index(end)] if end in row else row
        return "".join(alphabet[c] for c in row if c < len(alphabet))

    return text


def best_path(row: list[int]) -> str:
    kept = (c for before, c in zip([0, *row], row) if c and c != before)
    return "".join((DIGITS + LETTERS)[c - 1] for c in kept)


def plain(text: str) -> str:
    return "".join(c for c in text.lower() if c in DIGITS + LETTERS)


# By the name of a network: it, the text of its classes, and the file of references that it is in.
ALL = {
    "CRNN": (crnn, best_path, "recognizers"),
    "ASTER": (aster, lambda row: plain(spelled(DIGITS + LETTERS + LETTERS.upper() + PUNCTUATION, 94)(row)), "recognizers"),
    "MORAN": (moran, spelled(DIGITS + LETTERS, 36), "recognizers"),
    "PARSeq": (parseq, spelled("\0" + DIGITS + LETTERS + LETTERS.upper() + PUNCTUATION, 0), "recognizers2"),
    "MATRN": (matrn, spelled("\0" + LETTERS + "1234567890", 0), "recognizers2"),
}


def main(folder: str) -> None:
    from safetensors import safe_open

    torch.set_grad_enabled(False)
    for name, (network, text, file) in ALL.items():
        with safe_open(f"{folder}/{file}.safetensors", "pt") as reference:
            image = reference.get_tensor("input.rec_u8").float() / 255
            expected = json.loads(reference.metadata()["info"])[f"{name.lower()}.text"]
        read = [text(row) for row in network(Recognizer(name.lower()), image).tolist()]
        print(name, "as expected" if read == expected else f"expected {expected}, got {read}")


if __name__ == "__main__":
    main(sys.argv[1])
