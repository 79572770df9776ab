"""One peer in a process of its own: says what it is, then answers each shape on standard input with a time.

    python worker.py MODULE ADAPTER THREADS

A module has `open(adapter, threads)`, which returns the version and the device by name, and `prepare(shape)`, which returns a
function that runs the operation once, waits for its result and returns it. Lines of the answers, by tabs:

    ready  VERSION  DEVICE
    time   SECONDS  RUNS  SAMPLES      the median of the runs, and the sampled values of the output
    error  REASON
"""

import importlib
import os
import statistics
import sys
import time

import shapes

SECONDS = 0.3
LEAST = 3
WARM_UP = 2


def measure(run):
    for _ in range(WARM_UP):
        output = run()
    end = time.perf_counter() + SECONDS
    times = []
    while len(times) < LEAST or time.perf_counter() < end:
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    flat = output.reshape(-1)
    values = ",".join(repr(float(flat[i])) for i in shapes.samples(flat.size))
    return "time", statistics.median(times), len(times), values


def attempt(act):
    try:
        return act()
    except Exception as e:
        return "error", f"{type(e).__name__}: {e}".replace("\n", " ").replace("\t", " ")


def main():
    # Libraries print, too: what they write to standard output goes to standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(fields):
        print(*fields, sep="\t", file=answers, flush=True)
        return fields[0] != "error"

    module, adapter, threads = sys.argv[1:]

    def start():
        global peer
        peer = importlib.import_module(module)
        return "ready", *peer.open(adapter, int(threads))

    if not say(attempt(start)):
        return
    prepared = {}
    for line in sys.stdin:
        def answer():
            if line not in prepared:
                prepared[line] = peer.prepare(shapes.parse(line))
            return measure(prepared[line])

        say(attempt(answer))


main()
