"""CARS by hand: what it asks for, what it trains, what it keeps; and that it keeps late starters."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from profiler.errors import ConfigError
from search.algorithms import Cars, EvolutionParams
from search.assessment import Assessor
from search.constraints import LatencyBudget
from search.errors import ObjectiveError
from search.feasibility import Screen
from search.state import Evaluation, State
from tests.search._toy import PARAMS, ToyGenotype, ToyPredictor, ToySpace, size_of, toy_assessment, toy_search

SCREEN = Screen(ToySpace(), Assessor(ToySpace(), {"toy": ToyPredictor()}), LatencyBudget(2.0))


def evaluation(genotype: ToyGenotype, **changes: float | None) -> Evaluation[ToyGenotype]:
    return replace(Evaluation(genotype, toy_assessment(1.0), violation=0.0), **changes)


def started(params: EvolutionParams = PARAMS, **changes: float | None) -> tuple[Cars[ToyGenotype], State[ToyGenotype]]:
    algorithm = Cars(ToySpace(), params)
    rng = np.random.default_rng(0)
    population = [evaluation(ToySpace().sample(rng), **changes) for _ in range(params.population)]
    return algorithm, algorithm.start(population, [2.0], rng)


def test_the_warm_up_draws_uniformly_and_asks_for_nothing() -> None:
    algorithm, state = started()
    candidates, asked = algorithm.ask(state, SCREEN)
    learning = algorithm.learning(asked)
    drawn = learning.draw(np.random.default_rng(0))
    assert candidates == ()
    assert learning.epochs == 1
    assert drawn == [ToySpace().sample(np.random.default_rng(0))]
    told = algorithm.tell(asked, ())
    assert (told.step, told.population) == (1, state.population)


def test_a_generation_asks_for_parents_and_new_offspring() -> None:
    params = replace(PARAMS, offspring_ratio=1.5)
    algorithm, state = started(params)
    state = replace(state, step=params.warmup_epochs)
    candidates, asked = algorithm.ask(state, SCREEN)
    parents = [individual.genotype for individual in state.population]
    assert list(candidates[: len(parents)]) == parents
    assert len(candidates) == len({candidate.key for candidate in candidates}) == 24 + 36
    assert asked.rng != state.rng


def test_ask_and_tell_change_no_state() -> None:
    algorithm, state = started()
    state = replace(state, step=PARAMS.warmup_epochs)
    first, asked = algorithm.ask(state, SCREEN)
    again, asked_again = algorithm.ask(state, SCREEN)
    assert (first, asked) == (again, asked_again)
    told = [algorithm.tell(asked, [evaluation(g, accuracy=0.5, growth=0.1) for g in first]) for _ in range(2)]
    assert told[0] == told[1]
    assert asked.step == PARAMS.warmup_epochs


def test_parameter_steps_share_architectures_of_the_population() -> None:
    params = replace(PARAMS, warmup_epochs=0, architectures_per_step=4, generation_epochs=3)
    algorithm, state = started(params)
    learning = algorithm.learning(state)
    drawn = learning.draw(np.random.default_rng(3))
    assert len(drawn) == 4
    assert {genotype.key for genotype in drawn} <= {individual.genotype.key for individual in state.population}
    assert learning.epochs == 3


def test_infeasible_individuals_are_not_trained() -> None:
    algorithm, state = started(replace(PARAMS, warmup_epochs=0), violation=math.inf)
    feasible = evaluation(ToyGenotype((1, 1, 1, 1, 1)))
    state = replace(state, population=(*state.population[:-1], feasible))
    draws = [algorithm.learning(state).draw(np.random.default_rng(seed)) for seed in range(5)]
    assert draws == [[feasible.genotype]] * 5


def test_feasible_candidates_come_first_and_the_rest_by_violation() -> None:
    params = replace(PARAMS, population=3, warmup_epochs=0)
    algorithm, state = started(params)
    violations = [0.4, math.inf, 0.0, 0.1, 0.2]
    genotypes = [ToyGenotype((index, 0, 0, 0, 0)) for index in range(5)]
    told = algorithm.tell(
        state,
        [
            evaluation(g, violation=v, accuracy=None if v else 0.5, growth=None if v else 0.0)
            for g, v in zip(genotypes, violations, strict=True)
        ],
    )
    assert [individual.genotype.widths[0] for individual in told.population] == [2, 3, 4]


@pytest.mark.parametrize("missing", ["accuracy", "growth"])
def test_a_feasible_candidate_without_an_objective_is_refused(missing: str) -> None:
    algorithm, state = started(replace(PARAMS, warmup_epochs=0))
    rows = [evaluation(individual.genotype, accuracy=0.5, growth=0.1) for individual in state.population]
    rows[2] = replace(rows[2], **{missing: None})
    with pytest.raises(ObjectiveError, match="candidate 2"):
        algorithm.tell(state, rows)


@pytest.mark.parametrize("seed", range(3))
def test_only_protection_gets_large_networks_out_of_the_small_model_trap(tmp_path: Path, seed: int) -> None:
    params = EvolutionParams(population=24, generations=12, warmup_epochs=1, generation_epochs=1)

    def large_survivors(*, protected: bool) -> int:
        outcome = toy_search(
            tmp_path / str(protected), budget_ms=100.0, seed=seed, params=replace(params, protected=protected)
        )
        return sum(size_of(member.genotype) > 0.6 for member in outcome.population)

    assert large_survivors(protected=True) >= 4
    assert large_survivors(protected=False) == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("population", 1),
        ("generations", 0),
        ("warmup_epochs", -1),
        ("generation_epochs", -1),
        ("architectures_per_step", 0),
        ("offspring_ratio", 0.0),
        ("offspring_ratio", float("nan")),
    ],
)
def test_settings_out_of_range_are_refused_by_name(key: str, value: float) -> None:
    with pytest.raises(ConfigError) as caught:
        EvolutionParams(**{key: value})
    assert caught.value.key == key


def test_candidates_short_of_an_accuracy_limit_are_kept_by_protection_not_by_their_distance() -> None:
    # All are below the limit; the last is the least accurate, and grows fastest.
    params = replace(PARAMS, population=3, warmup_epochs=0)
    algorithm, state = started(params)
    accuracies, growths = [0.60, 0.62, 0.64, 0.40], [0.01, 0.01, 0.01, 0.08]
    told = algorithm.tell(
        state,
        [
            evaluation(ToyGenotype((index, 0, 0, 0, 0)), accuracy=a, growth=g, violation=0.9 - a)
            for index, (a, g) in enumerate(zip(accuracies, growths, strict=True))
        ],
    )
    assert 3 in [individual.genotype.widths[0] for individual in told.population]


def test_what_keeps_an_accuracy_limit_comes_before_what_does_not() -> None:
    params = replace(PARAMS, population=3, warmup_epochs=0)
    algorithm, state = started(params)
    violations = [0.1, 0.0, math.inf, 0.2, 0.3]
    told = algorithm.tell(
        state,
        [
            evaluation(
                ToyGenotype((index, 0, 0, 0, 0)), accuracy=None if v == math.inf else 0.9 - v, growth=0.0, violation=v
            )
            for index, v in enumerate(violations)
        ],
    )
    chosen = [individual.genotype.widths[0] for individual in told.population]
    assert chosen[0] == 1
    assert 2 not in chosen
