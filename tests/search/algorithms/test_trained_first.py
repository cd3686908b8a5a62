"""Algorithms that learn first: what they train, whom they ask for, what they keep, by hand and as whole searches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from profiler.errors import ConfigError
from search.algorithms import Algorithm, EvolutionParams
from search.algorithms.by_name import ALGORITHMS
from search.algorithms.pymoo_evolution import PymooEvolution, pymoo_survivors
from search.algorithms.random_search import RandomSearch
from search.algorithms.sorting import non_dominated_sort
from search.algorithms.spos import Spos, SposParams
from search.algorithms.trained_first import TrainedFirstParams
from search.assessment import Assessor
from search.constraints import LatencyBudget
from search.feasibility import Screen, find_feasible
from search.objectives import LATENCY
from search.run import run_search
from search.state import Evaluation, State
from tests.search._toy import LawSource, ToyGenotype, ToyPredictor, ToySpace, described, size_of

SIZES = EvolutionParams(population=12, generations=5, warmup_epochs=2, generation_epochs=1)
NAMES = sorted(ALGORITHMS)
BUDGET_MS = 1.6


def screen() -> Screen[ToyGenotype]:
    return Screen(ToySpace(), Assessor(ToySpace(), {"toy": ToyPredictor()}), LatencyBudget(BUDGET_MS))


def started(algorithm: Algorithm[ToyGenotype]) -> State[ToyGenotype]:
    rng = np.random.default_rng(0)
    population = find_feasible(screen(), algorithm.population_size, 400, rng)
    return algorithm.start(population, [BUDGET_MS], rng)


def told(algorithm: Algorithm[ToyGenotype], state: State[ToyGenotype]) -> tuple[list[ToyGenotype], State[ToyGenotype]]:
    """Take one generation in which a network is as accurate as it is large."""
    candidates, state = algorithm.ask(state, screen())
    judged = screen().judge(candidates)
    return list(candidates), algorithm.tell(
        state, [replace(one, accuracy=size_of(one.genotype), violation=0.0) for one in judged]
    )


def algorithms(warmup: int = 0) -> list[Algorithm[ToyGenotype]]:
    sizes = TrainedFirstParams(12, 5, warmup)
    return [
        Spos(ToySpace(), SposParams(12, 5, warmup, top=3)),
        RandomSearch(ToySpace(), sizes),
        PymooEvolution(ToySpace(), sizes, kind="nsga2"),
        PymooEvolution(ToySpace(), sizes, kind="nsga3"),
    ]


@pytest.mark.parametrize("algorithm", algorithms(warmup=2), ids=lambda one: one.name.split()[0])
def test_the_warm_up_trains_single_uniform_paths_and_nothing_later(algorithm: Algorithm[ToyGenotype]) -> None:
    state = started(algorithm)
    candidates, asked = algorithm.ask(state, screen())
    learning = algorithm.learning(asked)
    assert candidates == ()
    assert learning.epochs == 1
    assert learning.draw(np.random.default_rng(3)) == [ToySpace().sample(np.random.default_rng(3))]
    state = algorithm.tell(asked, ())
    state = algorithm.tell(*_nothing(algorithm, state))
    assert algorithm.ask(state, screen())[0]
    assert algorithm.learning(state).epochs == 0
    assert algorithm.steps == 2 + 5


def _nothing(
    algorithm: Algorithm[ToyGenotype], state: State[ToyGenotype]
) -> tuple[State[ToyGenotype], list[Evaluation[ToyGenotype]]]:
    return algorithm.ask(state, screen())[1], []


@pytest.mark.parametrize("algorithm", algorithms(), ids=lambda one: one.name.split()[0])
def test_each_generation_asks_for_new_candidates_within_the_constraint(algorithm: Algorithm[ToyGenotype]) -> None:
    state, seen = started(algorithm), set()
    for _ in range(4):
        candidates, state = told(algorithm, state)
        keys = {candidate.key for candidate in candidates}
        assert len(keys) == len(candidates) <= 12
        # Only NSGA may forget, and so ask again for, what did not survive.
        assert isinstance(algorithm, PymooEvolution) or not keys & seen
        assert max(screen().violations(candidates)) == 0
        seen |= keys
    assert len(seen) > 24


def test_spos_breeds_from_the_most_accurate() -> None:
    algorithm = Spos(ToySpace(), SposParams(12, 5, 0, top=1, crossover=1.0, mutation=0.0))
    _, state = told(algorithm, started(algorithm))
    accuracies = [one.accuracy for one in state.population]
    assert accuracies == sorted(accuracies, reverse=True)
    # A crossover of one parent with itself is that parent, so all that comes is drawn at random.
    candidates, _ = algorithm.ask(state, screen())
    uniform, _ = RandomSearch(ToySpace(), TrainedFirstParams(12, 5, 0)).ask(state, screen())
    assert len(candidates) == len(uniform) == 12


def test_random_and_spos_keep_all_that_they_scored() -> None:
    for algorithm in algorithms()[:2]:
        state, asked = started(algorithm), 0
        for _ in range(3):
            candidates, state = told(algorithm, state)
            asked += len(candidates)
        assert len(state.population) == asked


@pytest.mark.parametrize("kind", ["nsga2", "nsga3"])
def test_pymoo_survivors_are_the_better_fronts(kind: str) -> None:
    losses = np.random.default_rng(1).random((60, 2))
    kept = pymoo_survivors(losses, 30, kind, np.random.default_rng(0)).tolist()
    assert len(set(kept)) == 30
    left = 30
    for front in non_dominated_sort(losses):
        inside = set(front.tolist()) & set(kept)
        assert len(inside) == min(left, len(front))
        assert set(kept[30 - left : 30 - left + len(inside)]) == inside, "ranks come in order"
        left -= len(inside)


def test_a_space_that_is_exhausted_ends_the_generation_early() -> None:
    space = ToySpace(choices=2)
    algorithm = RandomSearch(space, TrainedFirstParams(50, 3, 0))
    small = Screen(space, Assessor(space, {"toy": ToyPredictor()}), LatencyBudget(100.0))
    state = algorithm.start(find_feasible(small, 50, 400, np.random.default_rng(0)), [100.0], np.random.default_rng(0))
    candidates, state = algorithm.ask(state, small)
    assert len(candidates) == min(space.size, 50)
    state = algorithm.tell(state, [replace(one, accuracy=0.5) for one in small.judge(candidates)])
    if space.size <= 50:
        assert algorithm.ask(state, small)[0] == ()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "bayes" else []) for name in NAMES]
)
def test_same_seed_same_front_and_a_better_one_than_it_began_with(name: str, tmp_path: Path) -> None:
    def run(folder: str, seed: int) -> str:
        algorithm = ALGORITHMS[name](ToySpace(), SIZES, (LATENCY,))
        budget = LatencyBudget(BUDGET_MS)
        outcome = run_search(
            algorithm, LawSource(), {"toy": ToyPredictor()}, budget, seed=seed, run_dir=tmp_path / folder
        )
        assert outcome.history[-1].hypervolume >= outcome.history[0].hypervolume > 0
        assert all(member.latency().high_ms <= BUDGET_MS for member in outcome.front)
        return described(outcome)

    assert run("first", 0) == run("again", 0) != run("other", 1)


def test_sizes_and_shares_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        TrainedFirstParams(population=1)
    with pytest.raises(ConfigError, match="at least 1"):
        SposParams(top=0)
    with pytest.raises(ConfigError, match="at most 1"):
        SposParams(crossover=0.7, mutation=0.7)
    with pytest.raises(ConfigError, match="nsga2"):
        PymooEvolution(ToySpace(), kind="nsga4")
