"""Runs recognizers on lemma-gpu and on PyTorch's CPU in alternation, and prints the time of 1,000 images of each.

    python reading.py --binary target/release/lemma-gpu [--batch 8] [--rounds 3] [--seconds 3] [--only CRNN,ASTER] [--json FILE]

PyTorch's networks are those of `../reference/recognizers.py`, in eager mode and f32, with the procedural weights that `bench` uses;
their images are on hand as those of `bench` are on the device. A time holds the preparation of images of 32×128 and all that leads to
classes; only ASTER's and PARSeq's differ in what they do: PyTorch's beams are walked back on the host, and its symbols are read back
step by step, to stop where all words have ended, which `bench` never does."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parent.parent / "reference"))

from recognizers import ALL, Recognizer  # noqa: E402

HEIGHT, WIDTH = 32, 128


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="a built lemma-gpu")
    parser.add_argument("--batch", type=int, default=8, choices=(1, 8, 64), help="images at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each is measured in a round")
    parser.add_argument("--only", default=",".join(ALL), help="names of recognizers")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def ours(args, name, cache):
    """Seconds of a pass, and the adapter."""
    only = f"model {name} official, batch {args.batch}"
    options = ["-q", "-f", only, "-s", str(args.seconds), "--json", "-", "--cache", cache]
    done = subprocess.run([args.binary, "bench", *options], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    report = json.loads(done.stdout)
    times = {model["name"]: model["p50_seconds"] for model in report["models"]}
    return times[only], report["adapter"]["name"]


def theirs(args, run):
    """Seconds of a call, the median."""
    run()
    end, times = time.perf_counter() + args.seconds, []
    while len(times) < 3 or time.perf_counter() < end:
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main():
    args = arguments()
    torch.set_grad_enabled(False)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(1)
    image = torch.rand(args.batch, 3, HEIGHT, WIDTH)
    networks = {name: (ALL[name][0], Recognizer(name.lower())) for name in args.only.split(",")}
    found = {name: ([], []) for name in networks}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(args.rounds):
            for name, (network, weights) in networks.items():
                seconds, adapter = ours(args, name, cache)
                found[name][0].append(seconds)
                found[name][1].append(theirs(args, lambda: network(weights, image)))
    scale = 1000 / args.batch
    rows = {name: [scale * statistics.median(times) for times in both] for name, both in found.items()}
    print(f"lemma-gpu on {adapter}; PyTorch {torch.__version__}, {torch.get_num_threads()} threads; batch {args.batch}, "
          f"{args.rounds} rounds; seconds of 1,000 images, the median of the rounds")
    for name, (own, other) in rows.items():
        print(f"{name:8} {own:8.1f} {other:8.1f}   PyTorch / lemma-gpu {other / own:.2f}")
    if args.json:
        args.json.write_text(json.dumps({"adapter": adapter, "batch": args.batch, "seconds_of_1000": rows, "rounds": found}, indent=1))


if __name__ == "__main__":
    main()
