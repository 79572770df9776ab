"""Runs lemma-gpu and its peers on the same shapes in alternation, and prints times and ratios. `run` starts it."""

import argparse
import json
import os
import platform
import select
import statistics
import subprocess
import sys
from pathlib import Path

import shapes

HERE = Path(__file__).resolve().parent
OURS = "lemma-gpu"
SECONDS = 0.3
# Tuning and the first compilation of kernels are in a peer's first answer.
PATIENCE = 900
CLOCKS = {
    "gpu": "the GPU's, timestamps around each dispatch",
    "host": "the host's, from submission to completion",
}


class Failed(Exception):
    pass


class Peer:
    """A process that answers shapes with times; started anew after it died."""

    def __init__(self, name, command, log):
        self.name, self.command, self.log = name, command, log
        self.version = self.device = self.process = None

    def start(self):
        with open(self.log, "a") as log:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(self.command, stdin=pipe, stdout=pipe, stderr=log, cwd=HERE)
        self.version, self.device = self.answer("ready")

    def time(self, shape):
        """Seconds, the median of several runs."""
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write(f"{shape.line()}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It died: there will be no answer either.
        seconds, _, samples = self.answer("time")
        off = shapes.deviation(shape, [float(v) for v in samples.split(",")])
        if off > shapes.TOLERANCE:
            raise Failed(f"wrong result: expected a deviation of at most {shapes.TOLERANCE:g}, got {off:.2g}")
        return float(seconds)

    def answer(self, kind):
        """The fields of the next line, which is to be of this kind."""
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        if not ready:
            self.stop()
            raise Failed(f"no answer in {PATIENCE} s")
        line = self.process.stdout.readline().decode()
        got, *fields = line.rstrip("\n").split("\t")
        if got == kind:
            return fields
        if got == "error":
            raise Failed(fields[0])
        code = self.stop()
        raise Failed(f"ended with {code} instead of an answer; its last words: {self.last_words()}")

    def last_words(self):
        lines = Path(self.log).read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "none")

    def stop(self):
        """Ends the process if there is one, and returns its exit code."""
        process, self.process = self.process, None
        if process is None:
            return None
        process.stdin.close()
        try:
            return process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


class Ours:
    """`lemma-gpu bench`, a process for each measurement."""

    def __init__(self, binary, cache):
        self.binary, self.cache = binary, cache
        self.report = None

    def bench(self, only, seconds):
        options = ["-q", "--official", "--json", "-", "-f", only, "-s", str(seconds), "--cache", self.cache]
        command = [self.binary, "bench", *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(done.stderr.strip().replace("\n", " ") or f"{self.binary} ended with {done.returncode}")
        self.report = json.loads(done.stdout)
        models = {m["name"]: m["p50_seconds"] for m in self.report["models"]}
        return {**models, **{k["name"]: k["seconds"] for k in self.report["kernels"]}}

    def times(self, shape, seconds=SECONDS):
        """Seconds of each entry that computes this."""
        only, beginnings = shape.ours()
        measured = self.bench(only, seconds)
        found = {n: s for n, s in measured.items() if f"{n} ".startswith(tuple(b + e for b in beginnings for e in " :"))}
        if not found:
            raise Failed(f"expected an entry that begins with one of {beginnings}, got {list(measured)}")
        return found


def arguments():
    pairs = {"action": "append", "default": [], "type": lambda s: tuple(s.split("=", 1))}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", required=True, type=Path, help="folder for logs and kept pipelines")
    parser.add_argument("--rounds", required=True, type=int)
    parser.add_argument("--shapes", default="", help="only shapes with this in their name")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--burn", help="the built peer of burn/")
    parser.add_argument("--peer", help="a name and why it cannot run, or nothing if it can: NAME=WHY", **pairs)
    return parser.parse_args()


def commands(args, adapter, threads):
    """Names of columns and the commands of their processes, for each peer by name."""

    def worker(module):
        return [sys.executable, "-B", "worker.py", module, adapter, str(threads)]

    return {
        "burn": {"burn": [args.burn, adapter]},
        "ncnn": {"ncnn Winograd": worker("peer_ncnn"), "ncnn direct": worker("peer_ncnn_direct")},
        "onnxruntime": {"onnxruntime": worker("peer_onnxruntime")},
        "pytorch": {"PyTorch": worker("peer_pytorch")},
    }


def cpu():
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n")
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def aligned(rows, others=str.rjust):
    """Rows as lines, the first column to the left and the others as told."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [others(c, w) for c, w in zip(row[1:], widths[1:])]
        yield "  ".join(cells).rstrip()


def open_peers(args, adapter, threads):
    """Peers that run, and why the others do not, by name."""
    peers, left_out = [], {}
    for name, why in args.peer:
        if why:
            left_out[name] = why
            continue
        for column, command in commands(args, adapter, threads)[name].items():
            log = args.work / f"{column.replace(' ', '-')}.log"
            log.write_text("")
            peer = Peer(column, command, log)
            try:
                peer.start()
                peers.append(peer)
            except (Failed, OSError) as e:
                peer.stop()
                left_out[column] = str(e)
    return peers, left_out


class Row:
    """What was measured of a shape: seconds by rounds, of our entries and of peers, and why there are none."""

    def __init__(self, shape):
        self.shape, self.entries, self.peers, self.failed = shape, {}, {}, {}

    def measure(self, ours, peers):
        if self.shape != shapes.CALL:
            self.attempt(OURS, self.entries, lambda: ours.times(self.shape))
        for peer in peers:
            if self.shape.peers(peer.name):
                self.attempt(peer.name, self.peers, lambda: {peer.name: peer.time(self.shape)})

    def attempt(self, name, rounds, act):
        """One round; what failed once is not tried again."""
        if name in self.failed:
            return
        try:
            for key, seconds in act().items():
                rounds.setdefault(key, []).append(seconds)
        except (Failed, OSError, ValueError) as e:
            self.failed[name] = str(e)

    def best(self):
        """The fastest of our entries, if any."""
        return min(self.entries, key=lambda e: statistics.median(self.entries[e]), default=None)

    def rounds(self):
        """By name of the engine, of those that did not fail."""
        ours = {OURS: self.entries[self.best()]} if self.entries else {}
        return {name: seconds for name, seconds in {**ours, **self.peers}.items() if name not in self.failed}

    def seconds(self):
        return {name: statistics.median(seconds) for name, seconds in self.rounds().items()}


def table(title, rows, names, cell):
    """One line for each row; `cell` makes text of its shape, its seconds and a name that is in them."""
    if not rows:
        return
    lines = [[title, *names]]
    for row in rows:
        of = row.seconds()
        without = {n: "failed" if n in row.failed else "-" for n in names}
        lines.append([str(row.shape), *(cell(row.shape, of, n) if n in of else without[n] for n in names)])
    print(*aligned(lines), "", sep="\n")


def tables(rows, call, names):
    calls = call.seconds()

    def ratio(of, name, less=0.0):
        return f"{max(of[name] - less, 0) / of[OURS]:.2f}" if OURS in of else "-"

    table("milliseconds", [*rows, call], names, lambda _, of, n: f"{of[n] * 1e3:.3f}")
    table("GFLOP/s (direct)", [r for r in rows if r.shape.flops()], names, lambda s, of, n: f"{s.flops() / of[n] / 1e9:.1f}")
    table("its time / ours", rows, names[1:], lambda _, of, n: ratio(of, n))
    table("its time less a call's / ours", rows, names[1:], lambda _, of, n: ratio(of, n, calls.get(n, 0.0)))
    print(f"Above 1 {OURS} is faster. A call: {call.shape}.\n")
    for row in rows:
        if best := row.best():
            medians = {e: statistics.median(s) * 1e3 for e, s in row.entries.items() if e != best}
            print(f"ours, {row.shape}: {best}", *(f"; {e}: {ms:.3f} ms" for e, ms in medians.items()), sep="")
    for row in [*rows, call]:
        for name, why in row.failed.items():
            print(f"FAILED: {name}, {row.shape}: {why}")


def main():
    args = arguments()
    chosen = [shape for shape in shapes.SHAPES if args.shapes in str(shape)]
    if not chosen:
        sys.exit(f"--shapes: expected a part of one of {', '.join(map(str, shapes.SHAPES))}, got {args.shapes}")
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    args.work.mkdir(parents=True, exist_ok=True)
    ours = Ours(args.binary, str(args.work / "pipelines"))
    try:
        ours.times(chosen[0], 0.01)
    except (Failed, OSError, ValueError) as e:
        sys.exit(f"compare.py: {args.binary} bench: {e}")
    adapter = ours.report["adapter"]
    peers, left_out = open_peers(args, adapter["name"], threads)

    engines = {
        OURS: {
            "version": ours.report["version"],
            "device": f"{adapter['name']}, {adapter['backend']}",
            "clock": CLOCKS[ours.report["kernel_clock"]],
        }
    }
    for peer in peers:
        engines[peer.name] = {"version": peer.version, "device": peer.device, "clock": CLOCKS["host"]}
    print(f"machine: {cpu()}, {os.cpu_count()} cores, {threads} threads")
    print(f"driver:  {adapter['driver']}")
    print(f"rounds:  {args.rounds}, {SECONDS} s for each engine and shape, f32\n")
    print(*aligned([["engine", *engines[OURS]], *([n, *e.values()] for n, e in engines.items())], str.ljust), sep="\n")
    for name, why in left_out.items():
        print(f"LEFT OUT: {name}: {why}")
    print(flush=True)

    rows = [Row(shape) for shape in [*chosen, shapes.CALL]]
    for number in range(args.rounds):
        for row in rows:
            print(f"round {number + 1} of {args.rounds}: {row.shape}", file=sys.stderr)
            row.measure(ours, peers)
    for peer in peers:
        peer.stop()
    tables(rows[:-1], rows[-1], list(engines))

    if args.json:
        figures = [
            {
                "shape": str(row.shape),
                "flops": row.shape.flops(),
                "entry": row.best(),
                "seconds": row.seconds(),
                "rounds": row.rounds(),
                "failed": row.failed,
            }
            for row in rows
        ]
        machine = {"cpu": cpu(), "cores": os.cpu_count(), "threads": threads, "adapter": adapter}
        whole = {"machine": machine, "engines": engines, "left_out": left_out, "shapes": figures}
        args.json.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


main()
