"""Finalists: the best first, spread over the front, no network twice."""

from __future__ import annotations

from search.constraints import LatencyBudget
from search.front import FrontMember, ParetoFront
from search.outcome import SearchOutcome, choose_finalists
from tests.search._toy import ToyGenotype, toy_assessment


def member(accuracy: float, latency_ms: float, key: str) -> FrontMember[ToyGenotype]:
    return FrontMember(ToyGenotype((1,)), key, accuracy, toy_assessment(latency_ms))


def outcome(*population: FrontMember[ToyGenotype]) -> SearchOutcome[ToyGenotype]:
    return SearchOutcome(ParetoFront.of(population), population, (), LatencyBudget(5.0), 0, "toy")


FOUND = outcome(
    member(0.9, 4.0, "a"), member(0.89, 3.9, "b"), member(0.5, 1.0, "c"), member(0.8, 4.5, "d"), member(0.9, 4.0, "a")
)


def test_the_front_comes_first_the_most_accurate_ahead() -> None:
    assert [m.network_key for m in choose_finalists(FOUND, 2)] == ["a", "c"]
    assert [m.network_key for m in choose_finalists(FOUND, 3)] == ["a", "c", "b"]


def test_the_next_front_fills_up_and_no_network_comes_twice() -> None:
    assert [m.network_key for m in choose_finalists(FOUND, 9)] == ["a", "c", "b", "d"]


def test_nobody_is_chosen_of_nobody() -> None:
    assert choose_finalists(outcome(), 3) == []
    assert choose_finalists(FOUND, 0) == []
