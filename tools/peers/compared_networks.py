"""The networks that LEMMA is compared with, beside PyTorch on the CPU: times of a pass in alternation, and what a pass takes of memory.

    python compared_networks.py --binary FILE [--only KEY[,KEY]] [--batch N] [--rounds N] [--json FILE]

PyTorch's side is that of `../reference/compared.py` with procedural weights, in evaluation; ours is the pass of `lemma-gpu bench
--official`. Each measurement is a process of its own; of the rounds the median ratio counts. Memory is what a pass takes besides
weights and input: of PyTorch's process how far its resident set rises in the first pass, of ours the buffers on the device."""

import argparse
import ctypes
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Keys of the reference, and what `lemma-gpu bench` calls the networks.
NAMES = {
    "srcnn": "SRCNN",
    "srres": "SRResNet",
    "tsrn": "TSRN",
    "tbsrn": "TBSRN",
    "tg": "Text Gestalt",
    "pcan": "PCAN",
    "rcan": "RCAN",
    "san": "SAN",
    "tatt": "TATT",
    "c3": "C3-STISR",
}
SECONDS = 2.0
LEAST = 3
MARK, MARK_OF_MEAN = 3.0, 2.0


def resident(field):
    """Bytes of this process by /proc: VmRSS now, VmHWM at its highest."""
    lines = Path("/proc/self/status").read_text().split("\n")
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def pytorch(key, batch, memory):
    """Measures a network on PyTorch in this process: bytes if `memory` counts, else seconds."""
    import torch

    sys.path.append(str(HERE.parent / "reference"))
    import compared
    import recognizers

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.set_grad_enabled(False)

    net, reader = compared.network(key), recognizers.Recognizer("crnn")
    image = torch.rand(batch, 4 if key in compared.MASKED else 3, compared.HEIGHT, compared.WIDTH)

    def forward(image):
        prior = [compared.probabilities(reader, image)] if key in compared.GUIDED else []
        return compared.NETWORKS[key](net, image, *prior)

    # Makes the weights.
    forward(image[:1])
    for weight in [*net.parameters.values(), *reader.parameters.values()]:
        weight.requires_grad_(False)
    if memory:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        forward(image)
        return resident("VmHWM") - before
    times = []
    end = time.perf_counter() + SECONDS
    forward(image)
    while len(times) < LEAST or time.perf_counter() < end:
        begun = time.perf_counter()
        forward(image)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def theirs(key, batch, memory=False):
    command = [sys.executable, "-B", __file__, "--measure", key, "--batch", str(batch)]
    # What is freed goes back to the system at once, where memory counts.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"} if memory else None
    command += ["--memory"] if memory else []
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def ours(binary, key, batch):
    name = f"model {NAMES[key]} official, batch {batch}"
    command = [binary, "bench", "-q", "--official", "--json", "-", "-f", name, "-s", str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    result = next(m for m in report["models"] if m["name"] == name)
    return result["p50_seconds"], result["pass_bytes"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="a built lemma-gpu")
    parser.add_argument("--only", default=",".join(NAMES), help="keys, commas between")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if args.measure:
        print(json.dumps(pytorch(args.measure, args.batch, args.memory)))
        return
    if not args.binary:
        sys.exit("expected --binary FILE")
    found = {}
    print(f"{'network':14} {'ours ms':>9} {'PyTorch ms':>10} {'ratio':>6}   {'ours MiB':>8} {'PyTorch MiB':>11}")
    for key in args.only.split(","):
        rounds = []
        for number in range(args.rounds):
            if number % 2 == 0:
                (own, taken), other = ours(args.binary, key, args.batch), theirs(key, args.batch)
            else:
                other, (own, taken) = theirs(key, args.batch), ours(args.binary, key, args.batch)
            rounds.append((own, other))
        risen = theirs(key, args.batch, memory=True)
        own, other = (statistics.median(of) for of in zip(*rounds))
        ratio = statistics.median(own / other for own, other in rounds)
        found[key] = {"ratio": ratio, "rounds": rounds, "bytes": [taken, risen]}
        beyond = " beyond" if ratio > MARK else ""
        print(
            f"{NAMES[key]:14} {1e3 * own:9.1f} {1e3 * other:10.1f} {ratio:6.2f}   {taken / 2**20:8.1f} {risen / 2**20:11.1f}{beyond}",
            flush=True,
        )
    mean = math.exp(statistics.fmean(math.log(f["ratio"]) for f in found.values()))
    print(f"geometric mean of the ratios {mean:.2f}; marks are {MARK_OF_MEAN:g} of it and {MARK:g} of each")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


main()
