"""Super-resolves photographs of words and reads them, on any Vulkan, Metal or DX12 GPU.

>>> from lemma_gpu import Lemma
>>> lemma = Lemma()                     # the small model inside the package; weights="LEMMA.pth" for others
>>> word = lemma("sign.jpg")            # a path, bytes, a PIL image, or an array [h, w], [h, w, 3] or [h, w, 4] of uint8
>>> word.text, word.confidence
('coffee', 0.99)
>>> word.to_pil().save("readable.png")

`Recognizer` reads alone, `adapters()` lists what there is to compute on, `train` trains, and `lemma_gpu.batch.Words` is for
Ray Data, Spark and the like. Errors are `lemma_gpu.Error`, whose `kind` says what failed.
"""

from lemma_gpu._models import Lemma, Recognizer, adapters
from lemma_gpu._native import __version__
from lemma_gpu._results import Character, Reading, Word
from lemma_gpu._training import train
from lemma_gpu.errors import Error

__all__ = [
    "Character",
    "Error",
    "Lemma",
    "Reading",
    "Recognizer",
    "Word",
    "__version__",
    "adapters",
    "train",
]
