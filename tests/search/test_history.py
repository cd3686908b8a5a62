"""A generation's record counts feasible survivors only."""

from __future__ import annotations

import numpy as np
import pytest

from search.history import record_generation
from search.objectives import LATENCY
from search.state import Evaluation, State, rng_state
from tests.search._toy import ToyGenotype, toy_assessment


def individual(accuracy: float | None, latency_ms: float, violation: float = 0.0) -> Evaluation[ToyGenotype]:
    genotype = ToyGenotype((int(latency_ms * 10),))
    return Evaluation(genotype, toy_assessment(latency_ms), violation, accuracy, 0.0)


def state(*population: Evaluation[ToyGenotype]) -> State[ToyGenotype]:
    return State(1, population, rng_state(np.random.default_rng(0)), reference=(2.0,))


def test_record_of_a_known_population() -> None:
    record = record_generation(
        state(individual(0.4, 0.5), individual(0.8, 1.0), individual(0.7, 1.5), individual(None, 0.1, 0.5)),
        7,
        [LATENCY],
    )
    assert (record.generation, record.evaluated, record.feasible, record.front_size) == (1, 7, 3, 2)
    assert record.hypervolume == pytest.approx((0.4 * 0.5 + 0.8 * 1.0) / 2)
    assert record.best_accuracy == 0.8


def test_nothing_feasible_is_nothing_found() -> None:
    record = record_generation(state(individual(None, 3.0, 0.5)), 0, [LATENCY])
    assert (record.feasible, record.front_size, record.hypervolume, record.best_accuracy) == (0, 0, 0.0, 0.0)
