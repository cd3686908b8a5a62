"""Rows 5, 7, 8, 11-14 and 19-22 over a whole campaign: what is stored, what is not, and who goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from profiler.adb import _backoff
from profiler.backends import open_backend
from profiler.backends.emulated import EmulatedBackend
from profiler.errors import (
    DeviceError,
    DeviceNotReadyError,
    DeviceOfflineError,
    DeviceQuarantinedError,
    DeviceRefusedError,
    DeviceStorageError,
)
from profiler.measure import measure, measure_fleet
from profiler.measure.records import Block
from profiler.phone import Fault
from profiler.runtimes import RUNTIMES, write_model_file
from profiler.store import Store
from profiler.workload import Workload
from tests.faults._measured import PROTOCOL, RUN, device, numbers, workload

WORK = tuple(workload(channels) for channels in (4, 5))
BLOCKS = len(WORK) * PROTOCOL.rounds
THREE_ROUNDS = replace(PROTOCOL, rounds=3, max_rounds=3)
"""So that two blocks are left where one is rejected: a single mean has no interval."""


@pytest.fixture(autouse=True)
def own_quarantine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setattr(_backoff, "PAUSES_S", (0.01, 0.03, 0.1))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "measurements.db") as opened:
        yield opened


def blocks(store: Store) -> list[Block]:
    return [block for campaign in store.campaigns() for block in store.blocks(campaign.id)]


def of_model(work: Workload) -> str:
    """Text that only command lines with this model have: its file is called by its hash."""
    content = write_model_file(RUNTIMES["litert"], work).content
    return hashlib.sha256(content).hexdigest()[:32]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    """What the campaign stores when nothing goes wrong."""
    with Store(tmp_path_factory.mktemp("calm") / "a.db") as store:
        with EmulatedBackend(device()) as backend:
            measure(backend, WORK, PROTOCOL, store)
        return numbers(store)


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("cut_output", match=RUN, at_bytes=300, after=2, times=2)],
        [Fault("reset_on_open", share=0.1)],
        [Fault("drop_connection", share=0.3), Fault("cut_output", match=RUN, at_bytes=100, share=0.1)],
        [Fault("cut_push", at_bytes=500, share=0.3)],
        [Fault("throttle", match=RUN, at_run=3, after=4, times=1, seconds=60)],
    ],
    ids=["cut in a run", "resets", "dropped connections", "cut pushes", "heat"],
)
def test_row_05_what_is_done_again_leaves_no_trace_in_the_numbers(
    faults: list[Fault], store: Store, calm: list[tuple[object, ...]]
) -> None:
    with EmulatedBackend(device(seed=0)) as backend:
        for fault in faults:
            backend.phone.faults.add(fault)
        measure(backend, WORK, PROTOCOL, store)
        assert sum(map(backend.phone.faults.happened, faults)) > 0
        backend.phone.faults.clear()
    assert numbers(store) == calm


def test_row_07_the_block_of_a_reboot_is_rejected_and_the_campaign_goes_on(store: Store) -> None:
    with EmulatedBackend(device()) as backend:
        backend.phone.faults.add(Fault("reboot", match=of_model(WORK[1]), at_run=4, times=1, seconds=40))
        measurements = measure(backend, WORK, THREE_ROUNDS, store)
    rejected = [block for block in blocks(store) if block.status != "ok"]
    assert [(block.workload_key, block.status) for block in rejected] == [(WORK[1].key, "rejected")]
    assert rejected[0].reason.startswith("UNEXPECTED_REBOOT") and rejected[0].samples_ms == ()
    assert all(measurement.interval for measurement in measurements)


def test_row_08_a_phone_that_never_boots_is_set_aside_after_repeats(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(f"faults:\n  - {{kind: reboot, match: '{RUN}', at_run: 2}}\n", encoding="utf-8")
    broken = device(faults=str(path))
    for _ in range(3):
        with pytest.raises(DeviceError, match="boot") as caught, open_backend(broken) as backend:
            measure(backend, WORK, PROTOCOL, store)
        assert caught.value.exit_code == 75
    with pytest.raises(DeviceQuarantinedError, match="boot") as set_aside, open_backend(broken):
        pass
    assert set_aside.value.exit_code == 75
    assert [block for block in blocks(store) if block.samples_ms] == []


def test_row_03_a_phone_that_is_silent_again_and_again_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - {kind: drop_connection}\n", encoding="utf-8")
    for _ in range(3):
        with pytest.raises(DeviceOfflineError), open_backend(device(faults=str(path))):
            pass
    with pytest.raises(DeviceQuarantinedError), open_backend(device()):
        pass


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("storage_full", match=RUN, after=3, free_bytes=100_000), DeviceStorageError),
        (Fault("no_execute", match=RUN, after=3), DeviceRefusedError),
        (Fault("cut_output", match=RUN, at_bytes=10, after=5), DeviceOfflineError),
    ],
    ids=["row_11_storage", "row_12_noexec", "row_05_always"],
)
def test_what_ends_a_campaign_leaves_whole_blocks_and_an_exact_way_on(
    fault: Fault, error: type[DeviceError], store: Store, calm: list[tuple[object, ...]]
) -> None:
    with pytest.raises(error), EmulatedBackend(device()) as backend:
        backend.phone.faults.add(fault)
        measure(backend, WORK, PROTOCOL, store)
    before = numbers(store)
    assert len(before) < BLOCKS and set(before) <= set(calm)
    with EmulatedBackend(device()) as backend:
        measure(backend, WORK, PROTOCOL, store)
    assert numbers(store) == calm


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (partial(Fault, "kill", signal=9, at_run=2), "OUT_OF_MEMORY"),
        (partial(Fault, "kill", signal=11), "CRASHED"),
        (partial(Fault, "kill", signal=4), "CRASHED"),
        (partial(Fault, "throttle", at_run=3, seconds=40), "THROTTLED"),
    ],
    ids=["row_13_oom", "row_14_segv", "row_14_ill", "row_19_throttled"],
)
def test_what_the_model_is_to_blame_for_is_its_result_and_no_other_s(
    fault: partial[Fault], reason: str, store: Store
) -> None:
    with EmulatedBackend(device()) as backend:
        backend.phone.faults.add(fault(match=of_model(WORK[0])))
        ill, *others = measure(backend, WORK, PROTOCOL, store)
    assert ill.verdict == "INVALID" and ill.interval is None
    assert reason in " ".join(f"{one.id} {one.detail}" for one in ill.reasons)
    assert all(block.status == "failed" and not block.samples_ms for block in ill.blocks)
    assert all(other.interval is not None for other in others)


def test_row_20_a_phone_that_shuts_down_pauses_its_own_campaign_only(store: Store, tmp_path: Path) -> None:
    hot = EmulatedBackend(device("hot"))
    hot.phone.faults.add(Fault("vanish", match=RUN, at_run=4, after=6, times=1))
    openers = {"hot": lambda: hot, "calm": lambda: EmulatedBackend(device("calm"))}
    gone, fine = measure_fleet(openers, lambda _: (WORK, PROTOCOL), store)
    assert isinstance(gone.error, DeviceOfflineError) and gone.error.exit_code == 75
    assert fine.error is None and all(measurement.interval for measurement in fine.measurements)
    by_device = {record.configuration.device: len(store.blocks(record.id)) for record in store.campaigns()}
    assert by_device["calm"] == BLOCKS and 0 < by_device["hot"] < BLOCKS
    # Switched on again, it goes on where it stopped.
    again = {"hot": lambda: EmulatedBackend(device("hot"))}
    (back,) = measure_fleet(again, lambda _: (WORK, PROTOCOL), store)
    assert back.error is None
    with Store(tmp_path / "undisturbed.db") as other:
        for name in ("hot", "calm"):
            with EmulatedBackend(device(name)) as backend:
                measure(backend, WORK, PROTOCOL, other)
        assert numbers(store) == numbers(other)


def test_row_20_a_phone_that_is_back_soon_goes_on(store: Store) -> None:
    with EmulatedBackend(device()) as backend:
        backend.phone.faults.add(Fault("vanish", match=RUN, at_run=4, after=5, times=1, seconds=45))
        assert all(measurement.interval for measurement in measure(backend, WORK, THREE_ROUNDS, store))


def test_row_21_a_battery_that_runs_low_ends_the_campaign_between_blocks(store: Store) -> None:
    with EmulatedBackend(device()) as backend:
        backend.phone.state.level_percent = 26
        backend.phone.faults.add(Fault("battery", match=RUN, at_run=5, after=7, times=1, level_percent=24))
        with pytest.raises(DeviceNotReadyError, match=r"LOW-BATTERY.*24 ?%") as caught:
            measure(backend, WORK, PROTOCOL, store)
    assert caught.value.exit_code == 75
    found = blocks(store)
    assert 0 < len(found) < BLOCKS
    assert all(block.status == "ok" for block in found), "the block that saw it is whole"


def test_row_21_who_knows_of_the_battery_goes_on(store: Store) -> None:
    with EmulatedBackend(device()) as backend:
        backend.phone.state.level_percent = 20
        protocol = replace(PROTOCOL, suppress=("LOW-BATTERY",))
        assert all(measurement.interval for measurement in measure(backend, WORK, protocol, store))


def test_row_22_a_screen_that_goes_off_rejects_its_block_alone(store: Store) -> None:
    with EmulatedBackend(device()) as backend:
        backend.phone.faults.add(Fault("screen_off", match=of_model(WORK[1]), at_run=3, times=1))
        measurements = measure(backend, WORK, THREE_ROUNDS, store)
    rejected = [block for block in blocks(store) if block.status != "ok"]
    assert [(block.status, block.reason.partition(":")[0]) for block in rejected] == [("rejected", "INTERRUPTED")]
    assert all(measurement.interval for measurement in measurements)
