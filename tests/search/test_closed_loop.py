"""The closed loop: what is measured, what the search does with it, and that a search goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from profiler.errors import ConfigError
from search.assessment import UNKNOWN_LATENCY, Assessment, LatencyInterval
from search.closed_loop import ClosedLoop, choose_to_measure
from search.errors import CheckpointError, InfeasibleError, SearchError
from search.objectives import LATENCY
from search.outcome import SearchOutcome
from search.state import Evaluation, State, rng_state
from tests.search._toy import (
    PARAMS,
    DeviceLostError,
    LawSource,
    ToyFeedback,
    ToyGenotype,
    ToyPredictor,
    ToySpace,
    described,
    toy_search,
)


def one(
    name: int, accuracy: float | None, latency_ms: float, width: float = 0.1, violation: float = 0.0
) -> Evaluation[ToyGenotype]:
    interval = LatencyInterval(latency_ms, latency_ms / (1 + width), latency_ms * (1 + width))
    return Evaluation(ToyGenotype((name, 0, 0, 0, 0)), Assessment({"toy": interval}, 1, 1), violation, accuracy)


POPULATION = [
    one(0, 0.5, 1.0),
    one(1, 0.7, 2.0),
    one(2, 0.9, 3.0),
    one(3, 0.6, 3.0, width=0.4),  # dominated
    one(4, None, 5.0, width=0.3, violation=0.5),  # over the budget
    one(5, 0.1, 1.5, width=0.05),
]


def chosen(count: int, *measured: int) -> list[int]:
    keys = [ToyGenotype((name, 0, 0, 0, 0)).key for name in measured]
    return [found.widths[0] for found in choose_to_measure(POPULATION, count, [LATENCY], keys)]


def test_half_is_hopeful_and_half_is_unsure() -> None:
    assert chosen(4) == [2, 1, 3, 4]
    assert chosen(3) == [2, 1, 3]
    assert chosen(1) == [2]


def test_what_was_measured_is_not_measured_again() -> None:
    assert chosen(4, 2, 3) == [1, 0, 4, 5]
    assert chosen(9) == [2, 1, 0, 3, 4, 5]
    assert chosen(4, 0, 1, 2, 3, 4, 5) == []


def test_what_nobody_knows_and_what_is_there_twice_is_left_out() -> None:
    unknown = replace(POPULATION[0], assessment=Assessment({"toy": UNKNOWN_LATENCY}, 1, 1), violation=np.inf)
    assert choose_to_measure([unknown], 4, [LATENCY], ()) == []
    assert len(choose_to_measure([POPULATION[0]] * 3, 4, [LATENCY], ())) == 1
    assert choose_to_measure([], 4, [LATENCY], ()) == []


@pytest.mark.parametrize("key", ["every", "networks", "rounds"])
def test_settings_out_of_range_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        ClosedLoop(ToyFeedback(), **{key: 0})


def test_rounds_are_due_every_so_many_generations() -> None:
    loop = ClosedLoop(ToyFeedback(), every=2, rounds=2)
    record = toy_record()

    def due(generations: int, rounds: int) -> bool:
        state = State(0, (), rng_state(np.random.default_rng(0)), (1.0,), (record,) * generations, ((),) * rounds)
        return loop.due(state)

    assert [due(generations, 0) for generations in range(4)] == [False, False, True, True]
    assert [due(generations, 1) for generations in (3, 4)] == [False, True]
    assert not due(100, 2)


def toy_record() -> object:
    from search.state import GenerationRecord

    return GenerationRecord(1, 1, 1, 1, 0.5, 0.5)


def looped(
    run_dir: Path, feedback: ToyFeedback, source: LawSource | None = None, **options: object
) -> SearchOutcome[ToyGenotype]:
    return toy_search(run_dir, source, loop=ClosedLoop(feedback, every=2, networks=3, rounds=2), **options)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> str:
    return described(looped(tmp_path_factory.mktemp("whole"), ToyFeedback()))


def test_what_is_found_is_judged_by_what_was_measured(tmp_path: Path) -> None:
    feedback = ToyFeedback()
    outcome = looped(tmp_path, feedback)
    keys = [[ToySpace().lower(genotype).key for genotype in round_] for round_ in outcome.measured]
    assert keys == feedback.measured
    assert [len(set(round_)) for round_ in keys] == [3, 3]
    assert len({key for round_ in keys for key in round_}) == 6
    for member in outcome.population:
        # The first predictor knows of no more than 1 ms for 1000 MACs.
        assert member.latency().latency_ms > 1.18 * member.macs / 1000
        assert member.latency().high_ms <= 2.0


def test_without_a_loop_the_device_would_be_over_the_budget(tmp_path: Path) -> None:
    blind = toy_search(tmp_path / "blind")
    assert max(1.25 * member.macs / 1000 for member in blind.population) > 2.0
    seeing = looped(tmp_path / "seeing", ToyFeedback())
    assert max(1.25 * member.macs / 1000 for member in seeing.population) <= 2.05


def test_individuals_that_turn_out_too_slow_lose_their_score(tmp_path: Path) -> None:
    # Twice as slow as predicted: most of the population is over the budget after the first round.
    outcome = looped(tmp_path, ToyFeedback(slower=2.0))
    assert all(member.latency().high_ms <= 2.0 for member in outcome.population)
    assert len(outcome.population) > 0


def test_individuals_that_turn_out_fast_enough_are_scored(tmp_path: Path) -> None:
    params = replace(PARAMS, generations=1)
    options = {"params": params, "budget_ms": 0.45, "tries": 24}
    few = toy_search(tmp_path / "blind", **options)
    assert 0 < len(few.population) < params.population
    loop = ClosedLoop(ToyFeedback(slower=0.1), every=1, networks=4, rounds=1)
    more = toy_search(tmp_path / "seeing", loop=loop, **options)
    assert len(few.population) < len(more.population)
    source = LawSource()
    source.epochs = params.epochs
    for member in more.population:
        assert member.accuracy == source.evaluate([member.genotype])[0]


def test_a_device_far_too_slow_ends_infeasible_with_the_gap(tmp_path: Path) -> None:
    with pytest.raises(InfeasibleError, match=r"P\(latency <= 0\.5 ms\) >= 0\.95") as caught:
        looped(tmp_path, ToyFeedback(slower=50.0), budget_ms=0.5)
    assert caught.value.unit == "ms"
    assert caught.value.gap > 0
    # What it trained on is not lost, and it says the same again.
    with pytest.raises(InfeasibleError) as again:
        looped(tmp_path, ToyFeedback(slower=50.0), budget_ms=0.5)
    assert str(again.value) == str(caught.value)


def test_the_same_seed_gives_the_same_front_with_the_loop(tmp_path: Path, uninterrupted: str) -> None:
    assert described(looped(tmp_path, ToyFeedback())) == uninterrupted


@pytest.mark.parametrize("round_", [0, 1])
def test_a_lost_device_ends_the_search_which_goes_on_later(tmp_path: Path, uninterrupted: str, round_: int) -> None:
    with pytest.raises(DeviceLostError):
        looped(tmp_path, ToyFeedback(broken_at=round_))
    source = LawSource()
    feedback = ToyFeedback()
    assert described(looped(tmp_path, feedback, source)) == uninterrupted
    # Rounds of before are handed over again, and nothing is learned or scored twice.
    assert len(feedback.measured) == 2
    assert len(source.drawn) == 6 - 2 * (round_ + 1)


def test_a_finished_search_hands_over_its_rounds_and_does_nothing_else(tmp_path: Path, uninterrupted: str) -> None:
    looped(tmp_path, ToyFeedback())
    feedback, source = ToyFeedback(), LawSource()
    assert described(looped(tmp_path, feedback, source)) == uninterrupted
    assert len(feedback.measured) == 2
    assert source.drawn == source.evaluated == []


def test_a_folder_of_another_loop_or_another_device_is_refused(tmp_path: Path) -> None:
    looped(tmp_path, ToyFeedback())
    with pytest.raises(CheckpointError, match="closed loop"):
        toy_search(tmp_path)
    with pytest.raises(CheckpointError, match="another predictor"):
        looped(tmp_path, ToyFeedback(slower=1.5))


def test_what_is_learned_must_be_of_the_devices_of_the_search(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="learned of other, but the search is of toy"):
        looped(tmp_path, ToyFeedback(devices=("other",)))


def test_progress_counts_what_was_measured(tmp_path: Path) -> None:
    counts: list[int] = []
    looped(tmp_path, ToyFeedback(), progress=lambda event: counts.append(event.measured))
    assert counts == [0, 0, 0, 3, 3, 6, 6, 6]


def test_each_network_is_predicted_once_by_each_predictor(tmp_path: Path) -> None:
    predictor = ToyPredictor()
    looped(tmp_path, ToyFeedback(), predictor=predictor)
    asked = [key for batch in predictor.batches for key in batch]
    assert len(asked) == len(set(asked))
