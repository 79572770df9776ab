"""The native module. Its functions take and give arrays and tuples; `lemma_gpu` is what programs use."""

from collections.abc import Callable
from typing import Any, final

import numpy as np
import numpy.typing as npt

_Pixels = npt.NDArray[np.uint8]
_Read = tuple[str, float, list[tuple[str, float, float]]]

__all__ = [
    "__version__",
    "Engine",
    "Lemma",
    "Recognizer",
    "adapters",
    "command",
    "decode",
    "encode_png",
    "sheet",
]

__version__: str

@final
class Engine:
    def __new__(cls, adapter: str | None, precision: str, memory: int | None, cache: str | None) -> Engine: ...

@final
class Lemma:
    def __new__(cls, engine: Engine, weights: str | bytes | None, reader: str | bytes | None) -> Lemma: ...
    @property
    def adapter(self) -> str: ...
    def upscale(
        self,
        arrays: list[_Pixels],
        batch: int,
        fit: str,
        keep_upright: bool,
        text: bool,
        attention: bool,
        progress: Callable[[int, int], Any] | None,
    ) -> list[tuple[_Pixels, npt.NDArray[np.float32] | None, _Read]]: ...

@final
class Recognizer:
    def __new__(cls, engine: Engine, weights: str | bytes | None) -> Recognizer: ...
    @property
    def adapter(self) -> str: ...
    @property
    def kind(self) -> str: ...
    def read(
        self,
        arrays: list[_Pixels],
        batch: int,
        head: str,
        progress: Callable[[int, int], Any] | None,
    ) -> list[_Read]: ...

def adapters() -> list[dict[str, Any]]: ...
def command(arguments: list[str]) -> int: ...
def decode(bytes: bytes, place: str) -> _Pixels: ...
def encode_png(pixels: _Pixels) -> bytes: ...
def sheet(
    images: tuple[_Pixels, _Pixels],
    fitted: tuple[str, bool],
    reading: tuple[str, float, list[float]],
) -> bytes: ...
