"""Packs on the emulated phone, over the wire: as one process a kernel, and the same after an interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from profiler.backends import BlockRequest, open_backend
from profiler.backends.android import chosen_cores
from profiler.backends.emulated import EmulatedBackend
from profiler.devices import EmulatedDevice
from profiler.kernels import random_kernels
from profiler.measure import PROTOCOLS, Block, Pack, Progress, measure
from profiler.network import Conv2d, Network, Relu, TensorSpec
from profiler.phone.soc import Placement, step_latencies_s, steps_of
from profiler.store import Store
from profiler.workload import Workload

PHONE = EmulatedDevice(name="pixel4", phone="pixel4")
PROTOCOL = replace(PROTOCOLS["packed"], rounds=2, max_rounds=2, kernels_per_pack=8)


def kernels(count: int) -> list[Workload]:
    return [Workload(found.network, kind=found.kind) for found in random_kernels(count, np.random.default_rng(0))]


def test_a_pack_tells_what_kernels_take_alone_less_the_call() -> None:
    work = kernels(10)
    pack = Pack(tuple(work))
    with open_backend(PHONE, wait_s=60.0) as backend:
        (result,) = backend.run_blocks([BlockRequest(pack.workload, 5, 20, profiled=True, occasion="pack")])
        asked = [BlockRequest(each, 5, 20, occasion=each.key) for each in work]
        alone_ms = np.array([found.samples_ms[0] for found in backend.run_blocks(asked)])
    packed_ms = np.array(pack.read(result.operators).latencies_ms, dtype=float)
    call_ms = np.median(alone_ms - packed_ms)
    assert 0.0 < call_ms < 0.1
    assert np.median(np.abs((packed_ms + call_ms) / alone_ms - 1.0)) < 0.05


def test_a_pack_tells_what_the_law_says_of_each_kernel() -> None:
    work = kernels(24)
    pack = Pack(tuple(work))
    with EmulatedBackend(PHONE, wait_s=60.0) as backend:
        soc, (fastest,) = backend.phone.description.soc, chosen_cores("auto", 1, backend.phone_facts()) or (0,)
        results = backend.run_blocks(
            [BlockRequest(pack.workload, 5, 10, profiled=True, occasion=f"{process}") for process in range(6)]
        )
        read_ms = np.array([pack.read(result.operators).latencies_ms for result in results], dtype=float)
    steps = [steps_of(each.network, delegate="xnnpack", int8=False) for each in work]
    law_us = np.array([1e6 * step_latencies_s(soc, each, Placement((fastest,), 1, "xnnpack")).sum() for each in steps])
    error_us = 1e3 * np.median(read_ms, axis=0) - law_us
    assert abs(np.median(error_us[law_us < 50.0])) < 0.25, "as a whole, whole microseconds are no bias"
    assert np.abs(error_us / law_us).max() < 0.1


class CutOffError(Exception):
    pass


@pytest.mark.slow
def test_a_campaign_of_packs_that_was_cut_off_ends_with_the_same_rows(tmp_path: Path) -> None:
    network = Network(
        "n",
        [TensorSpec("x", (1, 32, 32, 8))],
        [Conv2d("a", ("x",), 8), Relu("r", ("a",)), Conv2d("b", ("r",), 8)],
        ["b"],
    )
    work = [*kernels(20), Workload(network)]
    whole = _measured(tmp_path / "whole.db", work)
    for after in (3, 11, 25):
        with pytest.raises(CutOffError):
            _measured(tmp_path / "cut.db", work, cut_after=after)
    assert _measured(tmp_path / "cut.db", work) == whole


def _measured(place: Path, work: list[Workload], *, cut_after: int | None = None) -> list[Block]:
    """Measure on a phone that was just switched on, and return the rows without the time of day."""

    def on_block(step: Progress) -> None:
        if step.blocks_done == cut_after:
            raise CutOffError

    with open_backend(PHONE, wait_s=60.0) as backend, Store(place) as store:
        measure(backend, work, PROTOCOL, store, progress=on_block)
        (record,) = store.campaigns()
        return [replace(block, started_unix_s=0.0, checks=()) for block in store.blocks(record.id)]
