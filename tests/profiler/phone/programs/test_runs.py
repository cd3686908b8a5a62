"""Runs of a process: cutting them into chunks changes nothing, and large numbers of them stay small."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.phone import load_phone
from profiler.phone.programs._plan import Plan, PlanShelf
from profiler.phone.programs._runs import Runs, Stage, seed_of
from profiler.phone.programs._statistics import StatWithPercentiles
from profiler.phone.soc import Placement
from tests.profiler.phone.programs.bench import Bench, small_network

PIXEL = load_phone("pixel4")


def _plan(*, nearest: bool = False) -> Plan:
    return PlanShelf().plan(b"", "xnnpack", lambda _: (small_network(nearest=nearest), False))


def _runs(plan: Plan, cap: Callable[[], float] = lambda: 1.0) -> Runs:
    return Runs(PIXEL, plan, Placement((7,), 1, "xnnpack"), 1234, cap)


def _made(runs: Runs, stage: Stage, sizes: list[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    durations, rows, made = [], [], 0
    while (chunk := runs.chunk(stage, made, at_most=sizes[made % len(sizes)] if sizes else None)) is not None:
        made += len(chunk.durations_us)
        durations.append(chunk.durations_us)
        if chunk.rows_us is not None:
            rows.append(chunk.rows_us)
    return np.concatenate(durations), np.concatenate(rows) if rows else np.zeros(0)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.booleans())
@settings(max_examples=15, deadline=None)
def test_chunks_change_nothing(sizes: list[int], profiled: bool) -> None:
    plan, stage = _plan(), Stage(60, 0, 10**9, profiled=profiled)
    whole, whole_rows = _made(_runs(plan), stage)
    cut, cut_rows = _made(_runs(plan), stage, sizes)
    assert np.array_equal(whole, cut)
    assert np.array_equal(whole_rows, cut_rows)


def test_rows_fit_into_their_runs() -> None:
    runs = _runs(_plan(nearest=True))
    runs.pass_time(1.0)  # by then clocks are at their highest
    _made(runs, Stage(1, 0, 10**9))
    durations_us, rows_us = _made(runs, Stage(500, 0, 10**9, profiled=True))
    assert durations_us.dtype == rows_us.dtype == np.int64
    assert (rows_us >= 0).all()
    assert (rows_us.sum(axis=1) <= durations_us).all()
    spikes = durations_us > 1.15 * np.median(durations_us)
    # A spike falls into one operator.
    extra = rows_us[spikes] - np.median(rows_us, axis=0)
    assert (extra.max(axis=1) > 0.5 * extra.sum(axis=1)).all()


def test_the_loop_is_googles() -> None:
    runs = _runs(_plan())
    stage = Stage(3, 50_000, 80_000)
    durations_us, _ = _made(runs, stage)
    starts_us = np.concatenate([[0], np.cumsum(durations_us)[:-1]])
    assert starts_us[-1] < 50_000 <= starts_us[-1] + durations_us[-1] + 2
    assert len(_made(_runs(_plan()), Stage(5, 0, 10**9))[0]) == 5
    late = _runs(_plan())
    late.pass_time(1.0)
    assert late.chunk(Stage(5, 0, 999_999), 0) is None


def test_a_hot_phone_is_slow() -> None:
    stage = Stage(300, 0, 10**9)
    cool, hot = (np.median(_made(_runs(_plan(), lambda cap=cap: cap), stage)[0]) for cap in (1.0, 0.5))
    assert 1.3 < hot / cool < 2.3


def test_the_seed_is_of_everything() -> None:
    seeds = {
        seed_of(0, ("a", "b"), b"m"), seed_of(1, ("a", "b"), b"m"), seed_of(0, ("ab",), b"m"),
        seed_of(0, ("a", "b"), b"n"), seed_of(0, ("a", "bm"), b""),
    }  # fmt: skip
    assert len(seeds) == 5


def test_plans_are_kept_and_forgotten() -> None:
    shelf, read = PlanShelf(), []

    def reader(content: bytes) -> tuple[object, bool]:
        read.append(content)
        return small_network(), False

    for number in (*range(40), 39, 0):
        shelf.plan(str(number).encode(), "xnnpack", reader)  # type: ignore[arg-type]
    assert len(read) == 41


def test_a_million_runs_end_at_once_when_killed(bench: Bench) -> None:
    async def main() -> float:
        running = asyncio.create_task(
            bench.script("exec ./benchmark_model --graph=model --num_runs=1000000000 --max_secs=1000000")
        )
        await asyncio.sleep(0.3)
        began_s = time.monotonic()
        ended = await bench.script("kill -9 $(pidof benchmark_model)")
        ran = await running
        assert (ended.code, ran.code) == (0, 137)
        return time.monotonic() - began_s

    assert asyncio.run(main()) < 1.0


def test_a_million_runs_take_little_memory() -> None:
    stat = StatWithPercentiles()
    tracemalloc.start()
    for _ in range(100):
        stat.add(np.full(100_000, 7, dtype=np.int64))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert stat.count == 10_000_000
    assert peak < 40 << 20
    assert stat.line() == "count=10000000 curr=7(all same) p5=7 median=7 p95=7"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], "count=0 p5=0 median=0 p95=0"),
        ([5], "count=1 curr=5 p5=5 median=5 p95=5"),
        ([3, 9, 6], "count=3 first=3 curr=6 min=3 max=9 avg=6 std=2 p5=3 median=6 p95=9"),
        ([2990275, 2913402], "count=2 first=2990275 curr=2913402 min=2913402 max=2990275 avg=2.95184e+06 std=38436 "
         "p5=2913402 median=2990275 p95=2990275"),
    ],
)  # fmt: skip
def test_statistics_print_as_cpp_does(values: list[int], line: str) -> None:
    stat = StatWithPercentiles()
    for value in values:
        stat.add(np.array([value], dtype=np.int64))
    assert stat.line() == line
