import io
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from PIL import Image

import lemma_gpu
from lemma_gpu import Lemma, Recognizer


def test_every_form_of_an_image_gives_one_result(lemma, coffee):
    pil = Image.open(coffee).convert("RGB")
    array = np.asarray(pil)
    turned = Image.fromarray(np.rot90(array, -1))
    exif = Image.Exif()
    exif[0x0112] = 8  # to be turned back by a quarter
    buffer = io.BytesIO()
    turned.save(buffer, "PNG", exif=exif)
    wide = np.zeros((array.shape[0] + 4, array.shape[1] + 6, 3), np.uint8)
    wide[2:-2, 3:-3] = array
    forms = [
        coffee,
        str(coffee),
        coffee.read_bytes(),
        bytearray(coffee.read_bytes()),
        pil,
        pil.convert("RGBA"),
        Image.open(io.BytesIO(buffer.getvalue())),
        buffer.getvalue(),
        array,
        wide[2:-2, 3:-3],
        np.dstack([array, np.full(array.shape[:2], 255, np.uint8)]),
    ]
    words = lemma.upscale(forms, batch=4)
    assert [w.text for w in words] == ["coffee"] * len(forms)
    for word in words:
        assert (word.image == words[0].image).all()
    assert words[0].image.shape == (32, 128, 3) and words[0].image.dtype == np.uint8
    gray = lemma(np.asarray(pil.convert("L")))
    assert (gray.image.shape, gray.text) == ((32, 128, 3), "coffee")


def test_a_word_says_what_was_read_and_where(lemma, coffee):
    word = lemma(coffee, attention=True)
    assert word.text == "".join(c.text for c in word.characters)
    assert 0.5 < word.confidence <= 1 and all(0 < c.confidence <= 1 for c in word.characters)
    centers = [c.center for c in word.characters]
    assert centers == sorted(centers) and 0 < centers[0] < centers[-1] < 1
    assert word.attention.dtype == np.float32 and word.attention.ndim == 2
    assert word.to_pil().size == (128, 32)
    for fit in ("auto", "pad", "split"):
        sheet = Image.open(io.BytesIO(lemma(coffee, fit=fit)._repr_png_()))
        assert sheet.width > 300
    assert np.asarray(Image.open(io.BytesIO(word.to_png()))).tolist() == word.image.tolist()
    silent = lemma(coffee, text=False)
    assert (silent.text, silent.confidence, silent.attention) == ("", 0.0, None)


def test_a_recognizer_reads_what_the_model_made(lemma, recognizer, coffee):
    word = lemma(coffee)
    assert recognizer.kind == "ABINet"
    reading = recognizer(word.image)
    assert reading.text == "coffee" and len(reading.characters) == 6
    assert recognizer(word.image, head="vision").text == "coffee"
    assert recognizer.read([]) == [] and lemma.upscale([]) == []


@pytest.mark.parametrize(
    "image, error, part",
    [
        (np.zeros((16, 64, 3), np.float32), TypeError, "floats may reach to 1 or to 255"),
        (np.zeros((16, 64), bool), TypeError, "got bool"),
        (np.zeros((3, 16, 64), np.uint8), ValueError, "transpose(1, 2, 0)"),
        (np.zeros((2, 16, 64, 3), np.uint8), ValueError, "a list of images"),
        (np.zeros((0, 64, 3), np.uint8), ValueError, "64×0"),
        (b"not an image", lemma_gpu.Error, "bytes"),
        (object(), TypeError, "got object"),
        ("nowhere.png", FileNotFoundError, "nowhere.png"),
        (Image.new("F", (64, 16)), TypeError, "mode F"),
    ],
)
def test_what_is_no_image_is_said(lemma, coffee, image, error, part):
    with pytest.raises(error) as caught:
        lemma.upscale([coffee, image])
    assert part in str(caught.value)


def test_errors_have_kinds_and_are_the_builtins_that_fit(adapter, coffee):
    with pytest.raises(lemma_gpu.Error) as caught:
        Lemma(adapter="no adapter has this name")
    assert caught.value.kind == "no-adapter"
    with pytest.raises(ValueError) as caught:
        Lemma(b"no weights", adapter=adapter)
    assert caught.value.kind == "format"
    with pytest.raises(OSError) as caught:
        Recognizer("nowhere.pth", adapter=adapter)
    assert caught.value.kind == "io" and "nowhere.pth" in str(caught.value)
    with pytest.raises(ValueError) as caught:
        Lemma(adapter=adapter)(coffee, fit="squeeze")
    assert caught.value.kind == "argument"
    with pytest.raises(ValueError):
        Lemma(adapter=adapter, precision="f64")
    with pytest.raises(TypeError):
        Lemma(3.5)


def test_progress_is_told_and_may_end_the_work(lemma, coffee):
    seen = []
    lemma.upscale([coffee] * 5, batch=2, progress=lambda done, all: seen.append((done, all)))
    assert seen == [(2, 5), (4, 5), (5, 5)]

    def enough(done, all):
        raise LookupError("enough")

    with pytest.raises(LookupError):
        lemma.upscale([coffee] * 5, batch=2, progress=enough)
    assert lemma(coffee).text == "coffee"


def test_other_threads_go_on_while_the_device_works(lemma, coffee):
    ticks, done = [0], threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks[0] += 1

    thread = threading.Thread(target=tick)
    thread.start()
    begun = time.monotonic()
    lemma.upscale([coffee] * 32, batch=32)
    took = time.monotonic() - begun
    done.set()
    thread.join()
    assert ticks[0] > 50 * took, f"{ticks[0]} ticks in {took:.2f} s"


def test_threads_share_a_model(lemma, coffee):
    texts = [None] * 4

    def work(i):
        texts[i] = lemma(coffee).text

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["coffee"] * 4


def test_models_pickle_by_their_arguments(lemma, recognizer, coffee):
    again = pickle.loads(pickle.dumps(lemma))
    assert again(coffee).text == "coffee"
    assert len(pickle.dumps(lemma)) < 1000
    assert pickle.loads(pickle.dumps(recognizer)).kind == "ABINet"


def test_ctrl_c_ends_the_work(adapter, coffee):
    program = f"""
        import lemma_gpu, os
        lemma = lemma_gpu.Lemma(adapter={adapter!r})
        lemma({str(coffee)!r})
        print("ready", flush=True)
        lemma.upscale([{str(coffee)!r}] * 2000, batch=4)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is Unix's")
def test_a_process_that_forked_opens_its_own_device(adapter, coffee):
    program = f"""
        import lemma_gpu, os, sys
        lemma = lemma_gpu.Lemma(adapter={adapter!r})
        assert lemma({str(coffee)!r}).text == "coffee"
        child = os.fork()
        if child == 0:
            os._exit(0 if lemma({str(coffee)!r}).text == "coffee" else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], timeout=120)
    assert run.returncode == 0


def test_adapters_are_listed():
    all = lemma_gpu.adapters()
    assert all and {"index", "name", "kind", "backend", "driver", "pci", "software"} <= all[0].keys()
