"""Processes of this computer are read with a deadline, ended when nobody wants them, and say how they ended."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from profiler.agent import LocalAgent
from profiler.errors import DeviceError


def agent(tmp_path: Path, script: str) -> LocalAgent:
    """Return an agent that is a shell script; its arguments are those of a run."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return LocalAgent("here", (str(program),), tmp_path, options=("--library", "lib.so"))


def read_all(site: LocalAgent, *arguments: str) -> tuple[bytes, object]:
    told = b""
    with site.start(*arguments) as process:
        while data := process.read(5.0):
            told += data
        return told, process.end()


def test_it_is_started_on_its_job(tmp_path: Path) -> None:
    site = agent(tmp_path, 'echo "$@"; cat "$2"; echo out >"$3"')
    site.put(b"the job")
    told, end = read_all(site, "--from", "3", "--block", "4")
    assert told.decode() == f"run {tmp_path}/job {tmp_path}/records --library lib.so --from 3 --block 4\nthe job"
    assert str(end) == "exit code 0"
    assert site.stored() == b"out\n"
    site.put(b"another")
    assert site.stored() == b""


@pytest.mark.parametrize(("script", "how"), [("exit 3", "exit code 3"), ("kill -11 $$", "signal 11")])
def test_how_it_ended_is_told_with_its_last_words(tmp_path: Path, script: str, how: str) -> None:
    told, end = read_all(agent(tmp_path, f"echo why it ended >&2; {script}"))
    assert told == b""
    assert str(end) == f"{how}, saying 'why it ended'"


def test_who_says_nothing_is_left_at_the_deadline_and_ended(tmp_path: Path) -> None:
    site = agent(tmp_path, "exec sleep 77")
    began_s = time.monotonic()
    with pytest.raises(TimeoutError), site.start() as process:
        process.read(0.2)
    assert time.monotonic() - began_s < 3.0
    assert site.pid is not None and not psutil.pid_exists(site.pid)


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="missing"):
        LocalAgent("here", (str(tmp_path / "missing"),), tmp_path).start()
