"""Times LEMMA in PyTorch, float32 without TF32, at nano and official sizes: milliseconds an image at batches 1, 8 and 64.

    python torch_passes.py LEMMA.safetensors [cuda|cpu]
"""

import sys
import time
from pathlib import Path

import torch

import lemma
import network
import parity

SECONDS = 2.0
BATCHES = (1, 8, 64)


def seconds_of(run, wait) -> float:
    """The median time of a run."""
    for _ in range(3):
        run()
    wait()
    times, end = [], time.perf_counter() + SECONDS
    while len(times) < 3 or time.perf_counter() < end:
        begun = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - begun)
    return sorted(times)[len(times) // 2]


@torch.no_grad()
def main(weights: Path, device: str) -> None:
    torch.set_default_device(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"PyTorch {torch.__version__}, {device}, {name}")
    small = parity.Loaded(weights)
    for tensor in list(small.parameters):
        small.parameters[tensor] = small.parameters[tensor].to(device)
    sizes = parity.lemma_sizes(small.config)
    official = network.Lemma()
    for title, run in (("nano", lambda x: lemma.enlarge(small, x, sizes)), ("official", official)):
        for batch in BATCHES:
            x = torch.rand(batch, 4, 16, 64)
            took = seconds_of(lambda: run(x), wait)
            print(f"{title}\tbatch {batch}\t{1e3 * took / batch:.3f} ms an image", flush=True)


main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "cuda")
