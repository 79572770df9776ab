"""The shapes that are compared, their inputs, and what some values of their outputs must be."""

from dataclasses import dataclass

import numpy as np

# Values of an output that are looked at, and how far they may be from what NumPy makes of them in f64, as a share of the
# outputs' standard deviation: some hundred times the rounding of f32, less than that of f16.
SAMPLES = 16
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Conv:
    """A convolution with bias, stride 1 and zero padding that keeps the size."""

    batch: int
    height: int
    width: int
    inputs: int
    outputs: int
    kernel: int

    def __str__(self):
        k = self.kernel
        return f"conv {k}×{k} {self.inputs}→{self.outputs} {self.height}×{self.width} batch {self.batch}"

    def line(self):
        return f"conv {self.batch} {self.height} {self.width} {self.inputs} {self.outputs} {self.kernel}"

    def depth(self):
        return self.kernel**2 * self.inputs

    def scale(self):
        """The outputs' standard deviation."""
        return self.depth() ** 0.5 / 12

    def flops(self):
        return 2 * self.batch * self.height * self.width * self.outputs * self.depth()

    def peers(self, name):
        """Whether a peer has what it takes."""
        return True

    def data(self):
        """x as NCHW, the weight as OIHW, the bias."""
        n, c, o, k = self.batch, self.inputs, self.outputs, self.kernel
        return values((n, c, self.height, self.width), 1), values((o, c, k, k), 2), values((o,), 3)

    def ours(self):
        """What the names of entries of `lemma-gpu bench` that compute this begin with; a blank or a colon follows."""
        k, what = self.kernel, f"[{self.batch}, {self.height}, {self.width}, {self.inputs}] → {self.outputs}"
        return what, [f"conv2d {what} {k}×{k}/1×1"] + ([f"winograd {what}"] if k == 3 else [])

    def expected(self):
        x, w, b = self.data()
        pad = self.kernel // 2
        x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))

        def at(index):
            n, o, i, j = np.unravel_index(index, (self.batch, self.outputs, self.height, self.width))
            return np.sum(x[n, :, i : i + self.kernel, j : j + self.kernel] * w[o]) + b[o]

        return [at(i) for i in samples(self.batch * self.outputs * self.height * self.width)]


@dataclass(frozen=True)
class Matmul:
    """A `[rows, depth]` times a constant `[depth, columns]`."""

    rows: int
    inner: int
    columns: int

    def __str__(self):
        return f"matmul {self.rows}×{self.inner}×{self.columns}"

    def line(self):
        return f"matmul {self.rows} {self.inner} {self.columns}"

    def scale(self):
        return self.inner**0.5 / 12

    def flops(self):
        return 2 * self.rows * self.inner * self.columns

    def peers(self, name):
        return True

    def data(self):
        return values((self.rows, self.inner), 1), values((self.inner, self.columns), 2)

    def ours(self):
        m, k, n = self.rows, self.inner, self.columns
        what = f"matmul [{m}, {k}]·[{k}, {n}] 0..{n}"
        return what, [what]

    def expected(self):
        a, b = (v.astype(np.float64) for v in self.data())
        at = [np.unravel_index(i, (self.rows, self.columns)) for i in samples(self.rows * self.columns)]
        return [a[i] @ b[:, j] for i, j in at]


@dataclass(frozen=True)
class Lemma:
    """The whole network at its official sizes on images [batch, 4, 16, 64] in [0, 1], with random weights."""

    batch: int

    def __str__(self):
        return f"LEMMA official batch {self.batch}"

    def line(self):
        return f"lemma {self.batch}"

    def data(self):
        return (values((self.batch, 4, 16, 64), 1) + np.float32(0.5),)

    def ours(self):
        what = f"model LEMMA official, batch {self.batch}"
        return what, [what]

    def flops(self):
        """Nobody counts them."""
        return None

    def peers(self, name):
        """Whether a peer has what it takes: the others multiply and convolve only."""
        return name in ("onnxruntime", "PyTorch")

    def scale(self):
        return float(np.std(self.result()))

    def expected(self):
        return [self.result().reshape(-1)[i] for i in samples(self.batch * 4 * 32 * 128)]

    def result(self):
        import network

        return network.result(self)


SHAPES = [
    Matmul(512, 512, 512),
    Conv(1, 8, 32, 512, 512, 3),
    Conv(1, 8, 32, 256, 256, 3),
    Conv(1, 16, 64, 64, 64, 3),
    Conv(8, 16, 64, 64, 64, 3),
    Conv(1, 8, 32, 512, 512, 1),
    Conv(1, 16, 64, 4, 64, 9),
    Conv(1, 32, 128, 64, 4, 9),
    Lemma(1),
    Lemma(8),
]

# So little work that its time is that of a call.
CALL = Conv(1, 8, 8, 4, 4, 1)


def parse(line):
    """What `line()` wrote."""
    kind, *numbers = line.split()
    return {"conv": Conv, "matmul": Matmul, "lemma": Lemma}[kind](*map(int, numbers))


def samples(length):
    """Indices of the values that are looked at, from the first to the last."""
    return [i * (length - 1) // (SAMPLES - 1) for i in range(SAMPLES)]


def values(shape, seed):
    """Reproducible values within ±0.5; `burn/src/main.rs` makes the same ones."""
    x = np.arange(np.prod(shape), dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed)
    for shift, factor in [(16, 0x7FEB352D), (15, 0x846CA68B)]:
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    return ((x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24) - np.float32(0.5)).reshape(shape)


def deviation(shape, got):
    """The largest difference of an output's sampled values from the expected ones, in the outputs' standard deviations."""
    differences = np.abs(np.subtract(got, shape.expected()))
    return float(np.max(np.nan_to_num(differences, nan=np.inf)) / shape.scale())
