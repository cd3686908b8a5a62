"""Campaigns of packs on a device whose law is known: latencies, levels, failures, interruption, conditions."""

from __future__ import annotations

import math
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from profiler.backends import Check, Failure
from profiler.errors import DeviceNotReadyError, MeasurementError
from profiler.measure import Block, Measurement, Protocol, measure
from profiler.measure.pack import Pack
from profiler.measure.references import reference_workloads
from profiler.store import Store
from profiler.workload import Workload
from tests._source import ROOT
from tests.known_law_backend import KnownLawBackend, Law, rows, workloads

LAW = Law(run_sigma=0.02, block_sigma=0.01)
QUIET = Law(run_sigma=0.01, block_sigma=0.003)
"""So little noise that no interval misses its target by chance."""
PACKED = Protocol(name="packed", rounds=6, max_rounds=8, runs_per_block=8, warmup_runs=1, kernels_per_pack=5)
WORK = workloads(18)
KERNELS = [work for work in WORK if work.kind != "network"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


def run(
    store: Store, backend: KnownLawBackend, work: list[Workload] | None = None, protocol: Protocol = PACKED
) -> dict[str, Measurement]:
    with backend:
        found = measure(backend, work or WORK, protocol, store)
    return {item.workload.key: item for item in found}


def packs(backend: KnownLawBackend) -> list[str]:
    return [occasion for occasion in backend.occasions if "pack-" in occasion]


def failure(reason: str) -> Failure:
    return Failure(reason, "it died")  # type: ignore[arg-type]


def test_kernels_have_the_latency_of_their_rows_and_networks_that_of_their_calls(store: Store) -> None:
    backend = KnownLawBackend(QUIET)
    found = run(store, backend)
    for work in WORK:
        true_ms = backend.true_ms(work) if work.kind == "network" else backend.packed_ms(work)
        assert found[work.key].median_ms == pytest.approx(true_ms, rel=0.04)
        assert {block.way for block in found[work.key].blocks} == {
            "alone" if work.kind == "network" else "packed-float32"
        }
    assert {item.verdict for item in found.values()} == {"VALID"}
    assert len(packs(backend)) < len(KERNELS) * 8 / 4


def test_a_pack_has_the_references_beside_its_kernels_at_their_own_level(store: Store) -> None:
    backend = KnownLawBackend(LAW, call_ms=3.0)
    found = run(store, backend)
    levels = next(iter(found.values())).levels
    assert set(levels) == {"alone", "packed-float32"}
    for alone, packed, work in zip(levels["alone"], levels["packed-float32"], reference_workloads(), strict=True):
        assert alone == pytest.approx(backend.true_ms(work), rel=0.02)
        assert packed == pytest.approx(backend.packed_ms(work), rel=0.02)
    block = found[KERNELS[0].key].blocks[0]
    assert block.before_ms == block.after_ms != ()
    assert (len(block.samples_ms), block.runs) == (1, 8)


def test_references_in_the_pack_take_the_drift_out(tmp_path: Path) -> None:
    law = replace(LAW, drift=0.15, drift_period_s=4.0)
    widths = {}
    for references in (True, False):
        with Store(tmp_path / f"{references}.db") as store:
            found = run(store, KnownLawBackend(law), KERNELS, replace(PACKED, references=references))
        widths[references] = np.median([item.interval.relative_half_width for item in found.values() if item.interval])
    assert widths[False] > 3 * widths[True]


def test_packs_are_cut_from_another_order_each_round(store: Store) -> None:
    backend = KnownLawBackend(LAW)
    run(store, backend, KERNELS)
    groups: dict[int, Counter[float]] = {}
    for block in store.blocks(store.campaigns()[0].id):
        groups.setdefault(block.round, Counter())[block.started_unix_s] += 1
    assert all(sorted(sizes.values()) == [2, 5, 5] for sizes in groups.values())
    assert len(set(packs(backend))) == len(packs(backend))


@pytest.mark.parametrize("reason", ["CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "INVALID_MODEL", "UNSUPPORTED", "THROTTLED"])
def test_a_kernel_that_fails_takes_no_other_with_it(store: Store, reason: str) -> None:
    culprit = KERNELS[3].key
    backend = KnownLawBackend(LAW, failures={culprit: failure(reason)})
    found = run(store, backend)
    assert {key for key, item in found.items() if item.verdict == "INVALID"} == {culprit}
    assert str(found[culprit].reasons[0]) == f"{reason}: it died"
    assert [block.status for block in found[culprit].blocks] == ["failed"]
    assert all(
        block.way == "packed-float32" for work in KERNELS if work.key != culprit for block in found[work.key].blocks
    )
    assert sum("pack-" in occasion and occasion.count("/") > 2 for occasion in backend.occasions) <= 6


def test_output_that_is_never_believed_is_a_process_of_its_own(store: Store) -> None:
    pack_key = Pack((KERNELS[0],)).workload.key
    backend = KnownLawBackend(LAW, answers={pack_key: (math.nan,)})
    found = run(store, backend, KERNELS[:1])
    assert found[KERNELS[0].key].median_ms == pytest.approx(backend.true_ms(KERNELS[0]), rel=0.04)


@pytest.mark.parametrize("reason", ["INTERRUPTED", "UNEXPECTED_REBOOT"])
def test_a_pack_that_was_interrupted_is_tried_again_in_later_rounds(store: Store, reason: str) -> None:
    class Once(KnownLawBackend):
        def _run(self, request):  # type: ignore[no-untyped-def]
            self.failures = {KERNELS[0].key: failure(reason)} if not self.asked else {}
            return super()._run(request)

    found = run(store, Once(LAW), KERNELS[:5])
    for item in found.values():
        assert Counter(block.status for block in item.blocks)["rejected"] == 1
        assert len(item.used) >= 6
        assert math.isfinite(item.median_ms)


def test_a_runtime_that_merges_rows_runs_one_kernel_a_process(store: Store) -> None:
    backend = KnownLawBackend(LAW, merged=True)
    found = run(store, backend)
    assert len(packs(backend)) == math.ceil(len(KERNELS) / 5), "the first round shows it"
    for work in WORK:
        assert found[work.key].median_ms == pytest.approx(backend.true_ms(work), rel=0.04)
        assert {block.way for block in found[work.key].blocks} == {"alone"}


def test_a_kernel_too_short_for_the_profiler_runs_by_itself(store: Store) -> None:
    backend = KnownLawBackend()
    by_size = sorted(KERNELS, key=backend.packed_ms)
    backend.resolution_ms = backend.packed_ms(by_size[0])
    found = run(store, backend, KERNELS)
    assert {block.way for block in found[by_size[0].key].blocks} == {"alone"}
    assert {block.way for block in found[by_size[1].key].blocks} == {"packed-float32"}
    assert found[by_size[0].key].verdict == "VALID"


def test_latencies_of_both_ways_are_never_one_estimate(store: Store) -> None:
    class Finer(KnownLawBackend):
        """Tells the kernel in the first two rounds only."""

        def _run(self, request):  # type: ignore[no-untyped-def]
            self.resolution_ms = 0.0 if len(self.asked) < 2 else self.packed_ms(KERNELS[0])
            return super()._run(request)

    found = run(store, Finer(), KERNELS[:1])[KERNELS[0].key]
    assert {block.way for block in found.blocks} == {"alone", "packed-float32"}
    assert {corrected.block.way for corrected in found.used} == {"alone"}
    assert found.median_ms == pytest.approx(KnownLawBackend().true_ms(KERNELS[0]))
    assert len(found.used) == 6


def whole(tmp_path: Path, **changes: object) -> list[tuple[object, ...]]:
    with Store(tmp_path / "whole.db") as store:
        return rows(list(run(store, stubborn(**changes)).values()))


def stubborn(**changes: object) -> KnownLawBackend:
    """Blocks depend on their occasion alone; one kernel fails, one is too short to be told."""
    law = Law(run_sigma=0.02, block_sigma=0.05)
    short = min(KERNELS, key=KnownLawBackend().packed_ms)
    settings = {
        "fresh_noise": False,
        "failures": {KERNELS[3].key: failure("CRASHED")},
        "resolution_ms": 1.2 * KnownLawBackend().packed_ms(short),
    }
    return KnownLawBackend(law, **(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [10, 16, 31])
def test_resume_gives_the_same_rows(tmp_path: Path, cut: int) -> None:
    with Store(tmp_path / "cut.db") as store:
        for _ in range(200):
            try:
                pieced = rows(list(run(store, stubborn(gone_after=cut)).values()))
                break
            except MeasurementError:
                continue
    assert pieced == whole(tmp_path)


PROGRAM = """
import sys
from profiler.measure import measure
from profiler.store import Store
from tests.profiler.measure.test_packed_campaign import PACKED, WORK, stubborn
with Store(sys.argv[1]) as store:
    measure(stubborn(pause_s=0.002), WORK, PACKED, store)
"""


@pytest.mark.slow
def test_sigkill_at_any_point_gives_the_same_rows_in_the_end(tmp_path: Path) -> None:
    place, rng = tmp_path / "killed.db", random.Random(0)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(place)], cwd=ROOT)
        before = _stored(place)
        while len(_stored(place)) <= len(before) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with Store(place) as store:
        pieced = rows(list(run(store, stubborn()).values()))
    assert pieced == whole(tmp_path)


def _stored(place: Path) -> list[Block]:
    if not place.exists():
        return []
    with Store(place) as store:
        return [block for record in store.campaigns() for block in store.blocks(record.id)]


def test_a_half_stored_pack_is_measured_again_and_what_is_missing_is_added(tmp_path: Path) -> None:
    class FullError(Exception):
        pass

    class Filling(Store):
        left = 7

        def add(self, campaign_id, block, **options):  # type: ignore[no-untyped-def]
            if not self.left:
                raise FullError
            self.left -= 1
            super().add(campaign_id, block, **options)

    with Filling(tmp_path / "half.db") as filling, pytest.raises(FullError):
        run(filling, stubborn(), KERNELS)
    with Store(tmp_path / "half.db") as store:
        pieced = rows(list(run(store, stubborn(), KERNELS).values()))
    with Store(tmp_path / "other.db") as store:
        assert pieced == rows(list(run(store, stubborn(), KERNELS).values()))


def test_every_block_has_an_occasion_of_its_own_and_one_reading_is_named_once(store: Store) -> None:
    backend = KnownLawBackend(LAW)
    run(store, backend)
    (record,) = store.campaigns()
    assert all(occasion.startswith(f"{record.id}/") for occasion in backend.occasions)
    blocks = [occasion for occasion in backend.occasions if "/gap-" not in occasion]
    assert len(set(blocks)) == len(blocks)
    assert all(f"{record.id}/0/pack-{index}" in blocks for index in range(3))
    assert f"{record.id}/0/gap-0/reference-conv" in backend.occasions or f"{record.id}/0/pack-0" == blocks[0]


LOW = Check("LOW-BATTERY", "9 % left; charge it", stops=True)


def test_a_condition_that_stops_ends_the_campaign_behind_the_block_and_it_goes_on_later(store: Store) -> None:
    class Draining(KnownLawBackend):
        def run_blocks(self, requests):  # type: ignore[no-untyped-def]
            for result in super().run_blocks(requests):
                yield replace(result, checks=(LOW,)) if len(self.asked) > 5 and not self.conditions else result

    with pytest.raises(
        DeviceNotReadyError, match=r"known-law.*LOW-BATTERY: 9 % left.*--suppress LOW-BATTERY"
    ) as caught:
        run(store, Draining(LAW))
    assert (caught.value.check, caught.value.exit_code) == ("LOW-BATTERY", 75)
    (record,) = store.campaigns()
    stored = store.blocks(record.id)
    assert record.finished_unix_s is None
    assert stored
    assert LOW in stored[-1].checks
    with pytest.raises(DeviceNotReadyError):
        run(store, KnownLawBackend(LAW, conditions=(LOW,)))
    assert len(store.blocks(record.id)) == len(stored), "nothing is measured on a device that is not ready"
    found = run(store, KnownLawBackend(LAW))
    assert store.campaigns()[0].finished_unix_s is not None
    assert all(len(item.blocks) >= 6 for item in found.values())


def test_a_condition_that_is_suppressed_stops_nothing(store: Store) -> None:
    protocol = replace(PACKED, suppress=("LOW-BATTERY",))
    found = run(store, KnownLawBackend(QUIET, conditions=(LOW,)), protocol=protocol)
    assert {item.verdict for item in found.values()} == {"VALID"}
