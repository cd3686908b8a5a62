"""Campaigns on a device whose law is known: schedule, precision, faults, interruption."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from profiler.backends import BlockRequest, BlockResult, Check, Failure
from profiler.errors import ConfigError, MeasurementError
from profiler.measure import Campaign, Measurement, Progress, Protocol, compare, measure
from profiler.measure.references import reference_workloads
from profiler.store import Store
from profiler.workload import Workload
from tests._source import ROOT
from tests.known_law_backend import KnownLawBackend, Law, rows, workloads

NOISE = Law(run_sigma=0.02, block_sigma=0.01)
SHORT = Protocol(rounds=6, max_rounds=10, runs_per_block=8, warmup_runs=1)
REFERENCE_KEYS = {work.key for work in reference_workloads()}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


def run(
    store: Store, backend: KnownLawBackend, work: list[Workload], protocol: Protocol = SHORT, label: str = ""
) -> tuple[Measurement, ...]:
    with backend:
        return measure(backend, work, protocol, store, label=label)


def test_latencies_come_out_as_the_law_has_them(store: Store) -> None:
    backend, work = KnownLawBackend(NOISE), workloads(20)
    found = run(store, backend, work)
    errors = [item.median_ms / backend.true_ms(each) - 1.0 for item, each in zip(found, work, strict=True)]
    assert np.median(np.abs(errors)) < 0.01
    assert [item.workload.key for item in found] == [each.key for each in work]


def test_latency_times_k_gives_estimate_times_k(tmp_path: Path) -> None:
    work = workloads(6)
    with Store(tmp_path / "a.db") as first, Store(tmp_path / "b.db") as second:
        once = run(first, KnownLawBackend(NOISE), work)
        slower = run(second, KnownLawBackend(NOISE, scale=3.0), work)
    for one, three in zip(once, slower, strict=True):
        assert (three.median_ms, three.low_ms, three.high_ms) == pytest.approx(
            (3 * one.median_ms, 3 * one.low_ms, 3 * one.high_ms)
        )


def test_references_take_the_drift_out(tmp_path: Path) -> None:
    """Without them the blocks of a workload spread as far as the drift goes."""
    law = replace(NOISE, drift=0.15, drift_period_s=0.4)
    widths = {}
    for references in (True, False):
        with Store(tmp_path / f"{references}.db") as store:
            found = run(store, KnownLawBackend(law), workloads(12), replace(SHORT, references=references))
        widths[references] = np.median([item.interval.relative_half_width for item in found if item.interval])
    assert widths[True] < 0.04
    assert widths[False] > 3 * widths[True]


def test_two_campaigns_of_one_device_share_a_drift_level(store: Store) -> None:
    work = workloads(8)
    run(store, KnownLawBackend(NOISE), work, label="first")
    slow = KnownLawBackend(NOISE, scale=1.04, seed=1)
    found = run(store, slow, work, label="second")
    first, second = (record for record in store.campaigns())
    assert first.configuration == second.configuration
    ratio = np.median([item.median_ms / slow.true_ms(each) for item, each in zip(found, work, strict=True)])
    assert ratio == pytest.approx(1.02 / 1.04, abs=0.012)


def test_every_round_has_another_order_and_the_seed_fixes_it(tmp_path: Path) -> None:
    work = workloads(10)
    orders = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        backend = KnownLawBackend(NOISE)
        with Store(tmp_path / f"{name}.db") as store:
            run(store, backend, list(reversed(work)) if name == "b" else work, replace(SHORT, seed=seed))
        orders.append([key for key in backend.asked if key not in REFERENCE_KEYS])
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0][:10] != orders[0][10:20]
    assert set(orders[0][:10]) == set(orders[0][10:20])


def test_a_reference_pair_stands_on_both_sides_of_every_block(store: Store) -> None:
    backend = KnownLawBackend(NOISE)
    run(store, backend, workloads(11))
    kinds = ["r" if key in REFERENCE_KEYS else "b" for key in backend.asked]
    text = "".join(kinds)
    assert "bb" not in text
    assert text.startswith("rr")
    assert text.endswith("rr")
    assert text.count("r") < 2.6 * text.count("b")


def test_rounds_are_added_for_noisy_workloads_only(store: Store) -> None:
    quiet = run(store, KnownLawBackend(NOISE), workloads(5), replace(SHORT, target_relative_half_width=0.05))
    noisy = run(store, KnownLawBackend(Law(block_sigma=0.2), name="noisy"), workloads(5))
    assert {len(item.blocks) for item in quiet} == {6}
    assert {item.verdict for item in quiet} == {"VALID"}
    assert {len(item.blocks) for item in noisy} == {10}
    assert all(item.verdict == "SEMI_VALID" and item.reasons[0].id for item in noisy)


def test_blocks_grow_to_the_wanted_duration_and_runs(store: Store) -> None:
    work = workloads(3)
    protocol = replace(SHORT, block_ms=50.0, least_runs=2000, max_rounds=60, target_relative_half_width=1.0)
    for item in run(store, KnownLawBackend(NOISE), work, protocol):
        first, *others = (block.samples_ms for block in item.blocks)
        assert len(first) == 8
        assert all(sum(samples) >= 0.9 * 50.0 for samples in others)
        assert sum(len(block.samples_ms) for block in item.blocks) >= 2000


def test_blocks_grow_after_a_first_one_that_was_rejected(store: Store) -> None:
    (work,) = workloads(1)
    backend = KnownLawBackend(NOISE, answers={work.key: (math.nan,) * 8})
    with backend:
        campaign = Campaign(backend, [work], replace(SHORT, block_ms=50.0), store)
        for _ in campaign.run():
            backend.answers = {}
    first, second, *others = store.blocks(campaign.record.id)
    assert (first.status, len(second.samples_ms)) == ("rejected", 8)
    assert all(sum(block.samples_ms) >= 0.9 * 50.0 for block in others)


def test_most_seconds_ends_a_workload(store: Store) -> None:
    protocol = replace(SHORT, least_runs=10**6, most_seconds=0.02, max_rounds=500)
    (item,) = run(store, KnownLawBackend(NOISE), workloads(1), protocol)
    assert 0.02 <= sum(sum(block.samples_ms) for block in item.blocks) / 1000.0 < 0.05
    assert "FEW-RUNS" in {reason.id for reason in item.reasons}


def test_time_budget_ends_the_campaign(store: Store) -> None:
    ticks = iter(np.arange(0.0, 1e6, 0.1))
    backend = KnownLawBackend(NOISE)
    found = measure(backend, workloads(40), replace(SHORT, time_budget_s=2.0), store, clock=lambda: float(next(ticks)))
    assert {"INVALID", "SEMI_VALID"} >= {item.verdict for item in found}
    assert "NOT-MEASURED" in {item.reasons[0].id for item in found}
    assert store.campaigns()[0].finished_unix_s is not None


class _Jobs(KnownLawBackend):
    """A device that takes all blocks of a round at once, and knows whether somebody still waits for them."""

    blocks_at_once = 256
    sent: ClassVar[list[int]] = []
    open_jobs: ClassVar[int] = 0

    def run_blocks(self, requests: Sequence[BlockRequest]) -> Iterator[BlockResult]:
        self.sent.append(len(requests))
        type(self).open_jobs += 1
        try:
            yield from super().run_blocks(requests)
        finally:
            type(self).open_jobs -= 1


def test_a_round_goes_to_the_device_in_one_piece_where_that_is_best(store: Store) -> None:
    _Jobs.sent.clear()
    found = run(store, _Jobs(NOISE), workloads(20), SHORT)
    assert len(_Jobs.sent) == len({block.round for item in found for block in item.blocks})
    assert _Jobs.open_jobs == 0


def test_the_budget_ends_a_long_job_in_time(store: Store) -> None:
    _Jobs.sent.clear()
    ticks = iter(np.arange(0.0, 1e6, 0.1))
    found = measure(
        _Jobs(NOISE), workloads(40), replace(SHORT, time_budget_s=2.0), store, clock=lambda: float(next(ticks))
    )
    assert "NOT-MEASURED" in {item.reasons[0].id for item in found}
    assert len(_Jobs.sent) == 1 and _Jobs.open_jobs == 0


def test_nothing_is_measured_more_precisely_where_times_say_nothing(store: Store) -> None:
    found = run(store, KnownLawBackend(Law(block_sigma=0.5), source="emulated-isa"), workloads(3))
    assert [len(item.blocks) for item in found] == [SHORT.rounds] * 3
    assert {reason.id for item in found for reason in item.reasons} >= {"TARGET-MISSED"}


@pytest.mark.parametrize("reason", ["CRASHED", "TIMEOUT", "OUT_OF_MEMORY", "INVALID_MODEL", "UNSUPPORTED"])
def test_a_failure_is_a_result_and_ends_its_workload_alone(store: Store, reason: str) -> None:
    work = workloads(4)
    failure = Failure(reason, "signal 11: it died", signal=11)  # type: ignore[arg-type]
    backend = KnownLawBackend(NOISE, failures={work[1].key: failure})
    found = run(store, backend, work)
    assert [item.verdict for item in found].count("INVALID") == 1
    assert str(found[1].reasons[0]) == f"{reason}: signal 11: it died"
    assert Counter(backend.asked)[work[1].key] == 1
    assert math.isnan(found[1].median_ms)
    assert found[1].protocol_label == SHORT.key


@pytest.mark.parametrize(
    "answer",
    [(1.0,) * 7, (1.0,) * 9, (0.0,) * 8, (-1.0,) * 8, (1e300,) * 8, (math.nan,) * 8, (1.0,) * 7 + (math.inf,), ()],
)
def test_impossible_latencies_make_the_block_invalid(store: Store, answer: tuple[float, ...]) -> None:
    work = workloads(2)
    found = run(store, KnownLawBackend(NOISE, answers={work[0].key: answer}), work)
    assert found[0].verdict == "INVALID"
    assert found[0].reasons[0].id == "BAD-BLOCKS"
    assert {block.status for block in found[0].blocks} == {"rejected"}
    assert len(found[0].blocks) == 3
    assert len(found[0].samples_ms) == 0
    assert found[1].verdict == "VALID"


def test_output_that_the_backend_itself_disbelieves_is_tried_again(store: Store) -> None:
    work = workloads(1)
    failure = Failure("INVALID_OUTPUT", "-5 ns")
    (item,) = run(store, KnownLawBackend(NOISE, failures={work[0].key: failure}), work)
    assert [block.status for block in item.blocks] == ["rejected"] * 3
    assert item.verdict == "INVALID"


def test_blocks_without_any_reference_are_rejected(store: Store) -> None:
    failures = dict.fromkeys(REFERENCE_KEYS, Failure("CRASHED", "no such operator"))
    (item,) = run(store, KnownLawBackend(NOISE, failures=failures), workloads(1))
    assert item.verdict == "INVALID"
    assert "reference" in item.reasons[0].detail


def test_conditions_lower_the_verdict_unless_suppressed(tmp_path: Path) -> None:
    checks = (Check("LOAD", "other work"), Check("EMULATED", "not a phone", suppressible=False))
    with Store(tmp_path / "a.db") as store:
        (open_eyes,) = run(store, KnownLawBackend(NOISE, conditions=checks), workloads(1))
        protocol = replace(SHORT, suppress=("LOAD", "LOW-BATTERY"))
        (suppressed,) = run(store, KnownLawBackend(NOISE, conditions=checks), workloads(1), protocol)
    assert open_eyes.verdict == "SEMI_VALID"
    assert suppressed.verdict == "VALID"
    assert {reason.id for reason in suppressed.reasons} == {"LOAD", "EMULATED"}
    assert suppressed.protocol_label == f"LOAD_{SHORT.key}"
    assert open_eyes.protocol_label == SHORT.key


def test_what_travels_with_every_row_cannot_be_suppressed(store: Store) -> None:
    backend = KnownLawBackend(conditions=(Check("EMULATED", "not a phone", suppressible=False),))
    with pytest.raises(ConfigError, match="EMULATED"):
        run(store, backend, workloads(1), replace(SHORT, suppress=("EMULATED",)))


def test_nothing_to_measure_is_an_error(store: Store) -> None:
    with pytest.raises(MeasurementError):
        measure(KnownLawBackend(), [], SHORT, store)


def test_a_backend_that_stops_early_is_an_error_and_its_rows_stay(store: Store) -> None:
    work = workloads(6)
    with pytest.raises(MeasurementError, match="fewer results"):
        run(store, KnownLawBackend(NOISE, gone_after=20), work)
    (record,) = store.campaigns()
    assert record.finished_unix_s is None
    assert len(store.blocks(record.id)) == 6


def test_the_same_workload_twice_is_measured_once(store: Store) -> None:
    work = workloads(2)
    found = run(store, KnownLawBackend(NOISE), [work[0], work[1], work[0]])
    assert len(found) == 2


def test_a_finished_campaign_is_not_measured_again_but_a_labelled_one_is(store: Store) -> None:
    work = workloads(3)
    first = run(store, KnownLawBackend(NOISE), work)
    idle = KnownLawBackend(NOISE)
    assert rows(run(store, idle, work)) == rows(first)
    assert idle.asked == []
    again = KnownLawBackend(NOISE)
    run(store, again, work, label="again")
    assert again.asked


def test_progress_ends_with_nothing_left(store: Store) -> None:
    steps: list[Progress] = []
    measure(KnownLawBackend(NOISE), workloads(9), SHORT, store, progress=steps.append)
    done = [step.blocks_done for step in steps]
    assert done == list(range(1, len(steps) + 1))
    assert steps[0].blocks_planned == 9 * 6
    assert steps[-1].blocks_planned == steps[-1].blocks_done
    assert steps[-1].remaining_s == 0.0
    assert all(step.remaining_s >= 0.0 for step in steps)


@pytest.mark.parametrize("cut", [1, 2, 3, 17, 40])
def test_resume_gives_the_same_rows(tmp_path: Path, cut: int) -> None:
    law = Law(run_sigma=0.02, block_sigma=0.05)
    work = workloads(9)
    with Store(tmp_path / "whole.db") as store:
        whole = rows(run(store, KnownLawBackend(law, fresh_noise=False), work))
    with Store(tmp_path / "cut.db") as store:
        for _ in range(200):
            backend = KnownLawBackend(law, fresh_noise=False, gone_after=cut * 3 + 2)
            try:
                pieced = rows(run(store, backend, work))
                break
            except MeasurementError:
                continue
    assert pieced == whole


PROGRAM = """
import sys
from dataclasses import replace
from profiler.measure import measure
from profiler.store import Store
from tests.known_law_backend import KnownLawBackend, workloads
from tests.profiler.measure.test_campaign import KILL_LAW, SHORT
backend = KnownLawBackend(KILL_LAW, fresh_noise=False, pause_s=0.002)
with Store(sys.argv[1]) as store:
    measure(backend, workloads(9), SHORT, store)
"""
KILL_LAW = Law(run_sigma=0.02, block_sigma=0.05)


def test_sigkill_at_any_point_loses_at_most_the_block_in_work(tmp_path: Path) -> None:
    work = workloads(9)
    with Store(tmp_path / "whole.db") as store:
        whole = rows(run(store, KnownLawBackend(KILL_LAW, fresh_noise=False), work))
    place = tmp_path / "killed.db"
    seen = 0
    for blocks in (1, 20, 53):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(place)], cwd=ROOT)
        seen = _wait_for_blocks(place, blocks, process)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        with Store(place) as store:
            (record,) = store.campaigns()
            stored = store.blocks(record.id)
            assert len(stored) >= seen
            assert all(len(block.samples_ms) == 8 and len(block.after_ms) == 2 for block in stored)
    with Store(place) as store:
        pieced = rows(run(store, KnownLawBackend(KILL_LAW, fresh_noise=False), work))
    assert pieced == whole


def _wait_for_blocks(place: Path, count: int, process: subprocess.Popen[bytes]) -> int:
    """Watch the store from outside, while it is written, until it has so many blocks."""
    for _ in range(2000):
        assert process.poll() is None, "the campaign ended before it could be killed"
        time.sleep(0.005)
        if not place.exists():
            continue
        with Store(place) as store:
            found = sum(len(store.blocks(record.id)) for record in store.campaigns())
        if found >= count:
            return found
    raise AssertionError(f"no {count} blocks came")


def test_two_measurements_of_one_workload_are_rarely_called_different(tmp_path: Path) -> None:
    work = workloads(60)
    law = Law(run_sigma=0.03, block_sigma=0.02, drift=0.02, spike_share=0.01)
    with Store(tmp_path / "store.db") as store:
        first = run(store, KnownLawBackend(law, seed=1), work, replace(SHORT, max_rounds=6), label="a")
        second = run(store, KnownLawBackend(law, seed=2), work, replace(SHORT, max_rounds=6), label="b")
    rng = np.random.default_rng(0)
    pairs = zip(first, second, strict=True)
    different = [compare(one.block_medians_ms, two.block_medians_ms, rng).different for one, two in pairs]
    assert np.mean(different) <= 0.05


def covered(tmp_path: Path, protocol: Protocol, count: int, seed: int) -> list[bool]:
    """Whether each interval of a campaign holds the true latency."""
    law = Law(run_sigma=0.03, block_sigma=0.03, spike_share=0.01)
    backend, work = KnownLawBackend(law, seed=seed), workloads(count, seed=seed)
    with Store(tmp_path / f"{seed}.db") as store:
        found = run(store, backend, work, protocol)
    return [item.low_ms <= backend.true_ms(each) <= item.high_ms for item, each in zip(found, work, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [6, 8, 12])
def test_campaign_intervals_cover_the_truth(tmp_path: Path, rounds: int) -> None:
    protocol = replace(SHORT, rounds=rounds, max_rounds=rounds)
    inside = [hit for seed in range(10) for hit in covered(tmp_path, protocol, 200, seed)]
    assert 0.93 <= np.mean(inside) <= 0.97


@pytest.mark.slow
def test_intervals_of_campaigns_that_stop_by_precision_cover_nearly_as_often(tmp_path: Path) -> None:
    """Stopping on a narrow interval costs some coverage; the confirming rounds win most of it back."""
    protocol = replace(SHORT, rounds=6, max_rounds=24)
    inside = [hit for seed in range(4) for hit in covered(tmp_path, protocol, 150, seed)]
    assert np.mean(inside) >= 0.9


def test_rounds_go_on_for_a_while_after_the_target_is_met(store: Store) -> None:
    found = run(store, KnownLawBackend(Law(block_sigma=0.02)), workloads(12), replace(SHORT, max_rounds=40))
    counts = {len(item.blocks) for item in found}
    assert not counts & {7, 8, 9}, "either precise at once, or three rounds after it first was"
    assert max(counts) < 40
