"""Images of any form to arrays of uint8 [h, w], [h, w, 3] or [h, w, 4], which the native module takes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from lemma_gpu import _native


def as_array(image: Any) -> np.ndarray:
    """`image` is a path, the bytes of a file, a PIL image, or anything that NumPy makes an array of uint8 of."""
    if isinstance(image, (str, os.PathLike)):
        with open(image, "rb") as file:
            return _native.decode(file.read(), os.fspath(image))
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _native.decode(bytes(image), "bytes")
    if hasattr(image, "convert") and hasattr(image, "getexif"):
        return _of_pil(image)
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise TypeError(_not_bytes(image, array))
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; channels come last here: array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = "; give a list of images for several"
        raise ValueError(f"image: expected [h, w], [h, w, 3] or [h, w, 4], got {list(array.shape)}{hint}")
    return np.ascontiguousarray(array)


def _of_pil(image: Any) -> np.ndarray:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        raise TypeError(f"image: mode {image.mode} says nothing of its range: convert it to L or RGB first")
    clear = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if clear else "RGB"))


def _not_bytes(image: Any, array: np.ndarray) -> str:
    if array.dtype == object:
        return f"image: expected a path, bytes, a PIL image or an array, got {type(image).__name__}"
    reason = "an array of uint8"
    if array.dtype.kind == "f":
        reason += ", since floats may reach to 1 or to 255: (255 * x).round().astype('uint8') of the former"
    elif array.dtype.kind == "b":
        reason += ": 255 * x.astype('uint8')"
    return f"image: expected {reason}; got {array.dtype}"
