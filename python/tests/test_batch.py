import numpy as np
import pytest

from lemma_gpu import Lemma
from lemma_gpu.batch import Words


@pytest.fixture(scope="module")
def words(adapter):
    return Words(adapter=adapter, size=4)


def test_a_batch_gets_three_columns_and_keeps_its_own(words, coffee):
    images = np.empty(4, dtype=object)
    images[:] = [
        coffee.read_bytes(),
        {"bytes": None, "path": str(coffee)},
        {"bytes": coffee.read_bytes(), "path": None},
        str(coffee),
    ]
    out = words({"image": images, "id": np.arange(4)})
    assert list(out["text"]) == ["coffee"] * 4 and list(out["id"]) == [0, 1, 2, 3]
    assert out["confidence"].dtype == np.float32 and out["confidence"].min() > 0.5
    assert all(png.startswith(b"\x89PNG") for png in out["png"])
    assert list(out["error"]) == [""] * 4


def test_arrays_of_one_size_are_a_batch(words, coffee):
    from PIL import Image

    array = np.asarray(Image.open(coffee).convert("RGB"))
    out = words({"image": np.stack([array, array])})
    assert list(out["text"]) == ["coffee"] * 2


def test_a_bad_image_is_a_row_of_its_own(words, adapter, coffee):
    out = words({"image": [b"bad", coffee.read_bytes(), {"bytes": None, "path": None}]})
    assert list(out["text"]) == ["", "coffee", ""] and out["png"][0] is None
    assert "neither" in out["error"][2] and out["error"][1] == ""
    assert list(words({"image": [b"bad"]})["text"]) == [""]
    with pytest.raises(ValueError):
        Words(adapter=adapter, errors="raise")({"image": [b"bad"]})
    with pytest.raises(KeyError):
        words({"picture": []})


def test_it_travels_without_its_device(words, coffee):
    import pickle

    assert isinstance(words._model(), Lemma)
    again = pickle.loads(pickle.dumps(words))
    assert again._lemma is None and again.arguments == words.arguments
