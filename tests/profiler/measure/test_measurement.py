"""Measurements made from stored blocks: drift correction, choice of calm blocks, verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from profiler.backends import Check
from profiler.measure import Block, CampaignRecord, Configuration, Measurement, Protocol, WorkloadRecord, estimate
from profiler.measure.verdicts import Verdict
from tests.known_law_backend import KnownLawBackend, workloads

LEVEL_MS = (0.1, 0.2)
WORK = WorkloadRecord.of(workloads(1)[0])
PROTOCOL = Protocol(rounds=6, runs_per_block=4)
CAMPAIGN = CampaignRecord("id", "", Configuration("d", "measured", KnownLawBackend().facts()), PROTOCOL, 1.75e9)


def block(round_: int, latency_ms: float, slowdown: float = 1.0) -> Block:
    reading = tuple(slowdown * level for level in LEVEL_MS)
    return Block(WORK.key, round_, 0, 1.75e9 + round_, "ok", "", (latency_ms,) * 4, reading, reading)


def measured(blocks: Sequence[Block], protocol: Protocol = PROTOCOL) -> Measurement:
    return estimate(replace(CAMPAIGN, protocol=protocol), WORK, blocks, {"alone": LEVEL_MS})


def test_drift_is_divided_out() -> None:
    factors = (0.9, 0.95, 1.0, 1.0, 1.02, 1.04)
    found = measured([block(index, 2.0 * factor, factor) for index, factor in enumerate(factors)])
    assert (found.median_ms, found.low_ms, found.high_ms) == pytest.approx((2.0, 2.0, 2.0))
    assert found.samples_ms == pytest.approx([2.0] * 24)
    assert found.verdict == "VALID"
    assert found.blocks[0].samples_ms == (1.8,) * 4, "raw samples stay as they were"


def test_blocks_in_disturbed_moments_are_left_aside_when_enough_are_calm() -> None:
    calm = [block(index, 1.0) for index in range(6)]
    disturbed = [block(6 + index, 2.0, 1.1) for index in range(10)]
    found = measured([*disturbed, *calm])
    assert found.median_ms == pytest.approx(1.0)
    assert len(found.used) == 6
    assert len(found.blocks) == 16
    assert found.verdict == "VALID"


def test_one_disturbed_side_is_enough_to_be_disturbed() -> None:
    calm = [block(index, 1.0) for index in range(6)]
    half = replace(block(6, 3.0), after_ms=(0.12, 0.24))
    assert half.samples_ms[0] not in measured([*calm, half]).samples_ms


def test_with_few_calm_blocks_the_calmest_are_taken_and_it_is_said() -> None:
    found = measured([block(index, 1.0 + index / 100, 1.0 + index / 40) for index in range(20)])
    assert [item.block.round for item in found.used] == list(range(6))
    assert found.verdict == "SEMI_VALID"
    assert "DISTURBED" in {reason.id for reason in found.reasons}


def test_a_block_without_readings_counts_as_it_is() -> None:
    found = measured([replace(block(index, 1.5), before_ms=(), after_ms=()) for index in range(6)])
    assert found.median_ms == 1.5


@pytest.mark.parametrize(
    ("blocks", "protocol", "verdict", "reason"),
    [
        ([], PROTOCOL, "INVALID", "NOT-MEASURED"),
        ([block(0, 1.0)], PROTOCOL, "SEMI_VALID", "FEW-BLOCKS"),
        ([block(i, 1.0) for i in range(5)], PROTOCOL, "SEMI_VALID", "FEW-BLOCKS"),
        ([block(i, 1.0) for i in range(6)], replace(PROTOCOL, least_runs=25), "SEMI_VALID", "FEW-RUNS"),
        ([block(i, 1.0) for i in range(6)], replace(PROTOCOL, least_seconds=1.0), "SEMI_VALID", "SHORT"),
        ([block(i, 1.0 + i / 10) for i in range(6)], PROTOCOL, "SEMI_VALID", "TARGET-MISSED"),
        ([replace(block(0, 1.0), status="failed", reason="TIMEOUT: slow")], PROTOCOL, "INVALID", "TIMEOUT"),
    ],
)
def test_verdicts(blocks: list[Block], protocol: Protocol, verdict: Verdict, reason: str) -> None:
    found = measured(blocks, protocol)
    assert found.verdict == verdict
    assert found.reasons[0].id == reason


def test_one_rejected_block_lowers_the_verdict_and_three_end_it() -> None:
    good = [block(index, 1.0) for index in range(6)]
    bad = [replace(block(6 + index, 1.0), status="rejected", reason="odd", samples_ms=()) for index in range(3)]
    assert measured([*good, bad[0]]).verdict == "SEMI_VALID"
    assert measured([*good, *bad]).verdict == "INVALID"


def test_a_warm_up_that_reaches_the_median_is_said() -> None:
    samples = (1.6,) * 7 + (1.0, 1.01, 0.99) * 5
    found = measured([replace(block(index, 1.0), samples_ms=samples) for index in range(6)])
    assert [reason.id for reason in found.reasons] == ["WARM-UP"]
    short = measured([replace(block(index, 1.0), samples_ms=samples[4:]) for index in range(6)])
    assert short.verdict == "VALID"


def test_reasons_stand_gravest_first() -> None:
    checks = (Check("EMULATED", "no phone", suppressible=False), Check("LOAD", "busy"))
    found = measured([replace(block(index, 1.0), checks=checks) for index in range(6)])
    assert [reason.id for reason in found.reasons] == ["LOAD", "EMULATED"]


def test_without_latencies_all_estimates_are_nan() -> None:
    found = measured([])
    numbers = (found.median_ms, found.low_ms, found.high_ms, found.mad_ms, found.p90_ms)
    assert all(math.isnan(number) for number in numbers)
    assert found.outlier_count == 0
    assert found.measured_at == "2025-06-15T15:06:40+00:00"


def test_the_same_rows_give_the_same_measurement() -> None:
    blocks = [block(index, 1.0 + index / 50) for index in range(8)]
    assert measured(blocks).interval == measured(blocks).interval
    assert measured(blocks).outlier_count == 0
    assert measured(blocks).mad_ms > 0.0


def test_one_block_that_is_a_mean_alone_has_no_interval_and_asks_for_more() -> None:
    mean = replace(block(0, 1.0), samples_ms=(1.0,), runs_per_sample=4)
    found = measured([mean])
    assert (found.verdict, found.interval) == ("INVALID", None)
    assert [reason.id for reason in found.reasons] == ["ONE-MEAN", "FEW-BLOCKS"]
    assert [reason.id for reason in found.missing] == ["FEW-BLOCKS"]
    assert measured([mean, replace(mean, round=1)]).interval is not None
