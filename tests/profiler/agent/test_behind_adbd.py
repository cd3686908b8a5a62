"""Agents behind Google's own adbd on this computer: natively, and the ones for phones under qemu."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from profiler.adb import DirectTransport, own_key
from profiler.agent import AgentBuild, BlockRecord, JobRun
from profiler.agent.job import Engine
from profiler.agent.toolchains import ENGINES, Target
from tests.adb_programs import AdbDaemon, own_adbd
from tests.profiler.agent.remote_agent import RemoteAgent, agent_job, require_whole

pytestmark = [pytest.mark.agent, pytest.mark.adbd]

RealAgent = Callable[[Engine, Target], AgentBuild]
POINTS = {"ncnn": 20, "litert": 7}
"""Places in a stream where something fails: what happens there is the same code for both engines."""
A_PHONES_CPUINFO = (
    "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0b\n"
)
"""LiteRT looks for an arm64 processor there, and qemu before version 8 shows this computer's."""


@pytest.fixture
def daemon(adbd_path: Path) -> Iterator[AdbDaemon]:
    with own_adbd(adbd_path) as running:
        yield running


@pytest.fixture
def transport(daemon: AdbDaemon) -> Iterator[DirectTransport]:
    with DirectTransport.tcp(daemon.address, key=own_key()) as reached:
        yield reached


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.param
    return found


@pytest.fixture
def native(transport: DirectTransport, daemon: AdbDaemon, engine: Engine, real_agent: RealAgent) -> RemoteAgent:
    target: Target = "aarch64" if platform.machine() == "aarch64" else "x86_64"
    return RemoteAgent.installed(transport, f"{daemon.folder}/agent", real_agent(engine, target).bundle())


def running(daemon: AdbDaemon) -> list[int]:
    """Return the agents that run in a daemon's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == daemon.folder / "agent":
                found.append(int(process.name))
    return found


def points(agent: RemoteAgent, engine: Engine) -> list[int]:
    require_whole(agent_job(engine), agent.run(agent_job(engine)))
    whole = len(agent.stored())
    return [1 + place * (whole - 8) // POINTS[engine] for place in range(POINTS[engine])]


def once_at(agent: RemoteAgent, place: int, happens: Callable[[bytes, int], bytes]) -> list[int]:
    """Let something happen to what is read when a place is reached; returns where it has happened."""
    happened: list[int] = []

    def on_bytes(read: int, data: bytes) -> bytes:
        if not happened and read + len(data) > place >= read:
            happened.append(read)
            return happens(data, place - read)
        return data

    agent.on_bytes = on_bytes
    return happened


def test_it_runs_and_tells_all(engine: Engine, native: RemoteAgent) -> None:
    job = agent_job(engine)
    run = JobRun(native, job, block_timeout_s=30.0)
    require_whole(job, list(run.outcomes()))
    assert run.hello is not None and run.hello.engine == engine and run.farewell is not None
    assert native.starts == 1


@pytest.mark.qemu
@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76", "max"])
def test_those_for_phones_run_under_qemu(
    engine: Engine, cpu: str, daemon: AdbDaemon, transport: DirectTransport, real_agent: RealAgent
) -> None:
    transport.push(A_PHONES_CPUINFO.encode(), f"{daemon.folder}/shown/proc/cpuinfo")
    words = ("qemu-aarch64-static", "-cpu", cpu, "-L", f"{daemon.folder}/shown")
    bundle = real_agent(engine, "aarch64").bundle()
    agent = RemoteAgent.installed(transport, f"{daemon.folder}/agent", bundle, *words)
    job = agent_job(engine, rounds=2)
    run = JobRun(agent, job, block_timeout_s=30.0)
    require_whole(job, list(run.outcomes()))
    assert run.hello is not None and run.hello.target == "aarch64"
    assert ("asimddp" in run.hello.isa, "i8mm" in run.hello.isa) == (cpu != "cortex-a53", cpu == "max")


def test_killed_at_twenty_points_it_goes_on(engine: Engine, native: RemoteAgent, daemon: AdbDaemon) -> None:
    job = agent_job(engine)

    def kill(data: bytes, _: int) -> bytes:
        for pid in running(daemon):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return data

    for place in points(native, engine):
        happened = once_at(native, place, kill)
        require_whole(job, native.run(job))
        assert happened


def test_bytes_that_come_damaged_at_twenty_points_become_no_number(engine: Engine, native: RemoteAgent) -> None:
    job = agent_job(engine)

    def damage(data: bytes, place: int) -> bytes:
        return data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]

    for place in points(native, engine):
        happened, starts = once_at(native, place, damage), native.starts
        outcomes = native.run(job)
        require_whole(job, outcomes)
        assert happened and native.starts - starts in (1, 2)
        told = {record.position: record for record in outcomes if isinstance(record, BlockRecord)}
        written = {r.position: r for r in native.run_records() if isinstance(r, BlockRecord)}
        assert told == written, "what is told is what was written there"


def test_a_cable_cut_at_twenty_points_loses_nothing(engine: Engine, native: RemoteAgent, daemon: AdbDaemon) -> None:
    """The daemon dies and comes back: what it has started runs on, and must end by itself or be ended."""
    job = agent_job(engine)

    def cut(data: bytes, _: int) -> bytes:
        daemon.kill()
        daemon.start()
        return data

    for place in points(native, engine):
        happened = once_at(native, place, cut)
        require_whole(job, native.run(job))
        assert happened
    ends_s = time.monotonic() + 3.0
    while running(daemon):
        assert time.monotonic() < ends_s, "an agent runs on"
        time.sleep(0.05)


def test_an_agent_whose_daemon_has_died_ends_within_a_second(
    engine: Engine, native: RemoteAgent, daemon: AdbDaemon
) -> None:
    native.put(agent_job(engine, rounds=100_000).to_bytes())
    with contextlib.suppress(Exception), native.start() as process:
        process.read(10.0)
        daemon.kill()
        died_s = time.monotonic()
        while running(daemon):
            assert time.monotonic() - died_s < 5.0, "the agent runs on"
            time.sleep(0.02)
        assert time.monotonic() - died_s < 2.0
        daemon.start()
    assert not running(daemon)
