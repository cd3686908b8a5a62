"""Bayes by hand and by Monte Carlo: what an improvement is worth, what is asked for, and that it beats chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.errors import ConfigError
from search.algorithms.bayes import Bayes, BayesParams
from search.algorithms.bayes._choice import Acquisition, Scored, spread
from search.algorithms.bayes._error_model import Belief, Posterior, fit
from search.algorithms.bayes._improvement import Front, budgets_gain, expected_gain, hypervolume_gain
from search.assessment import Assessor
from search.constraints import Limit
from search.errors import ObjectiveError
from search.feasibility import Screen, find_feasible
from search.objectives import LATENCY, Objective
from search.state import State, state_from_json, state_to_json
from tests.search._toy import LAYERS, ToyGenotype, ToyPredictor, ToySpace

MACS = Objective("macs")
REFERENCE_MS = 5.0
"""Slower than all of the toy space."""

PARAMS = BayesParams(evaluations=40, first=8, batch=4, warmup_epochs=0, pool=128)
WEIGHTS = np.random.default_rng(1).uniform(0.2, 1.0, LAYERS)


def accuracy_of(genotype: ToyGenotype) -> float:
    """A law with a few good layers, a pair that goes together, and scatter that stays the same."""
    widths = np.array(genotype.widths) / 7
    together = 0.5 * (genotype.widths[0] == genotype.widths[1])
    scatter = np.random.default_rng(list(genotype.widths)).normal()
    return 1 - float(np.exp(-0.6 * WEIGHTS @ np.sqrt(widths) - together + 0.02 * scatter)) * 0.6


def screen_of(space: ToySpace, most_macs: float = 1e9) -> Screen[ToyGenotype]:
    return Screen(space, Assessor(space, {"toy": ToyPredictor()}), Limit(MACS, most_macs))


def searched(
    params: BayesParams = PARAMS,
    *,
    seed: int = 0,
    choices: int = 8,
    most_macs: float = 1e9,
    objectives: tuple[Objective, ...] = (LATENCY,),
    through_json: bool = False,
) -> State[ToyGenotype]:
    space = ToySpace(choices)
    algorithm, screen, rng = Bayes(space, params, objectives), screen_of(space, most_macs), np.random.default_rng(seed)
    state = algorithm.start(
        find_feasible(screen, algorithm.population_size, 200, rng),
        [REFERENCE_MS, 1000 * REFERENCE_MS][: len(objectives)],
        rng,
    )
    while state.step < algorithm.steps:
        if through_json:
            algorithm, screen = Bayes(space, params, objectives), screen_of(space, most_macs)
            state = state_from_json(state_to_json(state, space), space)
        candidates, state = algorithm.ask(state, screen)
        assert len({candidate.key for candidate in candidates}) == len(candidates)
        state = algorithm.tell(
            state, [screen.score(one, accuracy_of(one.genotype), None) for one in screen.judge(candidates)]
        )
    return state


def hypervolume(state: State[ToyGenotype]) -> float:
    scored = [item for item in state.population if item.accuracy is not None]
    order = sorted((item.value(LATENCY), item.accuracy or 0.0) for item in scored)
    costs = np.array([cost for cost, _ in order] + [REFERENCE_MS])
    return float(np.maximum.accumulate([accuracy for _, accuracy in order]) @ np.diff(costs))


def test_expected_hypervolume_improvement_by_hand() -> None:
    # Nearly sure of an error of 0.2 at cost 2, with (1, 0.5) and (3, 0.3) found and the box ending at 5.
    belief = Belief(np.log([0.2, 0.2]), np.array([1e-4, 1e-4]))
    front = Front([3.0, 1.0, 4.0], [0.3, 0.5, 0.6])
    assert front.costs.tolist() == [1, 3]
    gain = hypervolume_gain(belief, np.array([2.0, 6.0]), front, 5.0)
    assert gain[0] == pytest.approx((3 - 2) * (0.5 - 0.2) + (5 - 3) * (0.3 - 0.2), rel=1e-3)
    assert gain[1] == 0
    cheapest = hypervolume_gain(belief, np.array([0.5, 0.5]), front, 5.0)
    assert cheapest[0] == pytest.approx(0.5 * 0.8 + 2 * 0.3 + 2 * 0.1, rel=1e-3)
    assert hypervolume_gain(belief, np.array([2.0, 2.0]), Front([], []), 5.0)[0] == pytest.approx(3 * 0.8, rel=1e-3)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_expected_hypervolume_improvement_agrees_with_monte_carlo(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found_costs, found_errors = rng.uniform(0, 10, 6), rng.uniform(0.1, 0.9, 6)
    mean, sd, cost = np.log(rng.uniform(0.1, 0.9)), rng.uniform(0.05, 0.6), rng.uniform(0, 10)
    # Over a fine grid of budgets and many errors that may come out: the mean gain in the best accuracy.
    budgets = (np.arange(4000) + 0.5) / 400
    before = np.where(found_costs <= budgets[:, None], found_errors, 1.0).min(axis=1)
    errors = np.exp(mean + sd * rng.standard_normal(2000))
    gains = 10 * np.array([np.mean(np.maximum(before - error, 0) * (budgets >= cost)) for error in errors])
    belief, front = Belief(np.array([mean]), np.array([sd])), Front(found_costs, found_errors)
    exact = hypervolume_gain(belief, np.array([cost]), front, 10.0)
    assert exact[0] == pytest.approx(gains.mean(), abs=5 * gains.std() / np.sqrt(len(gains)) + 5e-3)


def test_drawn_budgets_stand_for_the_hypervolume_of_several_costs() -> None:
    rng = np.random.default_rng(0)
    costs, found = rng.uniform(0, 1, (5, 1)), rng.uniform(0, 1, (4, 1))
    errors = rng.uniform(0.2, 0.8, 4)
    belief = Belief(np.log(rng.uniform(0.1, 0.5, 5)), np.full(5, 0.3))
    drawn = budgets_gain(belief, costs, found, errors, rng.uniform(0, 1, (20_000, 1)))
    exact = hypervolume_gain(belief, costs[:, 0], Front(found[:, 0], errors), 1.0)
    assert drawn == pytest.approx(exact, abs=0.01)


def test_the_gain_within_budgets_by_hand() -> None:
    belief = Belief(np.log([0.2, 0.2]), np.array([1e-4, 1e-4]))
    costs, found = np.array([[1.0], [3.0]]), np.array([[2.0]])
    gain = budgets_gain(belief, costs, found, np.array([0.3]), np.array([[1.0], [4.0]]))
    assert gain == pytest.approx([(0.8 + 0.1) / 2, 0.1 / 2], rel=1e-3)


def test_what_is_less_sure_promises_more() -> None:
    belief = Belief(np.log([0.3, 0.3, 0.3]), np.array([0.01, 0.1, 0.5]))
    gain = expected_gain(belief, np.full(3, 0.25))
    assert gain[0] < gain[1] < gain[2]
    assert gain[0] == pytest.approx(0, abs=1e-6)


def test_any_budget_counts_candidates_rather_than_milliseconds() -> None:
    # Nine candidates up to cost 1 and one at 100: by cost nearly all is beyond 1, by candidates nearly nothing is.
    costs = np.append(np.linspace(0.1, 1, 9), 100.0)[:, None]
    belief = Belief(np.full(10, np.log(0.3)), np.full(10, 0.01))
    acquisition = Acquisition(costs, np.array([100.0]), np.array([[1.0]]), seed=0)
    scored = Scored(np.array([[0.1]]), np.array([0.5]))
    by_cost, by_candidate = (acquisition.rate(aim, belief, scored)[[4, 8]] for aim in ("hypervolume", "any budget"))
    assert by_cost[1] / by_cost[0] > 0.99
    assert by_candidate[1] / by_candidate[0] < 0.5


def test_the_model_finds_a_linear_law_and_knows_what_it_does_not_know() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 4)) / 2
    law = rows @ [0.3, -0.2, 0.1, 0.0] - 1.5
    scatter = 0.02 * rng.standard_normal(60)
    found = fit(rows[:40], (law + scatter)[:40])
    belief = Posterior(found, rows[40:], rows[:40], (law + scatter)[:40]).belief
    assert np.sqrt(np.mean((belief.mean - law[40:]) ** 2)) < 0.02
    assert 0.01 < found.scatter < 0.04
    surprise = (belief.mean - (law + scatter)[40:]) / belief.sd
    assert 0.5 < np.sqrt(np.mean(surprise**2)) < 1.6


def test_supposing_a_score_is_adding_its_row_at_the_mean() -> None:
    rng = np.random.default_rng(0)
    rows, points = rng.normal(size=(12, 3)), rng.normal(size=(6, 3))
    log_errors = rng.normal(size=12)
    log_errors[6:] = -log_errors[:6]  # so that the median does not move
    found = fit(rows, log_errors)
    posterior = Posterior(found, points, rows, log_errors)
    mean = posterior.belief.mean[2]
    posterior.suppose(2)
    again = Posterior(found, points, np.vstack([rows, points[2]]), np.append(log_errors, mean))
    assert posterior.belief.sd == pytest.approx(again.belief.sd, rel=1e-4)


def test_the_first_are_spread_over_costs() -> None:
    costs = np.concatenate([np.full(90, 1.0), np.linspace(2, 11, 10)])
    chosen = spread(costs, 10, np.random.default_rng(0))
    assert len(set(chosen)) == 10
    assert sum(costs[chosen] > 1) == 1
    assert sorted(spread(costs[:3], 10, np.random.default_rng(0))) == [0, 1, 2]


def test_a_search_scores_as_many_as_it_says_and_keeps_all() -> None:
    state = searched()
    assert len(state.population) == len({item.genotype.key for item in state.population}) == 40
    assert all(item.accuracy is not None for item in state.population)


def test_the_same_seed_asks_for_the_same_and_nothing_is_remembered_beside_the_state() -> None:
    keys = [[item.genotype.key for item in searched(through_json=resumed).population] for resumed in (False, True)]
    assert keys[0] == keys[1]
    assert keys[0] != [item.genotype.key for item in searched(seed=1).population]


def test_it_beats_chance() -> None:
    screen, rng = screen_of(ToySpace()), np.random.default_rng(0)
    ours, chance = [], []
    for seed in range(2):
        state = searched(replace(PARAMS, pool=512), seed=seed)
        ours.append(hypervolume(state))
        drawn = screen.judge([ToySpace().sample(rng) for _ in range(40)])
        scored = tuple(screen.score(one, accuracy_of(one.genotype), None) for one in drawn)
        chance.append(hypervolume(replace(state, population=scored)))
    assert np.mean(ours) > np.mean(chance) + 0.05
    assert min(ours) > np.mean(chance)


def test_nothing_beyond_the_constraint_is_scored() -> None:
    state = searched(most_macs=600.0)
    assert len(state.population) == 40
    assert all(item.feasible for item in state.population)


def test_several_objectives() -> None:
    state = searched(objectives=(LATENCY, MACS))
    assert len(state.population) == 40


def test_a_tiny_space_is_exhausted_and_the_search_ends() -> None:
    state = searched(choices=2)
    assert len({item.genotype.key for item in state.population}) == len(state.population) == 2**LAYERS


def test_the_warm_up_learns_and_scores_nothing() -> None:
    algorithm = Bayes(ToySpace(), replace(PARAMS, warmup_epochs=2))
    screen, rng = screen_of(ToySpace()), np.random.default_rng(0)
    state = algorithm.start(find_feasible(screen, 8, 100, rng), [REFERENCE_MS], rng)
    candidates, asked = algorithm.ask(state, screen)
    assert candidates == ()
    assert algorithm.learning(asked).epochs == 1
    assert algorithm.learning(replace(asked, step=2)).epochs == 0
    assert algorithm.tell(asked, ()).population == state.population


def test_a_feasible_candidate_needs_an_accuracy() -> None:
    algorithm, screen = Bayes(ToySpace(), PARAMS), screen_of(ToySpace())
    rng = np.random.default_rng(0)
    state = algorithm.start(find_feasible(screen, 8, 100, rng), [REFERENCE_MS], rng)
    candidates, state = algorithm.ask(state, screen)
    with pytest.raises(ObjectiveError) as raised:
        algorithm.tell(state, screen.judge(candidates))
    assert raised.value.candidate == 0


@pytest.mark.parametrize(
    "wrong", [{"first": 1}, {"batch": 0}, {"evaluations": 5}, {"pool": 3}, {"budget_quantiles": (0.0,)}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        BayesParams(**wrong)  # type: ignore[arg-type]
