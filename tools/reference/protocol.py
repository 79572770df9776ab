"""Counts the figures of `lemma-gpu eval` again: from an LMDB, the readings that it wrote, and images.

    python tools/reference/protocol.py LMDB... --words WORDS --json JSON [--images DIR] [--sr DIR]

WORDS and JSON are what `eval --words --json` wrote of the sets. With `--sr`, the images that were evaluated (`eval --sr`), PSNR and
SSIM of super-resolution are computed from them; those of bicubic always are, from the poor images of the LMDB, or, where they were
made (`eval --protocol str`), from those that `--save-images` wrote (`--images`). Shares no code with the program. NumPy, and Pillow
for its decoder and its bicubic resize, which the protocol names.
"""

import argparse
import io
import json
import math
import re
import string
from collections import Counter
from pathlib import Path

import numpy as np
from lmdb_pages import entries
from PIL import Image

PRINTABLE = set(string.digits + string.ascii_letters + string.punctuation)
WEIGHTS = {"easy": 1619, "medium": 1411, "hard": 1343}
SMALL = 1024
BATCH = 64


def reduced(text: str) -> str:
    """What is compared of a label or a reading."""
    return re.sub("[^0-9a-z]", "", text.lower())


class Set:
    """A set of words in an LMDB."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.data = entries(path)
        self.count = int(self.data[b"num-samples"])

    def label(self, number: int) -> str:
        return self.data[b"label-%09d" % number].decode()

    def image(self, number: int, *kinds: str) -> Image.Image:
        stored = next(v for k in kinds if (v := self.data.get(f"{k}-{number:09d}".encode())))
        return Image.open(io.BytesIO(stored)).convert("RGB")


def values(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """An image at a size, [height, width, 3] in [0, 1]; resized along its rows first, which Pillow 13 would do second where that
    takes less."""
    for between in ((size[0], image.height), size):
        if image.size != between:
            image = image.resize(between, Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float64) / 255


def doubled(image: np.ndarray, axis: int) -> np.ndarray:
    """Twice as long along an axis: bicubic, a = -0.75, half-pixel centers, edges repeated, nothing clamped."""
    a = -0.75

    def weight(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return ((a + 2) * x - (a + 3)) * x * x + 1
        return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0

    length = image.shape[axis]
    rows = []
    for i in range(2 * length):
        place = (i + 0.5) / 2 - 0.5
        first = math.floor(place) - 1
        taps = [(min(max(first + k, 0), length - 1), weight(place - first - k)) for k in range(4)]
        rows.append(sum(w * image.take(j, axis) for j, w in taps))
    return np.stack(rows, axis)


def window() -> np.ndarray:
    """11×11, σ 1.5, in float32; the sum, which is rounded once as PyTorch's is, shows in the sixth digit of SSIM."""
    offsets = np.arange(11) - 5
    one = np.exp(-(offsets**2) / (2 * 1.5**2)).astype(np.float32)
    one = (one / np.float32(one.sum(dtype=np.float64))).astype(np.float64)
    return np.outer(one, one)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM with zeros around the images."""
    w = window()

    def mean(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x, ((5, 5), (5, 5), (0, 0)))
        views = np.lib.stride_tricks.sliding_window_view(padded, (11, 11), axis=(0, 1))
        return np.einsum("hwcij,ij->hwc", views, w)

    ma, mb = mean(a), mean(b)
    va, vb, ab = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * ma * mb + c1) * (2 * ab + c2)
    return float((top / ((ma * ma + mb * mb + c1) * (va + vb + c2))).mean())


def decibels(error: float) -> float:
    return 20 * math.log10(255 / math.sqrt(error)) if error > 0 else math.inf


def near(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """PSNR and SSIM: means over batches, and over images."""
    errors = np.array([((255 * a - 255 * b) ** 2).mean() for a, b in pairs])
    ssim = np.array([similarity(a, b) for a, b in pairs])
    cuts = range(0, len(pairs), BATCH)
    return {
        "psnr": float(np.mean([decibels(errors[i : i + BATCH].mean()) for i in cuts])),
        "ssim": float(np.mean([ssim[i : i + BATCH].mean() for i in cuts])),
        "psnr per image": float(np.mean([decibels(e) for e in errors])),
        "ssim per image": float(ssim.mean()),
    }


class Check:
    """Counts what agrees, and stops at what does not."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.worst: dict[str, float] = {}

    def same(self, what: str, told: object, found: object) -> None:
        assert told == found, f"{what}: the program says {told}, counted again it is {found}"
        self.done[what.split(":")[0]] += 1

    def close(self, what: str, told: float, found: float, within: float) -> None:
        assert abs(told - found) <= within, f"{what}: the program says {told}, here it is {found}"
        kind = what.split(":")[0]
        self.done[kind] += 1
        self.worst[kind] = max(self.worst.get(kind, 0.0), abs(told - found))


def accuracy(words: list[dict], method: int, judge: int) -> list[list[bool]]:
    """Of LR, the method's image and HR: which words were read right."""
    columns = []
    for read in (
        lambda w: w["lr"][judge],
        lambda w: w["methods"][method]["readings"][judge],
        lambda w: w["hr"][judge],
    ):
        label = lambda w: reduced("".join(c for c in w["label"] if c in PRINTABLE))
        columns.append([reduced(read(w)) == label(w) for w in words])
    return columns


def share(right: list[bool]) -> float:
    return round(sum(right) / len(right), 4)


def readings(check: Check, told: dict, words: list[dict], method: int, judge: int) -> None:
    columns = accuracy(words, method, judge)
    check.same("words right", told["all"]["right"], [sum(c) for c in columns])
    for name, column in zip(("lr", "sr", "hr"), columns):
        check.same("rounded accuracy", told["all"][name]["rounded"], share(column))
    lr, sr, _ = columns
    only = [sum(s and not l for l, s in zip(lr, sr)), sum(l and not s for l, s in zip(lr, sr))]
    check.same("paired", [told["all"][k] for k in ("only_sr_right", "only_lr_right")], only)
    bins = [[0, 0, 0, 0] for _ in range(12)]
    for i, word in enumerate(words):
        length = min(len(reduced(word["label"].encode("ascii", "ignore").decode())), 11)
        for k, n in enumerate([1, *(c[i] for c in columns)]):
            bins[length][k] += n
    check.same("bins", [[b["words"], *b["right"]] for b in told["bins"]], bins)
    total = [sum(b[k] for b in bins) for k in range(4)]
    check.same("sum of bins", [told["all"]["words"], *told["all"]["right"]], total)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("sets", nargs="+", type=Path)
    arguments.add_argument("--words", type=Path, required=True)
    arguments.add_argument("--json", type=Path, required=True)
    arguments.add_argument("--images", type=Path)
    arguments.add_argument("--sr", type=Path)
    given = arguments.parse_args()
    told = json.loads(given.json.read_text())
    records = [json.loads(line) for line in given.words.read_text().splitlines()[1:]]
    stored = {s.name: s for s in map(Set, given.sets)}
    check = Check()
    everything: list[list[dict]] = []
    for result in told["sets"]:
        name, seed = result["name"], result.get("seed")
        place = name if seed is None else f"{name}-seed{seed}"
        own = stored[name]
        words = [r["word"] for r in records if r["set"] == place]
        check.same("samples", result["images"], len(words))
        check.same("samples", own.count, len(words))
        for number, word in enumerate(words, 1):
            check.same("labels", word["label"], own.label(number))
            check.same("sizes", tuple(word["size"]), own.image(number, "image_hr", "image").size)
        high, low, made = [], [], []
        for number in range(1, own.count + 1):
            high.append(values(own.image(number, "image_hr", "image"), (128, 32)))
            if seed is None:
                poor = own.image(number, "image_lr")
            else:
                poor = Image.open(given.images / place / "lr" / f"{number:06d}.png").convert("RGB")
            low.append(doubled(doubled(values(poor, (64, 16)), 0), 1))
            if given.sr:
                made.append(values(Image.open(given.sr / place / "sr" / f"{number:06d}.png"), (128, 32)))
        for what, images, says in (("bicubic", low, result["bicubic"]), ("SR", made, result["super_resolved"])):
            if images:
                found = near(list(zip(images, high)))
                says = {**says, **{f"{k} per image": v for k, v in says["per_image"].items()}}
                for key, value in found.items():
                    check.close(f"{what} {key[:4]}", says[key], value, 1e-4 if "psnr" in key else 1e-6)
        for m, method in enumerate(result["methods"]):
            for j, judge in enumerate(method["judges"]):
                readings(check, judge["readability"], words, m, j)
        if seed in (None, 0):
            everything.append(words)
    for m, method in enumerate(told["all"]["methods"]):
        for j, judge in enumerate(method["judges"]):
            readings(check, judge["readability"], sum(everything, []), m, j)
            average = judge["weighted_accuracy_lr_sr_hr"]
            names = [r["name"] for r in told["sets"]]
            if average is not None:
                for version in range(3):
                    parts = [share(accuracy(everything[names.index(n)], m, j)[version]) for n in WEIGHTS]
                    mean = sum(p * w for p, w in zip(parts, WEIGHTS.values())) / 4373
                    check.close("average", average[version], mean, 1e-12)
    seeds = sorted({r["seed"] for r in told["sets"] if "seed" in r})
    for row in told["over_seeds"]:
        judge = [j["name"] for j in told["judges"]].index(row["judge"])
        columns = [(row["lr"], 0, 0), *((s, m, 1) for m, s in enumerate(row["methods"])), (row["hr"], 0, 2)]
        for spread, method, version in columns:
            each = []
            for seed in seeds:
                words = [r["word"] for r in records if r["set"] == f"{row['set']}-seed{seed}"]
                if row["small"]:
                    words = [w for w in words if w["size"][0] * w["size"][1] <= SMALL]
                check.same("images of a row", row["images"], len(words))
                each.append(share(accuracy(words, method, judge)[version]))
            check.same("each seed", spread["each"], each)
            check.close("mean over seeds", spread["mean"], float(np.mean(each)), 1e-12)
            if len(seeds) > 1:
                check.close("deviation over seeds", spread["deviation"], float(np.std(each, ddof=1)), 1e-12)
    for kind, count in check.done.items():
        worst = check.worst.get(kind)
        print(f"{kind}: {count} agree" + ("" if worst is None else f", within {worst:.1e}"))


if __name__ == "__main__":
    main()
