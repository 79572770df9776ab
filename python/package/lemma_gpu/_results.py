"""What comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lemma_gpu import _native


@dataclass(frozen=True)
class Character:
    """One character that was read."""

    text: str
    confidence: float
    """Its probability."""
    center: float
    """Where it stands, as a share of the image's width."""


@dataclass(frozen=True)
class Reading:
    """What a recognizer read in an image."""

    text: str
    confidence: float
    """Geometric mean of the characters' probabilities; 0 where nothing was read."""
    characters: list[Character] = field(default_factory=list, repr=False)


@dataclass(frozen=True, eq=False)
class Word(Reading):
    """A super-resolved image and what was read in it."""

    image: np.ndarray = field(kw_only=True, repr=False)
    """uint8 [h, w, 3], twice the network's input in height and width."""
    attention: np.ndarray | None = field(kw_only=True, repr=False, default=None)
    """float32: where characters are, over the image; None unless it was asked for."""
    original: np.ndarray = field(kw_only=True, repr=False)
    """The image as it was given."""
    fitted: tuple[str, bool] = field(kw_only=True, repr=False, default=("auto", False))
    """How it met the network: `fit` and `keep_upright`."""

    def to_pil(self) -> Any:
        """The super-resolved image as a PIL image."""
        from PIL import Image

        return Image.fromarray(self.image)

    def to_png(self) -> bytes:
        """The super-resolved image as a PNG file."""
        return _native.encode_png(self.image)

    def _repr_png_(self) -> bytes:
        """A sheet for notebooks: the image before and after, and the text."""
        confidences = [c.confidence for c in self.characters]
        read = (self.text, self.confidence, confidences)
        return _native.sheet((self.original, self.image), self.fitted, read)


def reading(native: tuple) -> Reading:
    text, confidence, characters = native
    return Reading(text, confidence, [Character(*c) for c in characters])


def word(native: tuple, original: np.ndarray, fitted: tuple[str, bool]) -> Word:
    image, attention, (text, confidence, characters) = native
    characters = [Character(*c) for c in characters]
    return Word(
        text, confidence, characters, image=image, attention=attention, original=original, fitted=fitted
    )
