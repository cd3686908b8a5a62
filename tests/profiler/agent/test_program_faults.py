"""The real program when jobs are damaged, files are full, or it is told or made to stop: nothing whole is lost."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from profiler.agent import AgentBuild, BlockRecord, EndRecord, Frame, FrameReader, Hello, PlannedBlock
from profiler.agent.records import DONE, STOPPED
from profiler.agent.toolchains import Engine, Target
from tests.profiler.agent.program_runs import LONG_RUN, Program, convolution, edited, frames_of, job_of, relu

pytestmark = pytest.mark.agent
STOPPED_CODE = 143
STORAGE_CODE = 74


@pytest.fixture
def program(real_agent: Callable[[Engine, Target], AgentBuild], tmp_path: Path) -> Program:
    """The ncnn program of this computer, in an empty folder, with a job of six blocks."""
    found = Program(real_agent("ncnn", "x86_64").path, tmp_path)
    found.put(job_of([relu(), convolution(4)], rounds=3))
    return found


def settings(text: str) -> Callable[[list[Frame]], list[Frame]]:
    """Return an edit that gives a job other settings."""
    return lambda frames: [replace(frames[0], payload=text.encode()), *frames[1:]]


def payload(index: int, content: bytes) -> Callable[[list[Frame]], list[Frame]]:
    """Return an edit that gives a frame another payload."""
    return lambda frames: [replace(frame, payload=content) if frame.sequence == index else frame for frame in frames]


def ordered(*indices: int) -> Callable[[list[Frame]], list[Frame]]:
    """Return an edit that puts frames in another order, numbered anew."""
    return lambda frames: [replace(frames[old], sequence=new) for new, old in enumerate(indices)]


BAD_JOBS: dict[str, Callable[[list[Frame]], list[Frame]]] = {
    "schema 2": settings("schema 2\nengine ncnn\n"),
    "no schema": settings("engine ncnn\n"),
    "unknown key": settings("schema 1\nengine ncnn\nspeed 3\n"),
    "key twice": settings("schema 1\nengine ncnn\nthreads 1\nthreads 2\n"),
    "no value": settings("schema 1\nengine ncnn\nthreads"),
    "unknown engine": settings("schema 1\nengine onnx\n"),
    "unknown order": settings("schema 1\nengine ncnn\norder sideways\n"),
    "unknown precision": settings("schema 1\nengine ncnn\nprecision int4\n"),
    "another engine's setting": settings("schema 1\nengine ncnn\ndelegate builtin\n"),
    "no threads": settings("schema 1\nengine ncnn\nthreads 0\n"),
    "negative seed": settings("schema 1\nengine ncnn\nseed -1\n"),
    "mask too wide": settings("schema 1\nengine ncnn\nmask 1ffffffffffffffff\n"),
    "mask of letters": settings("schema 1\nengine ncnn\nmask xyz\n"),
    "limit no number": settings("schema 1\nengine ncnn\ntime_limit_s nan\n"),
    "number and more": settings("schema 1\nengine ncnn\nrounds 3x\n"),
    "more references than blocks": settings("schema 1\nengine ncnn\nreferences 3\n"),
    "too many blocks": settings("schema 1\nengine ncnn\nrounds 4000000\n"),
    "plan of a missing model": payload(3, b"\2\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0"),
    "plan without runs": payload(3, b"\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0"),
    "plan with unknown flags": payload(3, b"\0\0\0\0\1\0\0\0\1\0\0\0\2\0\0\0"),
    "plan cut": payload(3, b"\0" * 24),
    "empty plan": payload(3, b""),
    "end counts others": payload(4, b"\3\0\0\0\2\0\0\0"),
    "end cut": payload(4, b"\2\0\0\0"),
    "model cut": payload(1, b"\xff\xff\0\0"),
    "model of an unknown segment": payload(1, b"\0\0\0\0\7\0\0\0\1\0\0\0\0\0\0\0"),
    "model of a segment cut": payload(1, b"\0\0\0\0\0\0\0\0\xff\0\0\0abc"),
    "model of a scale that is none": payload(1, b"\0\0\0\0\1\0\0\0\1\0\0\0\0\0\xc0\x7f"),
    "no settings": ordered(1, 2, 3, 4),
    "settings twice": ordered(0, 0, 1, 2, 3, 4),
    "two plans": ordered(0, 1, 2, 3, 3, 4),
    "no plan": ordered(0, 1, 2, 4),
    "model after the plan": ordered(0, 1, 3, 2, 4),
    "frames after the end": ordered(0, 1, 2, 3, 4, 4),
    "no end": ordered(0, 1, 2, 3),
    "a frame left out": lambda frames: [frames[0], *frames[2:]],
    "nothing": ordered(),
}


@pytest.mark.parametrize("bad", BAD_JOBS)
def test_bad_jobs_are_refused_before_anything_runs(program: Program, bad: str) -> None:
    program.put(edited(program.job.read_bytes(), BAD_JOBS[bad]))
    outcome = program.run()
    assert (
        outcome.code == 2 and outcome.reasons == ["BAD_JOB"] and outcome.errors[0].of_job and outcome.errors[0].detail
    )
    assert len(outcome.records) == 1 and not program.out.exists()


def test_truncated_and_damaged_jobs_are_refused(program: Program) -> None:
    whole = program.job.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 29)]
    damaged += [whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :] for place in range(0, len(whole), 31)]
    for content in damaged:
        program.put(content)
        outcome = program.run()
        assert outcome.code == 2 and outcome.reasons == ["BAD_JOB"]


def test_a_missing_job_is_refused(program: Program) -> None:
    program.job.unlink()
    assert program.run().reasons == ["BAD_JOB"]


def test_an_ended_job_is_told_again_and_not_run_again(program: Program) -> None:
    first = program.run()
    stored = program.out.read_bytes()
    again = program.run("--from", "3", first=3)
    assert again.code == 0 and again.records == first.records[3:] and program.out.read_bytes() == stored


@pytest.mark.parametrize("cut", [1, 17, 200, 10_000])
def test_a_cut_file_is_gone_on_with(program: Program, cut: int) -> None:
    program.run()
    whole = program.out.read_bytes()
    program.out.write_bytes(whole[: max(len(whole) - cut, 0)])
    outcome = program.run()
    assert outcome.code == 0 and [one.position for one in outcome.blocks] == list(range(6))
    assert program.stored() == outcome.records and outcome.end.blocks == 6


def test_a_damaged_file_is_cut_where_it_is_damaged(program: Program) -> None:
    program.run()
    whole = bytearray(program.out.read_bytes())
    third = sum(len(frame.payload) + 16 for frame in frames_of(bytes(whole))[:3])
    whole[third + 40] ^= 1
    program.out.write_bytes(whole)
    outcome = program.run()
    assert [one.position for one in outcome.blocks] == list(range(6))
    assert sum(isinstance(record, Hello) for record in outcome.records) == 2
    assert outcome.sequences == list(range(len(outcome.records)))


def test_a_block_that_is_given_is_gone_on_with(program: Program) -> None:
    outcome = program.run("--block", "4")
    assert [one.position for one in outcome.blocks] == [4, 5] and outcome.code == 0


def test_records_of_another_job_are_not_gone_on_with(program: Program) -> None:
    program.run()
    stored = program.out.read_bytes()
    program.put(job_of([relu()]))
    assert program.run().reasons == ["BAD_JOB"] and program.out.read_bytes() == stored


def test_a_second_agent_is_refused(program: Program, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        outcome = program.run("--lock", str(lock), "--from", "7", first=7)
        assert outcome.code == 2 and outcome.reasons == ["BUSY"]
    assert program.run("--lock", str(lock)).code == 0


@pytest.mark.parametrize("room", [0, 1, 300, 450, 700])
def test_full_storage_keeps_what_is_whole(program: Program, room: int) -> None:
    outcome = program.run(limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
    assert outcome.code == STORAGE_CODE and outcome.reasons == ["STORAGE"] and outcome.errors[0].of_job
    assert program.out.stat().st_size <= room and program.stored() == outcome.records[:-1]
    after = program.run("--from", str(len(outcome.records) - 1), first=len(outcome.records) - 1)
    assert after.code == 0 and isinstance(program.stored()[-1], EndRecord)
    assert [one.position for one in program.stored() if isinstance(one, BlockRecord)] == list(range(6))


def test_a_folder_that_is_missing_is_said(program: Program) -> None:
    program.out = program.out.parent / "missing" / "out"
    outcome = program.run()
    assert outcome.code == STORAGE_CODE and outcome.reasons == ["STORAGE"]


@pytest.fixture
def endless(program: Program) -> Program:
    """A job that takes for ever in short runs."""
    program.put(job_of([convolution()], [PlannedBlock(0, 1, 1000)], rounds=100_000))
    return program


@pytest.fixture
def long_run(program: Program) -> Program:
    """A job of one run that takes seconds."""
    program.put(job_of([convolution(LONG_RUN, 128)], [PlannedBlock(0, 0, 1)]))
    return program


def wait_for_records(program: Program, size: int) -> None:
    """Wait until the file of records has a size."""
    ends_s = time.monotonic() + 20
    while not program.out.exists() or program.out.stat().st_size < size:
        assert time.monotonic() < ends_s
        time.sleep(0.02)


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_stop_it_ends_between_runs(endless: Program, told: signal.Signals) -> None:
    with subprocess.Popen(endless.words(), stdout=subprocess.PIPE) as process:
        wait_for_records(endless, 9000)
        began_s = time.monotonic()
        process.send_signal(told)
        stream, _ = process.communicate(timeout=10)
    assert process.returncode == STOPPED_CODE and time.monotonic() - began_s < 1
    assert stream == endless.out.read_bytes()
    stored = endless.stored()
    assert isinstance(stored[-1], EndRecord) and stored[-1].reason == STOPPED


def test_told_to_stop_it_ends_within_a_second_also_in_a_long_run(long_run: Program) -> None:
    with subprocess.Popen(long_run.words(), stdout=subprocess.PIPE) as process:
        wait_for_records(long_run, 100)
        time.sleep(0.5)
        began_s = time.monotonic()
        process.terminate()
        process.communicate(timeout=10)
    assert process.returncode == STOPPED_CODE and time.monotonic() - began_s < 1
    assert all(not isinstance(record, BlockRecord) for record in long_run.stored())


def test_it_goes_on_after_it_was_stopped(program: Program) -> None:
    program.put(job_of([convolution()], [PlannedBlock(0, 1, 1000)], rounds=60))
    with subprocess.Popen(program.words(), stdout=subprocess.DEVNULL) as process:
        wait_for_records(program, 9000)
        process.terminate()
    outcome = program.run()
    assert outcome.code == 0 and [one.position for one in outcome.blocks] == list(range(60))
    assert [one.reason for one in outcome.records if isinstance(one, EndRecord)] in ([STOPPED, DONE], [DONE])


@pytest.mark.parametrize("which", ["endless", "long_run"])
def test_it_ends_within_a_second_when_nobody_reads(which: str, request: pytest.FixtureRequest) -> None:
    program: Program = request.getfixturevalue(which)
    with subprocess.Popen(program.words(), stdout=subprocess.PIPE) as process:
        wait_for_records(program, 100)
        assert process.stdout is not None
        began_s = time.monotonic()
        process.stdout.close()
        assert process.wait(timeout=10) == STOPPED_CODE and time.monotonic() - began_s < 1.3
    assert program.stored()


@pytest.mark.parametrize("which", ["endless", "long_run"])
def test_it_ends_within_a_second_when_its_parent_is_gone(which: str, request: pytest.FixtureRequest) -> None:
    program: Program = request.getfixturevalue(which)
    reading, writing = os.pipe()
    start = f"import subprocess, sys; subprocess.Popen(sys.argv[1:], stdout={writing}); sys.stdin.read()"
    words = [sys.executable, "-c", start, *program.words()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[writing]) as parent:
        os.close(writing)
        wait_for_records(program, 100)
        parent.kill()
    began_s = time.monotonic()
    while os.read(reading, 1 << 16):  # until the program has closed its end
        assert time.monotonic() - began_s < 5
    os.close(reading)
    assert time.monotonic() - began_s < 1.3


def test_killed_at_any_point_it_goes_on_with_all_that_was_whole(program: Program) -> None:
    program.put(job_of([convolution(), relu()], rounds=40))
    seen: list[Frame] = []
    for attempt in range(20):
        with subprocess.Popen(program.words(), stdout=subprocess.DEVNULL) as process:
            time.sleep(0.002 * attempt)
            process.kill()
        if program.out.exists():
            whole = list(FrameReader().frames(program.out.read_bytes()))
            assert whole[: len(seen)] == seen
            seen = whole
    outcome = program.run()
    assert outcome.code == 0 and [one.position for one in outcome.blocks] == list(range(80))
