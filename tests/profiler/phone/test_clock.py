"""A phone's clock stands still, jumps, or runs at a share of ours."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from profiler.phone import PhoneClock


def test_nothing_but_work_moves_a_clock_at_speed_0() -> None:
    clock = PhoneClock(start_unix_s=1_700_000_000.0)
    time.sleep(0.02)
    assert clock.now_s == 1_700_000_000.0
    began_s = time.monotonic()
    asyncio.run(clock.spend(3600.0))
    clock.sleep_s(60.0)
    assert clock.now_s == 1_700_003_660.0
    assert time.monotonic() - began_s < 1.0


def test_work_takes_its_share_of_real_time() -> None:
    clock = PhoneClock(0.5)
    began_s, began_there_s = time.monotonic(), clock.elapsed_s
    asyncio.run(clock.spend(0.4))
    assert 0.2 <= time.monotonic() - began_s < 1.0
    assert clock.elapsed_s - began_there_s >= 0.4
    clock.sleep_s(0.1)
    assert time.monotonic() - began_s >= 0.25


def test_a_running_clock_runs_by_itself() -> None:
    clock = PhoneClock(0.1)
    before_s = clock.now_s
    time.sleep(0.05)
    assert clock.now_s - before_s >= 0.5


def test_it_starts_at_our_time() -> None:
    assert PhoneClock().now_s == pytest.approx(time.time(), abs=5.0)


@pytest.mark.parametrize("speed", [-0.1, 1.1, math.nan])
def test_speeds_that_there_are_not(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        PhoneClock(speed)


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_times_that_cannot_pass(seconds: float) -> None:
    with pytest.raises(ValueError, match="no time"):
        PhoneClock().sleep_s(seconds)
