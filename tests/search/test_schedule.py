from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.errors import TrainingError
from search.schedule import Schedule, cosine


@settings(deadline=None, max_examples=100)
@given(epochs=st.integers(1, 200), first=st.integers(0, 30), multiplier=st.integers(1, 4))
def test_cycles_fill_the_training_and_the_last_one_ends_with_it(epochs: int, first: int, multiplier: int) -> None:
    schedule = Schedule(first_cycle=first, multiplier=multiplier)
    cycles = schedule.cycles(epochs)
    assert sum(cycles) == epochs and min(cycles) >= 1
    for before, after in pairwise(cycles[:-1]):
        assert after == before * multiplier
    start = 0
    for length in cycles:
        assert schedule.factor(start, epochs) == 1
        assert schedule.factor(start + length / 2, epochs) == pytest.approx(0.5)
        assert schedule.factor(start + length - 1e-6, epochs) == pytest.approx(0, abs=1e-9)
        start += length
    assert schedule.factor(epochs, epochs) == schedule.factor(epochs + 5, epochs) == 0


def test_without_restarts_it_is_half_a_cosine() -> None:
    schedule = Schedule(least=0.1)
    assert [schedule.factor(epoch, 9) for epoch in range(12)] == [cosine(1, 0.1, epoch, 9) for epoch in range(12)]


def test_the_rate_rises_once_at_the_start() -> None:
    schedule = Schedule(warmup_epochs=2, first_cycle=4, multiplier=1)
    assert schedule.factor(0, 8) == 0
    assert schedule.factor(1, 8) == pytest.approx(0.5 * cosine(1, 0, 1, 4))
    assert schedule.factor(4, 8) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"least": 1.5}, "least must be a share"),
        ({"least": float("nan")}, "least must be a share"),
        ({"warmup_epochs": -1}, "warmup_epochs must be at least 0"),
        ({"first_cycle": -2}, "first_cycle must be at least 0"),
        ({"multiplier": 0}, "multiplier must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Schedule(**settings)  # type: ignore[arg-type]
