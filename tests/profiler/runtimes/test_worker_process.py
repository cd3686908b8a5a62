"""The parent's side of a worker: noise, dropped models, garbage and deadlines."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from profiler.errors import RuntimeNotSupportedError, WorkloadFailedError
from profiler.formats import write_tflite
from profiler.runtimes import ModelFile, WorkerProcess, WorkerSettings
from tests.conformance.networks import tiny

RUN = {"request": "run", "warmup_runs": 0, "runs": 3}


def settings(python: str = sys.executable, cache_bytes: int = 2**20) -> WorkerSettings:
    return WorkerSettings("d", python, "runner", "litert", 1, "xnnpack", None, cache_bytes)


def model(channels: int) -> ModelFile:
    return ModelFile(write_tflite(tiny(channels).with_random_weights(np.random.default_rng(0))))


def script(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@contextlib.contextmanager
def running(worker_settings: WorkerSettings) -> Iterator[WorkerProcess]:
    with contextlib.closing(WorkerProcess(worker_settings)) as worker:
        yield worker


def test_chatter_does_not_disturb_the_frames(tmp_path: Path) -> None:
    loud = script(
        tmp_path / "loud",
        f'#!/bin/sh\nhead -c 300000 /dev/zero | tr "\\0" x >&2\necho PNW1 noise\nexec {sys.executable} "$@"\n',
    )
    with running(settings(loud)) as worker:
        assert worker.hello["version"]
        assert len(worker.call_on_model(RUN, model(2), [], 20).parts[0]) == 3 * 8


def test_a_dropped_model_is_sent_again() -> None:
    with running(settings(cache_bytes=1)) as worker:
        for _ in range(2):
            for channels in (2, 3):
                assert len(worker.call_on_model(RUN, model(channels), [], 20).parts[0]) == 3 * 8


def test_a_large_model_goes_through_and_comes_back_as_a_refusal() -> None:
    with running(settings()) as worker, pytest.raises(WorkloadFailedError) as caught:
        worker.call_on_model(RUN, ModelFile(b"x" * 30_000_000), [], 30)
    assert caught.value.reason == "INVALID_MODEL"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("echo broken >&2; exit 3", "exit code 3 broken"),
        ("kill -SEGV $$", "SIGSEGV"),
        (
            f"exec {sys.executable} -c 'import json, os, sys\n"
            'os.write(json.loads(sys.argv[2])["connection"], b"x" * 64)\' "$@"',
            "cannot be read|exit code",
        ),
        ('printf "\\033[2J[/x]\\n" >&2; exit 1', r"\?\[2J\[/x\]"),
    ],
    ids=["exit", "signal", "garbage", "escape codes"],
)
def test_an_interpreter_that_is_none_is_refused(tmp_path: Path, program: str, words: str) -> None:
    with pytest.raises(RuntimeNotSupportedError, match=words) as caught:
        WorkerProcess(settings(script(tmp_path / "python", f"#!/bin/sh\n{program}\n")))
    assert str(caught.value).isprintable()


def test_a_trickle_of_output_meets_the_total_deadline(tmp_path: Path) -> None:
    trickle = (
        "import json,os,sys,time\n"
        "fd = json.loads(sys.argv[2])['connection']\n"
        "from profiler.runtimes.host_worker import frames\n"
        "os.write(fd, frames.encode({'ok': True, 'version': '1', 'cpus': None}))\n"
        "for byte in frames.encode({'ok': True}, [bytes(1000)]):\n"
        "    os.write(fd, bytes([byte])); time.sleep(0.05)\n"
    )
    (tmp_path / "trickle.py").write_text(trickle, encoding="utf-8")
    python = script(tmp_path / "python", f'#!/bin/sh\nexec {sys.executable} {tmp_path}/trickle.py "$@"\n')
    with running(settings(python)) as worker:
        began_s = time.monotonic()
        with pytest.raises(WorkloadFailedError) as caught:
            worker.call(RUN, [], 0.5)
        assert time.monotonic() - began_s < 5
        assert caught.value.reason == "TIMEOUT"
        assert not worker.usable


def test_a_worker_may_be_closed_twice() -> None:
    worker = WorkerProcess(settings())
    worker.close()
    worker.close()
    assert not worker.usable


@pytest.mark.tflite_runtime
def test_a_broken_model_that_crashes_the_older_runtime_is_a_result(tflite_runtime_python: Path) -> None:
    crashing = WorkerSettings("d", str(tflite_runtime_python), "runner", "tflite-runtime", 1, "xnnpack", None, 2**20)
    content = model(64).content
    with running(crashing) as worker, pytest.raises(WorkloadFailedError) as caught:
        worker.call_on_model(RUN, ModelFile(content[: len(content) // 2]), [], 30)
    assert caught.value.reason in ("CRASHED", "INVALID_MODEL")
