"""Words by the million: a class for Ray Data's `map_batches`, Spark's `mapInPandas` and the like.

>>> import ray
>>> from lemma_gpu.batch import Words
>>> images = ray.data.read_images("crops/", include_paths=True)
>>> pool = ray.data.ActorPoolStrategy(size=2)
>>> images.map_batches(Words, batch_size=64, num_cpus=0.5, compute=pool).write_parquet("words/")

Actors that take all CPUs of a machine leave none to read and write with, and Ray then waits without a word: hence num_cpus.
With several GPUs, name an adapter for each worker: Vulkan does not know CUDA_VISIBLE_DEVICES, by which schedulers hand them
out, unless `CUDA_DEVICE_ORDER=PCI_BUS_ID` makes its numbers those of the bus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lemma_gpu._models import Lemma


class Words:
    """Batches of a column of images in; the same with the columns `text`, `confidence` and `png` out.

    column: where the images are: arrays, bytes of files, paths, or what Hugging Face's `datasets` writes, which is a
        dictionary of bytes and path, of which either may be empty.
    size: images in one pass over the network; 0 for the default.
    errors: "raise", or "keep" for a row whose image cannot be read: its text is empty, its png None, and `error` says why.
    arguments: those of `Lemma`.

    The model is opened at the first batch, once in a process.
    """

    def __init__(self, column: str = "image", *, size: int = 0, errors: str = "keep", **arguments: Any) -> None:
        if errors not in ("keep", "raise"):
            raise ValueError(f"errors: expected keep or raise, got {errors}")
        self.column = column
        self.size = size
        self.errors = errors
        self.arguments = arguments
        self._lemma: Lemma | None = None

    def __call__(self, batch: Any) -> Any:
        """`batch` is a dictionary of columns, as Ray gives it, or a pandas DataFrame."""
        images, problems = [], []
        if self.column not in batch:
            raise KeyError(f"no column {self.column!r} among {list(batch)}")
        from lemma_gpu._images import as_array

        for value in batch[self.column]:
            try:
                images.append(as_array(_image(value)))
                problems.append(None)
            except (OSError, TypeError, ValueError) as error:
                if self.errors == "raise":
                    raise
                problems.append(str(error))
        words = iter(self._model().upscale(images, batch=self.size) if images else [])
        rows = [next(words) if problem is None else None for problem in problems]
        out = dict(batch) if isinstance(batch, dict) else batch.copy()
        out["text"] = _column([row.text if row else "" for row in rows])
        out["confidence"] = np.array([row.confidence if row else 0.0 for row in rows], dtype=np.float32)
        out["png"] = _column([row.to_png() if row else None for row in rows])
        if self.errors == "keep":
            out["error"] = _column([problem or "" for problem in problems])
        return out

    def frames(self, frames: Iterable[Any]) -> Iterator[Any]:
        """For `mapInPandas`: one DataFrame after the other."""
        return map(self, frames)

    def _model(self) -> Lemma:
        if self._lemma is None:
            self._lemma = Lemma(**self.arguments)
        return self._lemma

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lemma": None}


def _image(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value.get("bytes") is not None:
        return value["bytes"]
    if value.get("path"):
        return value["path"]
    raise ValueError("image: a dictionary with neither bytes nor path")


def _column(values: list[Any]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
