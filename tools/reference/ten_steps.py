"""Ten steps of Adam of a tiny ABINet and a tiny LEMMA in float64, and how far float32 strays from them: the numbers of
`tests/ten_steps.rs`. See README.md for the command."""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor

import abinet
import lemma
from layers import Network
from seeded import Batch, batches

STEPS, IMAGES = 10, 4
SAMPLE = 512  # Elements of a tensor that are kept, evenly spaced.
FLOAT32_RUNS = 12  # The first as it is, the others from weights that are off by up to half a unit in the last place.

TINY_ABINET = abinet.Sizes(
    planes=(4, 4, 4, 4, 8), blocks=(1, 1, 1, 1, 1), heads=2, inner=8, vision_layers=1, language_layers=1, unet=4
)
TINY_LEMMA = lemma.Sizes(
    hidden=4, blocks=2, heads=2, inner=8, encoder_layers=1, decoder_layers=2, selected=16, expansion=(8, 8),
    prior=TINY_ABINET,
)


@dataclass(frozen=True)
class Run:
    """A training run: learning rates (the second is that of LEMMA's recognizer), largest norm, schedule, loss."""

    seed: int
    lr: float
    prior_lr: float
    betas: tuple[float, float]
    eps: float
    clip: float
    loss_scale: float
    factor: Callable[[int], float]
    losses: Callable[[Network, Tensor, Tensor, Tensor], dict[str, Tensor]]


RUNS = {
    # Three steps of warming up, then along half a cosine to 0 after ten steps.
    "abinet": Run(
        seed=22, lr=1e-3, prior_lr=0.0, betas=(0.9, 0.999), eps=1e-8, clip=1.5, loss_scale=1.0,
        factor=lambda step: min(1.0, (step + 1) / 3) * 0.5 * (1.0 + math.cos(math.pi * step / STEPS)),
        losses=lambda net, low, high, ids: abinet.losses(net, high[:, :3], ids, TINY_ABINET),
    ),
    # Three steps are an epoch, and from the third epoch on the rates are halved.
    #
    # Where the network is not smooth, float32 leaves the path of float64. Another choice of pixels moves the loss at once; seed
    # and number of pixels are therefore such that at every step the last chosen pixel is ahead of the next one by at least
    # 5e-4 of the best one's score, of which float32 is off by 3e-5 at first and by 2e-3 at the end. A ReLU that flips moves a
    # gradient by about 1e-3; a low rate and a large epsilon slow the growth of that, tenfold and more a step at the published
    # 1e-3 and 1e-8.
    "lemma": Run(
        seed=167, lr=1e-4, prior_lr=3e-5, betas=(0.5, 0.999), eps=1e-3, clip=0.25, loss_scale=100.0,
        factor=lambda step: 0.5 if step // 3 >= 2 else 1.0,
        losses=lambda net, low, high, ids: lemma.losses(net, low, high, ids, TINY_LEMMA),
    ),
}


@dataclass
class Record:
    """What a run did: losses [steps, parts], joint norms of the gradients before clipping, and by name a sample of each
    tensor's change."""

    parts: list[str]
    losses: np.ndarray
    norms: np.ndarray
    start: dict[str, float]
    change: dict[str, np.ndarray]


def sample(values: Tensor) -> np.ndarray:
    flat = values.detach().double().flatten()
    return flat[:: math.ceil(len(flat) / SAMPLE)].numpy().copy()


def train(run: Run, data: list[Batch], dtype: torch.dtype, disturb: float = 0.0) -> Record:
    """Ten steps, each on its own batch."""
    net = Network(run.seed, dtype, disturb)
    optimizer: torch.optim.Adam | None = None
    losses, norms, first = [], [], {}

    def image(bytes_: np.ndarray) -> Tensor:
        return (torch.from_numpy(bytes_).float() / 255).to(dtype).permute(0, 3, 1, 2).contiguous()

    for step, batch in enumerate(data):
        if step == 0:
            # The first look at a batch makes the weights; it must leave no trace in the running statistics.
            with torch.no_grad():
                run.losses(net, image(batch.low), image(batch.high), torch.from_numpy(batch.ids()))
            net.buffers.clear()
        parts = run.losses(net, image(batch.low), image(batch.high), torch.from_numpy(batch.ids()))
        if optimizer is None:
            inside = [p for name, p in net.parameters.items() if name.startswith("position_prior.")]
            others = [p for name, p in net.parameters.items() if not name.startswith("position_prior.")]
            groups = [{"params": others, "rate": run.lr}, {"params": inside, "rate": run.prior_lr}]
            optimizer = torch.optim.Adam(groups, betas=run.betas, eps=run.eps, foreach=False)
            first = {name: value.detach().clone() for name, value in net.parameters.items()}
        for group in optimizer.param_groups:
            group["lr"] = run.factor(step) * group["rate"]
        optimizer.zero_grad()
        (run.loss_scale * parts["loss"]).backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(net.parameters.values(), run.clip, foreach=False)))
        optimizer.step()
        losses.append([float(value.detach()) for value in parts.values()])
    for name, value in net.buffers.items():
        first[name] = torch.tensor(net.initial(name, tuple(value.shape))).to(dtype)
    last = net.parameters | net.buffers
    return Record(
        parts=list(parts),
        losses=np.array(losses),
        norms=np.array(norms),
        start={name: float(value.double().sum()) for name, value in first.items()},
        change={name: sample(last[name]) - sample(value) for name, value in first.items()},
    )


def relative(got: np.ndarray, want: np.ndarray) -> float:
    """|got - want| / |want|, 0 where both are 0."""
    error, size = np.linalg.norm(got - want), np.linalg.norm(want)
    return float(error / size) if size > 0 else float(error > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="the file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tensors: dict[str, np.ndarray] = {}
    info: dict[str, object] = {"torch": torch.__version__}
    for name, run in RUNS.items():
        torch.manual_seed(run.seed)
        data = batches(run.seed, STEPS, IMAGES)
        truth = train(run, data, torch.float64)
        strays = [train(run, data, torch.float32, 2.0**-24 if i else 0.0) for i in range(FLOAT32_RUNS)]
        names = sorted(truth.change)
        # Deviations cancel at times, but do not shrink: the largest of the steps so far.
        noise = {
            "losses": np.maximum.accumulate(np.max([abs(s.losses / truth.losses - 1.0) for s in strays], 0)),
            "norms": np.maximum.accumulate(np.max([abs(s.norms / truth.norms - 1.0) for s in strays], 0)),
            "change": np.array([max(relative(s.change[n], truth.change[n]) for s in strays) for n in names]),
        }
        sums = [[b.low.sum(dtype=np.int64), b.high.sum(dtype=np.int64)] for b in data]
        tensors |= {f"{name}.bytes": np.array(sums, np.float64)}
        tensors |= {f"{name}.losses": truth.losses, f"{name}.norms": truth.norms}
        tensors |= {f"{name}.noise.{of}": values for of, values in noise.items()}
        tensors |= {f"{name}.start": np.array([truth.start[n] for n in names])}
        tensors |= {f"{name}.factors": np.array([run.factor(step) for step in range(STEPS)])}
        tensors |= {f"{name}.change.{n}": truth.change[n].astype(np.float32) for n in names}
        info[name] = {"parts": truth.parts, "words": [b.labels for b in data]}
        for step in range(STEPS):
            losses = "  ".join(
                f"{part} {value:.9f} ({off:.0e})"
                for part, value, off in zip(truth.parts, truth.losses[step], noise["losses"][step])
            )
            print(f"{name} step {step + 1}: {losses}  norm {truth.norms[step]:.6f} ({noise['norms'][step]:.0e})")
        strayed = noise["change"]
        print(
            f"{name}: of the changes of {len(names)} tensors float32 strays by {np.median(strayed):.0e} in the median, "
            f"by more than 1 % in {(strayed > 0.01).sum()}, by more than 10 % in {(strayed > 0.1).sum()}"
        )
    save_file(tensors, arguments.output, {"info": json.dumps(info)})


if __name__ == "__main__":
    main()
