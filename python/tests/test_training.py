import pytest

import lemma_gpu

TINY = {"batch": 2, "steps": 4, "log_every": 1, "eval_every": 0, "save_every": 2}


def test_metrics_come_as_dictionaries_and_a_run_goes_on(tmp_path, adapter):
    seen = []
    options = {"stage": "srcnn", "adapter": adapter}
    last = lemma_gpu.train(TINY, "synth:", tmp_path / "run", seen.append, **options)
    assert [m["step"] for m in seen] == [1, 2, 3, 4] and last is seen[-1]
    assert all(isinstance(m["loss"], float) and m["norm"] > 0 for m in seen)
    assert list((tmp_path / "run").glob("*.safetensors"))
    more = []
    last = lemma_gpu.train({"steps": 6}, None, tmp_path / "run", more.append, resume=True, adapter=adapter)
    assert [m["step"] for m in more] == [5, 6] and last["step"] == 6


def test_a_callback_ends_the_run(tmp_path, adapter):
    config = TINY | {"steps": 100000}
    seen = []

    def three(metrics):
        seen.append(metrics["step"])
        return len(seen) < 3

    last = lemma_gpu.train(config, "synth:", tmp_path / "run", three, stage="srcnn", adapter=adapter)
    assert 3 <= last["step"] < 1000 and seen == [1, 2, 3]
    assert list((tmp_path / "run").glob("*.safetensors"))

    def bad(metrics):
        raise LookupError("mine")

    with pytest.raises(LookupError):
        lemma_gpu.train(config, "synth:", tmp_path / "other", bad, stage="srcnn", adapter=adapter)


def test_what_cannot_be_trained_is_said(tmp_path, adapter):
    with pytest.raises(lemma_gpu.Error) as caught:
        lemma_gpu.train({"bach": 2}, "synth:", tmp_path / "run", stage="srcnn", adapter=adapter)
    assert caught.value.kind == "argument" and "bach" in str(caught.value)
    with pytest.raises(lemma_gpu.Error):
        lemma_gpu.train(TINY, "nowhere", tmp_path / "run", stage="srcnn", adapter=adapter)
    with pytest.raises(TypeError):
        lemma_gpu.train({"batch": object()}, "synth:", tmp_path / "run")
