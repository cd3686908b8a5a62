"""Emulated phones in one process, each with a campaign over the wire: no row is lost, and faults stay at home."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from profiler.backends import Backend, open_backend
from profiler.devices import EmulatedDevice
from profiler.errors import DeviceRefusedError
from profiler.kernels import random_kernels
from profiler.measure import Measurement, Protocol, measure, measure_fleet
from profiler.store import Store
from profiler.workload import Workload

PHONES, KERNELS, ROUNDS = 8, 6, 3
LOCKED, LOOSE = "phone-3", "phone-5"
PROTOCOL = Protocol(name="packed", rounds=ROUNDS, max_rounds=ROUNDS, kernels_per_pack=4, runs_per_block=10)
WORK = [
    Workload(kernel.network, kind=kernel.kind)
    for kernel in random_kernels(KERNELS, np.random.default_rng(3), kinds=("conv2d", "dense", "depthwise_conv2d"))
]


def plan(backend: Backend) -> tuple[list[Workload], Protocol]:
    return WORK, PROTOCOL


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, EmulatedDevice]:
    """Phones, of which one comes to refuse all programs and one has a loose cable."""
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    faults = {
        LOCKED: "{kind: no_execute, match: '--graph=', after: 2}",
        LOOSE: "{kind: cut_output, match: '--graph=', at_bytes: 300, after: 1, times: 2}",
    }
    for name, fault in faults.items():
        (tmp_path / name).write_text(f"faults: [{fault}]\n", encoding="utf-8")
    return {
        name: EmulatedDevice(
            name=name, seed=index, warmup_s=0.0, faults=str(tmp_path / name) if name in faults else None
        )
        for index, name in enumerate(f"phone-{index}" for index in range(PHONES))
    }


def latencies(measurements: tuple[Measurement, ...]) -> list[tuple[str, tuple[tuple[float, ...], ...]]]:
    return [(found.workload.key, tuple(block.samples_ms for block in found.blocks)) for found in measurements]


def test_all_rows_of_all_phones_but_the_one_that_refuses(devices: dict[str, EmulatedDevice], tmp_path: Path) -> None:
    threads_before = threading.active_count()
    with Store(tmp_path / "rows.db") as store:
        outcomes = measure_fleet({name: partial(open_backend, device) for name, device in devices.items()}, plan, store)
        rows = {record.configuration.device: len(store.blocks(record.id)) for record in store.campaigns()}
    failed = {outcome.device: outcome.error for outcome in outcomes if outcome.error}
    assert failed.keys() == {LOCKED} and isinstance(failed[LOCKED], DeviceRefusedError)
    assert {rows[name] for name in devices if name != LOCKED} == {KERNELS * ROUNDS}
    assert 0 < rows[LOCKED] < KERNELS * ROUNDS
    assert {outcome.source for outcome in outcomes} == {"emulated"}
    assert threading.active_count() == threads_before
    _agrees_with_one_alone(devices[LOOSE], outcomes[5].measurements, tmp_path)


def _agrees_with_one_alone(device: EmulatedDevice, measured: tuple[Measurement, ...], folder: Path) -> None:
    """Neither the other phones nor the loose cable show in the latencies."""
    with Store(folder / "alone.db") as store, open_backend(device.model_copy(update={"faults": None})) as backend:
        assert latencies(measure(backend, WORK, PROTOCOL, store)) == latencies(measured)
