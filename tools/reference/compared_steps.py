"""Gradients of TSRN and TATT in training, in float64, and how far float32 strays from them: the numbers of `compared_steps` in
`tests/golden_training.rs`. Statistics are those of the batch, words are straightened, nothing is dropped. See README.md for the
command."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import Tensor

import compared
import lemma
import recognizers
from seeded import Stream, images, with_mask

SEED, IMAGES = 1, 4
FIRST, PROBES = 8, 4


def gradient_prior(a: Tensor, b: Tensor) -> Tensor:
    def steepness(x: Tensor) -> Tensor:
        x = F.pad(x[:, :3], (1, 1, 1, 1))
        dx = 0.5 * (x[:, :, 1:-1, 2:] - x[:, :, 1:-1, :-2])
        dy = 0.5 * (x[:, :, :-2, 1:-1] - x[:, :, 2:, 1:-1])
        return (dx**2 + dy**2 + 1e-6).sqrt()

    return (steepness(a) - steepness(b)).abs().mean()


def image_loss(sr: Tensor, hr: Tensor) -> Tensor:
    return 100.0 * (F.mse_loss(sr, hr) + 1e-4 * gradient_prior(sr, hr))


def tsrn(net, _reader, _teacher, lr: Tensor, hr: Tensor, _turns) -> dict[str, Tensor]:
    return {"total": image_loss(compared.tsrn(net, compared.straighten_enlarged(net, lr)), hr)}


def turned(x: Tensor, arcs: Tensor, stretches: Tensor) -> Tensor:
    aspect = x.shape[2] / x.shape[3] - 0.2 + 0.4 * stretches
    cos, sin, zero = arcs.cos(), arcs.sin(), torch.zeros_like(arcs)
    rows = [torch.stack([cos, aspect * sin, zero], 1), torch.stack([-sin / aspect, cos, zero], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def triple_similarity(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    line = torch.tensor([np.exp(-((i - 5) ** 2) / 4.5) for i in range(11)], dtype=torch.float32)
    line = line / line.sum()
    window = (line[:, None] @ line[None]).to(a.dtype).expand(a.shape[1], 1, 11, 11)

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(x, window, padding=5, groups=x.shape[1])

    means = [blur(x) for x in (a, b, c)]
    covariance = {}
    for i, x in enumerate((a, b, c)):
        for j, y in enumerate((a, b, c)):
            covariance[i, j] = blur(x * y) - means[i] * means[j]
    pairs = [(0, 1), (1, 2), (2, 0)]
    between = (sum(means[i] * means[j] for i, j in pairs) + 1e-4) * (sum(covariance[p] for p in pairs) + 9e-4)
    within = (sum(m * m for m in means) + 1e-4) * (sum(covariance[i, i] for i in range(3)) + 9e-4)
    return (between / within).mean()


def tatt(net, reader, teacher, lr: Tensor, hr: Tensor, turns) -> dict[str, Tensor]:
    arcs, stretches = turns
    lr, hr = turned(lr, arcs, stretches), turned(hr, arcs, stretches)
    back = turned(lr, -arcs, stretches)
    own = compared.probabilities(reader, lr)
    with torch.no_grad():
        right = compared.probabilities(teacher, hr)
    sr, again = (compared.tatt(net, lemma.straighten(net, x), own.detach(), together=True) for x in (lr, back))
    p, q = own + 1e-20, right + 1e-20
    parts = {
        "loss_image": image_loss(sr, hr),
        "loss_distill": 100.0 * ((own - right).abs().mean() + (q * (q.log() - p.log())).mean()),
        "loss_tssim": 10.0 * (1.0 - triple_similarity(turned(again, arcs, stretches), sr, hr)),
    }
    return {"total": sum(parts.values()), **parts}


RUNS = {"tsrn": tsrn, "tatt": tatt}


def step(key: str, dtype: torch.dtype):
    """Losses, and by name gradients and running statistics."""
    low, high = (with_mask(images(SEED, f"input:{of}", 8, h, 4 * h, h // 2)[:IMAGES]) for of, h in (("lr", 16), ("hr", 32)))
    lr, hr = (torch.from_numpy(x).float().div(255).permute(0, 3, 1, 2).contiguous().to(dtype) for x in (low, high))
    arcs = np.float32(np.deg2rad(5.0) * Stream(SEED, "input:arc").signed(IMAGES))
    stretches = np.float32(Stream(SEED, "input:off").unit(IMAGES))
    turns = [torch.from_numpy(t).to(dtype) for t in (arcs, stretches)]
    net, reader = compared.network(key, dtype, training=True), recognizers.Recognizer("crnn", dtype)
    teacher, reader.training = recognizers.Recognizer("crnn", dtype), True
    # The first look makes the weights and must leave no trace in the running statistics.
    with torch.no_grad():
        RUNS[key](net, reader, teacher, lr, hr, turns)
    net.buffers.clear()
    reader.buffers.clear()
    losses = RUNS[key](net, reader, teacher, lr, hr, turns)
    losses["total"].backward()
    all_of = [("", net)] + ([("recogniser:", reader)] if key in compared.GUIDED else [])
    gradients = {p + n: t.grad.double() for p, own in all_of for n, t in own.parameters.items() if t.grad is not None}
    statistics = {p + n: t.double() for p, own in all_of for n, t in own.buffers.items()}
    data = {"input.lr": lr.float().numpy(), "input.hr_u8": np.ascontiguousarray(high[..., :3].transpose(0, 3, 1, 2))}
    data |= {"tatt.rot.arc": arcs, "tatt.rot.off": stretches}
    return {n: float(v.detach()) for n, v in losses.items()}, {"grad": gradients, "bn": statistics}, data


def table(family: str, truth: dict[str, Tensor], stray: dict[str, Tensor]) -> dict[str, np.ndarray]:
    names = sorted(truth)
    norms = np.array([float(truth[n].norm()) for n in names])
    own = [(n, truth[n].flatten().numpy()) for n in names]

    def signs(k: int, name: str, size: int) -> np.ndarray:
        return np.where(Stream(SEED, f"probe{k}:{name}").signed(size) >= 0, 1.0, -1.0)

    first = np.zeros((len(names), FIRST))
    for row, (_, v) in zip(first, own):
        row[: len(v[:FIRST])] = v[:FIRST]
    least = np.finfo(float).tiny
    off = [float((stray[n] - truth[n]).norm() / max(float(truth[n].norm()), least)) for n in names]
    norm_off = [abs(float(stray[n].norm() / max(float(truth[n].norm()), least)) - 1.0) for n in names]
    return {
        f"{family}.l2": norms,
        f"{family}.maxabs": np.array([np.abs(v).max() for _, v in own]),
        f"{family}.first8": first.astype(np.float32),
        f"{family}.probe": np.array([[v @ signs(k, n, len(v)) for k in range(PROBES)] for n, v in own]),
        f"{family}.rel32": np.array(off, np.float32),
        f"{family}.normrel32": np.array(norm_off, np.float32),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="the file to write")
    arguments = parser.parse_args()
    tensors: dict[str, np.ndarray] = {}
    systems: dict[str, dict] = {}
    for key in RUNS:
        losses, truth, data = step(key, torch.float64)
        _, stray, _ = step(key, torch.float32)
        tensors |= data
        systems[key] = {"losses": losses}
        for family in truth:
            tensors |= {f"{key}.{n}": v for n, v in table(family, truth[family], stray[family]).items()}
            systems[key][f"{family}_names"] = sorted(truth[family])
            off = tensors[f"{key}.{family}.rel32"]
            print(f"{key} {family}: {len(off)} tensors, float32 strays by {np.median(off):.0e}, at most {off.max():.0e}")
        print(key, losses)
    info = {"seed": SEED, "torch": torch.__version__, "systems": systems}
    save_file({n: np.ascontiguousarray(v) for n, v in tensors.items()}, arguments.output, {"info": json.dumps(info)})


if __name__ == "__main__":
    main()
