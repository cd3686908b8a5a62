"""Several devices at once: all rows of all of them, and no fault of one in the way of another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from profiler.backends import Backend, BlockRequest, BlockResult
from profiler.errors import DeviceBusyError, DeviceOfflineError, MeasurementError
from profiler.measure import Measurement, Opener, Progress, Protocol, measure, measure_fleet
from profiler.store import Store
from profiler.workload import Workload
from tests.known_law_backend import KnownLawBackend, Law, rows, workloads

PROTOCOL = Protocol(rounds=3, max_rounds=3, runs_per_block=4, block_ms=0.01)
WORK = workloads(6)


@dataclass
class GoneBackend(KnownLawBackend):
    """A phone that shuts itself down after some blocks, for as long as it is warm."""

    hot: list[bool] = field(default_factory=lambda: [True])

    def run_blocks(self, requests: Sequence[BlockRequest]) -> Iterator[BlockResult]:
        for result in super().run_blocks(requests):
            if self.hot[0] and len(self.asked) > 20:
                raise DeviceOfflineError(self.name, "went away")
            yield result


def plan(backend: Backend) -> tuple[list[Workload], Protocol]:
    return WORK, PROTOCOL


def quiet(name: str) -> KnownLawBackend:
    return KnownLawBackend(Law(run_sigma=0.01), seed=len(name), fresh_noise=False, name=name)


def alone(name: str, folder: Path) -> tuple[Measurement, ...]:
    with Store(folder / f"{name} alone.db") as store, quiet(name) as backend:
        return measure(backend, WORK, PROTOCOL, store)


def test_each_device_ends_as_it_would_have_alone(tmp_path: Path) -> None:
    names = ["a", "bb", "ccc"]
    seen: dict[str, int] = {}

    def note(name: str, step: Progress) -> None:
        seen[name] = step.blocks_done

    with Store(tmp_path / "a.db") as store:
        outcomes = measure_fleet({name: partial(quiet, name) for name in names}, plan, store, progress=note)
    assert [outcome.device for outcome in outcomes] == names
    for outcome in outcomes:
        assert outcome.error is None and outcome.source == "measured"
        assert rows(outcome.measurements) == rows(alone(outcome.device, tmp_path))
    assert seen == dict.fromkeys(names, 18)


def test_a_shutdown_pauses_its_own_campaign_only_and_the_same_call_goes_on(tmp_path: Path) -> None:
    hot = [True]
    openers: dict[str, Opener] = {
        "hot": lambda: GoneBackend(fresh_noise=False, name="hot", hot=hot),
        "quiet": partial(quiet, "quiet"),
        "broken": lambda: KnownLawBackend(name="broken", gone_after=7),
    }
    with Store(tmp_path / "a.db") as store:
        gone, fine, broken = measure_fleet(openers, plan, store)
        assert isinstance(gone.error, DeviceOfflineError) and gone.measurements == ()
        assert isinstance(broken.error, MeasurementError)
        assert fine.error is None and len(fine.measurements) == 6
        counts = {record.configuration.device: len(store.blocks(record.id)) for record in store.campaigns()}
        assert counts["quiet"] == 18 and 0 < counts["hot"] < 18
        hot[0] = False
        again, _, _ = measure_fleet(openers, plan, store)
        assert again.error is None and len(again.measurements) == 6
        records = {record.configuration.device: record.id for record in store.campaigns()}
        assert len(store.blocks(records["hot"])) == 18
        assert len(records) == 3


def test_a_device_that_comes_back_while_others_are_measured_goes_on(tmp_path: Path) -> None:
    hot = [True]

    def cools_down(name: str, step: Progress) -> None:
        if name == "slow" and step.blocks_done == 6:
            hot[0] = False

    openers: dict[str, Opener] = {
        "hot": lambda: GoneBackend(fresh_noise=False, name="hot", hot=hot),
        "slow": lambda: KnownLawBackend(name="slow", pause_s=0.02),
    }
    with Store(tmp_path / "a.db") as store:
        outcomes = measure_fleet(openers, plan, store, progress=cools_down, pause_s=0.05)
        assert [outcome.error for outcome in outcomes] == [None, None]
        assert [len(store.blocks(record.id)) for record in store.campaigns()] == [18, 18]


def test_devices_that_pause_do_not_wait_for_one_another(tmp_path: Path) -> None:
    openers = {name: partial(GoneBackend, fresh_noise=False, name=name) for name in "abc"}
    with Store(tmp_path / "a.db") as store:
        outcomes = measure_fleet(openers, plan, store, pause_s=600)
    assert all(isinstance(outcome.error, DeviceOfflineError) for outcome in outcomes)


def test_a_device_that_cannot_be_opened_is_an_outcome(tmp_path: Path) -> None:
    def busy() -> Backend:
        raise DeviceBusyError("busy", "process 7")

    with Store(tmp_path / "a.db") as store:
        outcomes = measure_fleet({"busy": busy, "fine": partial(quiet, "fine")}, plan, store)
    assert [type(outcome.error) for outcome in outcomes] == [DeviceBusyError, type(None)]
    assert outcomes[0].source is None


def test_a_mistake_of_ours_is_raised_when_the_others_are_done(tmp_path: Path) -> None:
    def mistaken(backend: Backend) -> tuple[list[Workload], Protocol]:
        if backend.name == "b":
            raise KeyError("ours")
        return WORK, PROTOCOL

    with Store(tmp_path / "a.db") as store:
        with pytest.raises(KeyError):
            measure_fleet({name: partial(quiet, name) for name in "ab"}, mistaken, store)
        (record,) = store.campaigns()
        assert record.finished_unix_s is not None


def test_an_interrupt_ends_all_campaigns_behind_a_block(tmp_path: Path) -> None:
    def interrupt(name: str, step: Progress) -> None:
        if name == "a" and step.blocks_done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    def slow(name: str) -> KnownLawBackend:
        return KnownLawBackend(name=name, pause_s=0.003, fresh_noise=False)

    openers = {name: partial(slow, name) for name in "abc"}
    with Store(tmp_path / "a.db") as store:
        with pytest.raises(KeyboardInterrupt):
            measure_fleet(openers, plan, store, progress=interrupt)
        assert {record.finished_unix_s for record in store.campaigns()} == {None}
        outcomes = measure_fleet(openers, plan, store)
        assert [len(store.blocks(record.id)) for record in store.campaigns()] == [18] * 3
    assert all(outcome.error is None for outcome in outcomes)
