"""Whatever happens to an agent, each block has one outcome: its own latencies, or why there are none."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.agent import AgentJob, AgentModel, BlockRecord, FailedBlock, JobRun, Outcome, PlannedBlock
from profiler.errors import (
    ConfigError,
    DeviceBusyError,
    DeviceError,
    DeviceOfflineError,
    DeviceProtocolError,
    DeviceStorageError,
    DeviceTimeoutError,
    RuntimeNotSupportedError,
)
from tests.profiler.agent.scripted_agent import ScriptedAgent, cut, flipped, longer

BLOCKS = 5


def job_of(site: ScriptedAgent) -> AgentJob:
    return AgentJob("ncnn", "fp32", [AgentModel(())], [PlannedBlock(0, 1, site.runs)] * site.positions)


def outcomes_of(site: ScriptedAgent) -> list[Outcome]:
    return list(JobRun(site, job_of(site), block_timeout_s=0.5).outcomes())


def require_own(site: ScriptedAgent, outcomes: list[Outcome]) -> None:
    """Every outcome is in its place, and its latencies are its own."""
    assert [one.position for one in outcomes] == list(range(site.positions))
    for one in outcomes:
        if isinstance(one, BlockRecord):
            assert list(one.samples_ns) == site.samples_ns(one.position)


def test_every_block_has_its_latencies() -> None:
    site = ScriptedAgent(BLOCKS)
    run = JobRun(site, job_of(site), block_timeout_s=0.5)
    outcomes = list(run.outcomes())
    require_own(site, outcomes)
    assert site.starts == [(0, 0)]
    assert run.hello is not None and run.hello.engine == "ncnn"
    assert run.farewell is not None and run.farewell.reason == 0


DAMAGES = st.one_of(
    st.builds(flipped, st.integers(0, 2000), st.integers(1, 255)),
    st.builds(cut, st.integers(0, 2000)),
    st.builds(longer, st.integers(0, 500)),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(DAMAGES, max_size=3))
def test_no_damage_to_the_stream_costs_a_block(damages: list[Callable[[bytes], bytes]]) -> None:
    site = ScriptedAgent(BLOCKS, damages=damages)
    outcomes = outcomes_of(site)
    require_own(site, outcomes)
    assert all(isinstance(one, BlockRecord) for one in outcomes)


@settings(deadline=None, max_examples=150)
@given(st.lists(DAMAGES, max_size=3), st.sets(st.integers(0, BLOCKS - 1), max_size=2))
def test_damage_beside_crashes_blames_nobody_else(damages: list[Callable[[bytes], bytes]], crashing: set[int]) -> None:
    site = ScriptedAgent(BLOCKS, damages=damages, crashes=dict.fromkeys(crashing, 11))
    outcomes = outcomes_of(site)
    require_own(site, outcomes)
    assert {one.position for one in outcomes if isinstance(one, FailedBlock)} == crashing


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 3000), st.integers(1, 255))
def test_damage_to_the_stored_records_makes_nothing_up(place: int, mask: int) -> None:
    site = ScriptedAgent(BLOCKS, crashes={3: 11}, damages=[cut(150)])
    damaged = flipped(place, mask)
    told = site.stored
    site.stored = lambda: damaged(told()) if told() else b""  # type: ignore[method-assign]
    outcomes = outcomes_of(site)
    require_own(site, outcomes)


def test_a_stream_that_stays_damaged_is_an_error() -> None:
    site = ScriptedAgent(BLOCKS, damages=[flipped(12, 1)] * 50)
    site.stored = lambda: b""  # type: ignore[method-assign]
    with pytest.raises(DeviceProtocolError, match="in a row"):
        outcomes_of(site)


def test_a_crash_is_the_outcome_of_its_block() -> None:
    site = ScriptedAgent(BLOCKS, crashes={0: 11, 2: 4, 4: 6})
    outcomes = outcomes_of(site)
    require_own(site, outcomes)
    failed = {one.position: one for one in outcomes if isinstance(one, FailedBlock)}
    assert {place: (one.reason, one.signal) for place, one in failed.items()} == {
        0: ("CRASHED", 11), 2: ("CRASHED", 4), 4: ("CRASHED", 6)
    }  # fmt: skip
    assert "SIGSEGV" in failed[0].detail


def test_who_is_killed_once_is_tried_again() -> None:
    site = ScriptedAgent(BLOCKS, killed_once={0, 3})
    outcomes = outcomes_of(site)
    require_own(site, outcomes)
    assert all(isinstance(one, BlockRecord) for one in outcomes)


def test_who_is_killed_twice_is_out_of_memory() -> None:
    site = ScriptedAgent(BLOCKS, crashes={1: signal.SIGKILL})
    outcomes = outcomes_of(site)
    require_own(site, outcomes)
    assert [one.reason for one in outcomes if isinstance(one, FailedBlock)] == ["OUT_OF_MEMORY"]
    assert outcomes[1].position == 1 and isinstance(outcomes[1], FailedBlock)


def test_a_block_without_an_end_is_left_at_its_deadline() -> None:
    site = ScriptedAgent(BLOCKS, hangs={1, 4})
    outcomes = outcomes_of(site)
    require_own(site, outcomes)
    assert [one.reason for one in outcomes if isinstance(one, FailedBlock)] == ["TIMEOUT", "TIMEOUT"]
    assert isinstance(outcomes[1], FailedBlock) and isinstance(outcomes[4], FailedBlock)


@pytest.mark.parametrize(
    "error", [DeviceOfflineError("scripted", "the cable is out"), DeviceTimeoutError("scripted", 1.0, "an answer")]
)
def test_a_device_that_comes_back_goes_on(error: DeviceError) -> None:
    site = ScriptedAgent(BLOCKS, losses=[error, error], damages=[cut(400), cut(0)])
    outcomes = outcomes_of(site)
    require_own(site, outcomes)
    assert all(isinstance(one, BlockRecord) for one in outcomes)
    assert site.came_back >= 1


def test_a_device_that_boots_spoils_the_block_that_ran() -> None:
    site = ScriptedAgent(BLOCKS, losses=[DeviceOfflineError("scripted", "gone")], hangs={2}, booted=True)
    site.damages = [lambda told: (site.hangs.clear(), told)[1]]
    outcomes = outcomes_of(site)
    require_own(site, outcomes)
    assert [(one.position, one.reason) for one in outcomes if isinstance(one, FailedBlock)] == [
        (2, "UNEXPECTED_REBOOT")
    ]


def test_a_device_that_goes_away_again_and_again_is_an_error() -> None:
    site = ScriptedAgent(BLOCKS, losses=[DeviceOfflineError("scripted", "gone")] * 50, damages=[cut(0)] * 50)
    site.stored = lambda: b""  # type: ignore[method-assign]
    with pytest.raises(DeviceOfflineError, match="gone"):
        outcomes_of(site)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("BUSY", DeviceBusyError),
        ("STORAGE no space left", DeviceStorageError),
        ("NO_CORES mask f0", ConfigError),
        ("NO_LIBRARY libLiteRt.so", RuntimeNotSupportedError),
        ("UNKNOWN_ISA needs avx2", RuntimeNotSupportedError),
        ("BAD_JOB schema 9", DeviceProtocolError),
    ],
)
def test_a_refused_job_is_an_error(said: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        outcomes_of(ScriptedAgent(BLOCKS, refuses=said))


def test_an_agent_that_dies_before_it_says_anything_fails_no_block() -> None:
    site = ScriptedAgent(BLOCKS, crashes={0: signal.SIGILL}, damages=[cut(0)])
    site.stored = lambda: b""  # type: ignore[method-assign]
    with pytest.raises(RuntimeNotSupportedError, match="did not start"):
        outcomes_of(site)


def test_closing_the_outcomes_ends_the_agent() -> None:
    site = ScriptedAgent(BLOCKS)
    outcomes = iter(JobRun(site, job_of(site), block_timeout_s=0.5).outcomes())
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert list(outcomes) == []


def test_latencies_that_are_not_as_many_as_asked_for_do_not_count() -> None:
    site = ScriptedAgent(BLOCKS)
    job = AgentJob("ncnn", "fp32", [AgentModel(())], [PlannedBlock(0, 1, site.runs + 1)] * site.positions)
    outcomes = list(JobRun(site, job, block_timeout_s=0.5).outcomes())
    assert {one.reason for one in outcomes if isinstance(one, FailedBlock)} == {"INVALID_OUTPUT"}
    assert len(outcomes) == BLOCKS
