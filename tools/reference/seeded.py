"""Numbers that follow from a seed and a name: initial weights and batches. The tests in Rust make the same ones."""

import math

import numpy as np

GAMMA = 0x9E3779B97F4A7C15
WORD = (1 << 64) - 1


def _mix(z: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Stream:
    """The random numbers of one name."""

    def __init__(self, seed: int, name: str) -> None:
        key = 0xCBF29CE484222325
        for byte in name.encode():
            key = ((key ^ byte) * 0x100000001B3) & WORD
        self.key = key ^ int(_mix(np.array([(seed + GAMMA) & WORD], np.uint64))[0])

    def unit(self, count: int) -> np.ndarray:
        """The first `count` numbers, in [0, 1)."""
        index = np.arange(1, count + 1, dtype=np.uint64)
        return (_mix(np.uint64(self.key) + index * np.uint64(GAMMA)) >> np.uint64(40)) / 2.0**24

    def signed(self, count: int) -> np.ndarray:
        """The same numbers, in [-1, 1)."""
        return 2.0 * self.unit(count) - 1.0


def control_points() -> np.ndarray:
    """Where the spatial transformer's 20 control points start, (x, y) after (x, y)."""
    row = 0.01 + 0.98 * np.arange(10) / 9.0
    return np.stack([np.tile(row, 2), np.repeat([0.01, 0.99], 10)], 1).ravel()


def sinusoids(rows: int, width: int) -> np.ndarray:
    """The table of positions [rows, width], every step in float32."""
    rate = np.exp(np.arange(0, width, 2, dtype=np.float32) * np.float32(-math.log(10000.0) / width))
    angle = np.arange(rows, dtype=np.float32)[:, None] * rate
    return np.stack([np.sin(angle), np.cos(angle)], 2).reshape(rows, width)


class Initial:
    """Initial weights of one seed, by name and shape."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.fan_in: dict[str, int] = {}

    def __call__(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The tensor `name`, float32. A weight is asked for before its bias, whose range follows from it."""
        path, _, leaf = name.rpartition(".")
        size = math.prod(shape)
        values = self._values(name, path, leaf, shape, size)
        return np.broadcast_to(values, size).astype(np.float32).reshape(shape)

    def _values(self, name: str, path: str, leaf: str, shape: tuple[int, ...], size: int) -> np.ndarray | float:
        stream = Stream(self.seed, f"initial:{name}")
        if leaf == "running_mean" or leaf == "in_proj_bias":
            return 0.0
        if leaf == "running_var":
            return 1.0
        if leaf == "bias":
            if path.endswith("stn_fc2"):
                return control_points()
            unused = path.endswith(("out_proj", "stn_fc1.0")) or "stn_convnet" in name
            if unused or path not in self.fan_in:
                return 0.0
            return stream.signed(size) / math.sqrt(self.fan_in[path])
        if len(shape) == 1 and leaf == "weight":
            return 0.25 if shape == (1,) else 1.0
        if leaf.startswith(("weight_", "bias_")):
            return stream.signed(size) / math.sqrt(shape[0] // 3)
        if path.endswith("stn_fc2"):
            return 0.0
        if path.endswith("stn_fc1.0"):
            return 0.001 * self._normal(stream, size)
        if "stn_convnet" in name:
            return math.sqrt(2.0 / (9.0 * shape[0])) * self._normal(stream, size)
        if leaf == "in_proj_weight":
            return math.sqrt(6.0 / (shape[0] + shape[1])) * stream.signed(size)
        fan_in, fan_out = math.prod(shape[1:]), shape[0] * math.prod(shape[2:])
        self.fan_in[path] = fan_in
        if name.startswith("guidanceGen."):
            return math.sqrt(6.0 / (fan_in + fan_out)) * stream.signed(size)
        return stream.signed(size) / math.sqrt(fan_in)

    @staticmethod
    def _normal(stream: Stream, size: int) -> np.ndarray:
        """Normal numbers by Box and Muller."""
        drawn = stream.unit(2 * size)
        return np.sqrt(-2.0 * np.log(1.0 - drawn[0::2])) * np.cos(2.0 * np.pi * drawn[1::2])


def images(seed: int, name: str, count: int, height: int, width: int, cell: int) -> np.ndarray:
    """8-bit RGB [count, height, width, 3]: a flat color, a bilinear grid of cells of `cell` pixels, and noise."""
    rows, columns = height // cell + 1, width // cell + 1
    flat = Stream(seed, f"{name}.flat").unit(count * 3).reshape(count, 3, 1, 1)
    grid = Stream(seed, f"{name}.grid").unit(count * 3 * rows * columns).reshape(count, 3, rows, columns)
    noise = Stream(seed, f"{name}.noise").unit(count * 3 * height * width).reshape(count, 3, height, width)
    y, x = np.arange(height), np.arange(width)
    fy, fx = (y % cell / cell)[:, None], x % cell / cell
    along_y = grid[:, :, y // cell] * (1.0 - fy) + grid[:, :, np.minimum(y // cell + 1, rows - 1)] * fy
    smooth = along_y[..., x // cell] * (1.0 - fx) + along_y[..., np.minimum(x // cell + 1, columns - 1)] * fx
    values = np.floor(256.0 * ((0.25 * flat + 0.70 * smooth) + 0.05 * noise))
    return values.astype(np.uint8).transpose(0, 2, 3, 1)


def with_mask(rgb: np.ndarray) -> np.ndarray:
    """RGB bytes [N, H, W, 3] with a fourth channel that is 255 where a pixel is not brighter than its image's mean."""
    r, g, b = (rgb[..., c].astype(np.int64) for c in range(3))
    luma = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16
    dark = luma <= luma.mean((1, 2), keepdims=True)
    return np.concatenate([rgb, np.where(dark, 255, 0).astype(np.uint8)[..., None]], 3)


ALPHABET = "abcdefghijklmnopqrstuvwxyz1234567890"


def words(seed: int, count: int) -> list[str]:
    """Words of 2 to 9 characters."""
    def word(index: int) -> str:
        drawn = Stream(seed, f"ten_steps:word:{index}").unit(10)
        return "".join(ALPHABET[int(36 * u)] for u in drawn[1 : 3 + int(8 * drawn[0])])
    return [word(index) for index in range(count)]


class Batch:
    """Images as bytes, low [N, 16, 64, 4] and high [N, 32, 128, 4], and their words."""

    def __init__(self, low: np.ndarray, high: np.ndarray, labels: list[str]) -> None:
        self.low, self.high, self.labels = low, high, labels

    def ids(self) -> np.ndarray:
        """Classes [N, 26]: 0 is the end and the padding, then the alphabet in its order."""
        ids = np.zeros((len(self.labels), 26), np.int64)
        for row, label in zip(ids, self.labels):
            row[: len(label)] = [ALPHABET.index(c) + 1 for c in label]
        return ids


def batches(seed: int, steps: int, size: int) -> list[Batch]:
    """One batch for each step. A low image is its high one, averaged over squares of four pixels and rounded."""
    high = images(seed, "ten_steps", steps * size, 32, 128, 16)
    squares = high.astype(np.int64).reshape(-1, 16, 2, 64, 2, 3).sum((2, 4))
    low = with_mask(((squares + 2) >> 2).astype(np.uint8))
    high, labels = with_mask(high), words(seed, steps * size)
    cut = [slice(step * size, (step + 1) * size) for step in range(steps)]
    return [Batch(low[own], high[own], labels[own]) for own in cut]
