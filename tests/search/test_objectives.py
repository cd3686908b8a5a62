"""Objectives: their text forms, and what is not one."""

from __future__ import annotations

import numpy as np
import pytest

from profiler.errors import ConfigError
from search.algorithms.base import checked_objectives
from search.assessment import Assessment, LatencyInterval
from search.objectives import LATENCY, QUANTITIES, UNITS, Objective, cost_matrix


@pytest.mark.parametrize("text", [*QUANTITIES, "latency_ms@pixel4", "latency_ms@pixel4-emulated"])
def test_an_objective_is_written_as_it_is_read(text: str) -> None:
    assert Objective.parse(text).text == text
    assert Objective.parse(f" {text} ") == Objective.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency", "did you mean 'latency_ms'"),
        ("mac", "did you mean 'macs'"),
        ("memory_byte", "did you mean 'memory_bytes'"),
        ("watts", "known: accuracy, energy_uj, latency_ms, macs, memory_bytes, parameters"),
        ("", "known:"),
        ("macs@pixel4", "same on every device"),
        ("latency_ms@", "no device after"),
        ("latency@pixel4", "did you mean 'latency_ms'"),
    ],
)
def test_what_is_no_objective_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Objective.parse(text)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_long_word_is_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        Objective.parse("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_every_quantity_has_a_unit() -> None:
    assert UNITS.keys() == set(QUANTITIES)


def test_costs_are_read_by_objective_and_device() -> None:
    latencies = {"a": LatencyInterval(1.0, 0.9, 1.1), "b": LatencyInterval(2.0, 1.8, 2.2)}
    known = Assessment(latencies, macs=30, parameters=40, memory_bytes=50, energy_uj=0.5)
    objectives = [Objective.parse(text) for text in ("latency_ms@b", "macs", "parameters", "memory_bytes", "energy_uj")]
    assert cost_matrix([known, known], objectives).tolist() == [[2.0, 30.0, 40.0, 50.0, 0.5]] * 2
    assert cost_matrix([], objectives).shape == (0, 5)


@pytest.mark.parametrize("text", ["accuracy", "memory_bytes", "energy_uj", "latency_ms@b", "latency_ms"])
def test_what_is_not_known_is_not_made_up(text: str) -> None:
    latencies = {name: LatencyInterval(1.0, 0.9, 1.1) for name in ("a", "c")}
    with pytest.raises(ConfigError):
        Assessment(latencies, macs=1, parameters=1).value(Objective.parse(text))


def test_an_algorithm_minimises_at_least_one_cost_and_each_once() -> None:
    assert checked_objectives([LATENCY]) == (LATENCY,)
    for wrong in ([], [LATENCY, LATENCY], [Objective("accuracy"), LATENCY]):
        with pytest.raises(ConfigError, match="objectives"):
            checked_objectives(wrong)


def test_no_candidates_are_a_matrix_without_rows() -> None:
    assert cost_matrix([], [LATENCY]).dtype == np.float64
