import os
from pathlib import Path

import pytest

import lemma_gpu

DEMO = Path(__file__).parents[2] / "weights" / "demo"


@pytest.fixture(scope="session")
def adapter():
    return os.environ.get("LEMMA_GPU_ADAPTER")


@pytest.fixture(scope="session")
def lemma(adapter):
    return lemma_gpu.Lemma(adapter=adapter)


@pytest.fixture(scope="session")
def recognizer(adapter):
    return lemma_gpu.Recognizer(adapter=adapter)


@pytest.fixture(scope="session")
def coffee():
    return DEMO / "coffee.png"
