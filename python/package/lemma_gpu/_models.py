"""Models, as Python sees them: made of arguments by which they pickle, and opened anew where they arrive."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from lemma_gpu import _native
from lemma_gpu._images import as_array
from lemma_gpu._results import Reading, Word, reading, word

Progress = Callable[[int, int], Any]

# Devices of a process that forked. They are its parent's: to free them would wait for threads that are not here.
_of_the_parent: list[Any] = []


def adapters() -> list[dict[str, Any]]:
    """The adapters of this machine, fastest kind first: index, name, kind, backend, driver, pci, software."""
    return _native.adapters()


class _Model:
    """What has a native object that belongs to one process."""

    def __init__(self, weights: Any, settings: dict[str, Any]) -> None:
        if isinstance(weights, os.PathLike):
            weights = os.fspath(weights)
        if isinstance(weights, (bytearray, memoryview)):
            weights = bytes(weights)
        if not isinstance(weights, (str, bytes, type(None))):
            raise TypeError(f"weights: expected None, a path or bytes, got {type(weights).__name__}")
        self._weights = weights
        self._settings = settings
        self._open()

    def _open(self) -> None:
        self._process = os.getpid()
        self._opened = self._make()

    def _make(self) -> Any:
        raise NotImplementedError

    @property
    def _native(self) -> Any:
        if self._process != os.getpid():
            _of_the_parent.append(self._opened)
            self._open()
        return self._opened

    @property
    def adapter(self) -> str:
        """The name of the adapter behind it."""
        return self._native.adapter

    def __reduce__(self) -> tuple:
        return _again, (type(self), self._weights, self._settings)

    def __repr__(self) -> str:
        weights = "shipped" if self._weights is None else self._weights
        weights = f"{len(weights)} bytes" if isinstance(weights, bytes) else weights
        return f"{type(self).__name__}({weights}, on {self.adapter})"


def _again(kind: type, weights: Any, settings: dict[str, Any]) -> Any:
    return kind(weights, **settings)


class Lemma(_Model):
    """LEMMA: makes low-resolution images of words readable, and reads them.

    weights: None for the small model inside, the path of a checkpoint (ours or an official .pth), or its bytes.
    adapter: None for the fastest, an index, a part of a name, "pci:0000:3b:00.0", or "rank".
    precision: "f32", or "f16" for half the memory on adapters with shader-f16.
    reader: weights of a recognizer that reads in place of the one inside.
    cache: a folder where compiled kernels are kept, which makes the first pass of later processes fast.
    memory: most bytes of device memory.

    It pickles by these arguments, opens its device where it arrives, and again in a process that forked.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | bytes | None = None,
        *,
        adapter: str | int | None = None,
        precision: str = "f32",
        reader: str | os.PathLike[str] | bytes | None = None,
        cache: str | os.PathLike[str] | None = None,
        memory: int | None = None,
    ) -> None:
        settings = {"adapter": adapter, "precision": precision, "reader": reader, "cache": cache, "memory": memory}
        super().__init__(weights, settings)

    def _make(self) -> Any:
        reader = self._settings["reader"]
        reader = os.fspath(reader) if isinstance(reader, os.PathLike) else reader
        return _native.Lemma(_engine(self._settings), self._weights, reader)

    def __call__(self, image: Any, **options: Any) -> Word:
        """Super-resolves and reads one image; options as of `upscale`."""
        return self.upscale([image], **options)[0]

    def upscale(
        self,
        images: Iterable[Any],
        *,
        batch: int = 0,
        fit: str = "auto",
        keep_upright: bool = False,
        text: bool = True,
        attention: bool = False,
        progress: Progress | None = None,
    ) -> list[Word]:
        """Super-resolves images of any size, each a path, bytes, a PIL image or an array, and reads them.

        batch: most parts of images in one pass; 0 for the default.
        fit: how an image of another shape than 64×16 meets the network: auto, stretch, pad or split.
        keep_upright: leave images that are more than twice as high as wide as they stand.
        text, attention: what to bring back beside the images.
        progress: called after each pass with the parts that are done and all of them; what it raises ends the work.

        Other threads go on while the device works, and Ctrl-C ends the work after the pass in flight.
        """
        arrays = _arrays(images)
        native = self._native.upscale(arrays, batch, fit, keep_upright, text, attention, progress)
        return [word(one, array, (fit, keep_upright)) for one, array in zip(native, arrays)]


class Recognizer(_Model):
    """Reads images of words as they are.

    weights: None for the small ABINet inside; or a checkpoint of ABINet, CRNN, ASTER, MORAN, PARSeq or MATRN, by path or bytes.
    The other arguments are those of `Lemma`.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | bytes | None = None,
        *,
        adapter: str | int | None = None,
        precision: str = "f32",
        cache: str | os.PathLike[str] | None = None,
        memory: int | None = None,
    ) -> None:
        settings = {"adapter": adapter, "precision": precision, "cache": cache, "memory": memory}
        super().__init__(weights, settings)

    def _make(self) -> Any:
        return _native.Recognizer(_engine(self._settings), self._weights)

    @property
    def kind(self) -> str:
        """Which network reads."""
        return self._native.kind

    def __call__(self, image: Any, *, head: str = "fusion") -> Reading:
        """Reads one image."""
        return self.read([image], head=head)[0]

    def read(
        self,
        images: Iterable[Any],
        *,
        batch: int = 0,
        head: str = "fusion",
        progress: Progress | None = None,
    ) -> list[Reading]:
        """Reads images, each a path, bytes, a PIL image or an array.

        head: which part of ABINet and MATRN gives the reading: vision, language or fusion.
        """
        native = self._native.read(_arrays(images), batch, head, progress)
        return [reading(one) for one in native]


def _arrays(images: Iterable[Any]) -> list[Any]:
    if isinstance(images, (str, bytes, os.PathLike)):
        raise TypeError("images: expected a list; call the model itself for one image")
    arrays = []
    for i, image in enumerate(images):
        try:
            arrays.append(as_array(image))
        except (TypeError, ValueError) as error:
            if hasattr(error, "kind"):
                raise
            raise type(error)(f"images[{i}]: {error}") from None
    return arrays


def _engine(settings: dict[str, Any]) -> Any:
    adapter = settings["adapter"]
    cache = settings["cache"]
    return _native.Engine(
        None if adapter is None else str(adapter),
        settings["precision"],
        settings["memory"],
        None if cache is None else os.fspath(cache),
    )
