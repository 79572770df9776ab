"""Training: the loop of the command, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lemma_gpu.errors import of_kind

Metrics = dict[str, Any]
Callback = Callable[[Metrics], Any]

_METRICS = "metrics.jsonl"
# Exit codes of the command, and the kinds of errors that they stand for.
_KINDS = {2: "argument", 3: "no-adapter", 4: "device"}
_STOPPED = (130, 143)


def train(
    config: str | os.PathLike[str] | Mapping[str, Any] | None,
    data: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None,
    out: str | os.PathLike[str],
    callbacks: Callback | Iterable[Callback] = (),
    *,
    stage: str | None = "lemma",
    preset: str | None = None,
    resume: bool = False,
    adapter: str | int | None = None,
    arguments: Iterable[str] = (),
) -> Metrics:
    """Trains a network by the same loop as `lemma-gpu train`, and returns the last metrics.

    config: settings over the preset's: a dictionary, of which those within another are joined by dots, or a TOML file.
    data: what to learn from, each a path, or `synth:` for drawn words.
    out: the folder for checkpoints, curves and the report.
    callbacks: called with the metrics of each step that is logged, `step` and `loss` among them; one that returns False ends the run, with a
        checkpoint to go on from, and so does Ctrl-C. What one raises ends it likewise, and is raised.
    stage, preset: as of the command; resume: go on in `out`, with its settings.
    arguments: whatever else the command takes, as ["--init", "LEMMA.pth"].

    The training has a process of its own, so that a device that fails, or a signal, is its alone.
    """
    out = Path(out)
    told = [callbacks] if callable(callbacks) else list(callbacks)
    command = [sys.executable, "-m", "lemma_gpu", "train", "--output", str(out), "--progress", "none"]
    if resume:
        command.append("--resume")
    elif stage is not None:
        command += ["--stage", stage]
    if preset is not None:
        command += ["--preset", preset]
    if adapter is not None:
        command += ["--adapter", str(adapter)]
    if isinstance(config, Mapping):
        for key, value in _flat(config):
            command += ["--set", f"{key}={_toml(key, value)}"]
    elif config is not None:
        command += ["--config", os.fspath(config)]
    if data is not None:
        data = [data] if isinstance(data, (str, os.PathLike)) else list(data)
        command += ["--data", *(os.fspath(one) for one in data)]
    return _followed([*command, *arguments], out / _METRICS, told, resume)


def _followed(command: list[str], log: Path, told: list[Callback], resume: bool) -> Metrics:
    # What an earlier run logged is not told again; what this one cuts off at its checkpoint is.
    seen = _last_step(log) if resume else -1
    reader = _Steps(log)
    last: Metrics = {}
    said = tempfile.TemporaryFile()
    # A session of its own: Ctrl-C of the terminal is passed on below, once.
    process = subprocess.Popen(command, stderr=said, stdout=subprocess.DEVNULL, start_new_session=True)
    raised: BaseException | None = None
    asked = False
    while True:
        try:
            running = process.poll() is None
            for metrics in reader.new(whole=not running):
                if metrics["step"] <= seen:
                    continue
                last = metrics
                if not asked and any([callback(metrics) is False for callback in told]):
                    process.send_signal(signal.SIGINT)
                    asked = True
            if not running:
                break
            time.sleep(0.05)
        except BaseException as error:
            if raised is not None:
                # Asked twice: at once.
                process.kill()
                process.wait()
                raise
            raised = error
            asked = True
            process.send_signal(signal.SIGINT)
    if raised is not None:
        raise raised
    if process.returncode not in (0, *_STOPPED):
        said.seek(0)
        lines = said.read().decode(errors="replace").strip() or f"ended with {process.returncode}"
        text = lines[lines.rfind("error: ") :].removeprefix("error: ")
        raise of_kind(_KINDS.get(process.returncode, "error"), text)
    return last


class _Lines:
    """The lines of a file that grows, and may be written anew once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self._at = 0
        self._file: int | None = None

    def new(self) -> Iterator[Metrics]:
        try:
            with open(self._path, "rb") as file:
                which = os.fstat(file.fileno()).st_ino
                if which != self._file:
                    self._file, self._at, self._rest = which, 0, b""
                file.seek(self._at)
                fresh = file.read()
        except FileNotFoundError:
            return
        self._at += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        for line in lines:
            yield json.loads(line)


class _Steps:
    """The metrics of a step together, which are in lines of their own; said when they are followed by nothing, or another's."""

    def __init__(self, path: Path) -> None:
        self._lines = _Lines(path)
        self._open: Metrics = {}

    def new(self, whole: bool) -> Iterator[Metrics]:
        more = False
        for metrics in self._lines.new():
            more = True
            if self._open and self._open["step"] != metrics["step"]:
                yield self._open
                self._open = {}
            self._open.update(metrics)
        if self._open and (whole or not more):
            metrics, self._open = self._open, {}
            yield metrics


def _last_step(log: Path) -> int:
    return max((metrics["step"] for metrics in _Lines(log).new()), default=-1)


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _toml(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(key, one) for one in value) + "]"
    raise TypeError(f"config: {key}: expected a number, text, a truth value or a list, got {type(value).__name__}")
