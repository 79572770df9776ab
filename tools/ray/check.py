"""Runs examples/ray_words.py as its users do, on a folder and on Parquet, and lets an actor die in the middle.

    python tools/ray/check.py      # with ray[data], datasets and the package installed; tools/test-slow ray installs them
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet
import ray

from lemma_gpu import Lemma
from lemma_gpu.batch import Words

ROOT = Path(__file__).parents[2]
COPIES = 16


def example(*arguments):
    begun = time.monotonic()
    subprocess.run([sys.executable, ROOT / "examples/ray_words.py", *map(str, arguments)], check=True)
    return time.monotonic() - begun


def rows(folder):
    return pyarrow.parquet.read_table(folder).to_pylist()


def check(found, texts, name):
    """Every word once, with the text that the model gives it."""
    names = sorted(Path(row["path"]).name for row in found)
    assert names == sorted(texts), f"{name}: {len(names)} rows of {len(texts)} words"
    for row in found:
        assert row["text"] == texts[Path(row["path"]).name], (name, row["path"], row["text"])
        assert row["png"].startswith(b"\x89PNG") and row["error"] == "", (name, row["path"])
    print(f"{name}: {len(found)} words, each once")


class Dying(Words):
    """Dies in its second batch, once."""

    def __init__(self, marker, **arguments):
        super().__init__(**arguments)
        self.marker = marker
        self.batches = 0

    def __call__(self, batch):
        self.batches += 1
        if self.batches == 2:
            try:
                os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
                os._exit(1)
            except FileExistsError:
                pass
        return super().__call__(batch)


def main():
    work = Path(tempfile.mkdtemp())
    (work / "in").mkdir()
    lemma = Lemma()
    texts = {}
    for demo in sorted((ROOT / "weights/demo").glob("*.png")):
        text = lemma(demo).text
        for copy in range(COPIES):
            name = f"{demo.stem}-{copy}.png"
            (work / "in" / name).write_bytes(demo.read_bytes())
            texts[name] = text

    for actors in (1, 2):
        took = example(work / "in", work / f"out-{actors}", "--actors", actors, "--batch", 16)
        check(rows(work / f"out-{actors}"), texts, f"a folder, actors: {actors}")
        print(f"  {took:.1f} s with the start of Ray")

    import datasets

    files = [str(work / "in" / name) for name in texts]
    images = datasets.Dataset.from_dict({"image": files, "path": files}).cast_column("image", datasets.Image())
    images.to_parquet(work / "paths.parquet")
    first = pyarrow.parquet.read_table(work / "paths.parquet")["image"][0].as_py()
    print(f"datasets {datasets.__version__} writes of an image file: " + ", ".join(
        f"{key} {'null' if value is None else type(value).__name__}" for key, value in first.items()))
    example(work / "paths.parquet", work / "out-paths", "--batch", 16)
    check(rows(work / "out-paths"), texts, "Parquet of datasets")

    ray.init()
    words = ray.data.read_binary_files(str(work / "in"), include_paths=True).map_batches(
        Dying,
        fn_constructor_args=(str(work / "died"),),
        fn_constructor_kwargs={"column": "bytes"},
        batch_size=8,
        num_cpus=0.5,
        compute=ray.data.ActorPoolStrategy(size=2),
    )
    words.drop_columns(["bytes"]).write_parquet(str(work / "out-died"))
    assert (work / "died").exists(), "no actor died"
    check(rows(work / "out-died"), texts, "an actor that died")


if __name__ == "__main__":
    main()
