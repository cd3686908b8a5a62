"""Searches under every kind of limit, with several costs and devices: what is found holds, the rest is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from predictor import Prediction
from profiler.errors import ConfigError
from profiler.network import Network, energy_uj, peak_memory_bytes
from search.algorithms import Cars, EvolutionParams
from search.constraints import AllOf, Constraint, LatencyBudget, Limit
from search.errors import InfeasibleError, SearchError
from search.objectives import LATENCY, Objective
from search.outcome import SearchOutcome
from search.progress import SearchProgress
from search.run import CHECKPOINT_NAME, run_search
from tests.search._toy import (
    PARAMS,
    LawSource,
    ToyGenotype,
    ToyPredictor,
    ToySpace,
    described,
    size_of,
    toy_prediction,
    toy_search,
)

MACS, PARAMETERS = Objective("macs"), Objective("parameters")
MEMORY, ENERGY, ACCURACY = Objective("memory_bytes"), Objective("energy_uj"), Objective("accuracy")


@dataclass
class WeightsPredictor(ToyPredictor):
    """Another device, on which weights take the time: 1 ms for each 1500 parameters."""

    def _predict(self, network: Network) -> Prediction:
        latency_ms = network.cost().parameters / 1500
        return toy_prediction(latency_ms, latency_ms / 1.2, latency_ms * 1.2)


ON_TWO = AllOf((LatencyBudget(1.5, device="a"), LatencyBudget(1.0, device="b")))


def on_two(
    run_dir: Path, constraint: Constraint = ON_TWO, objectives: Sequence[Objective] | None = None
) -> SearchOutcome[ToyGenotype]:
    algorithm = Cars(ToySpace(), PARAMS, objectives or [Objective("latency_ms", name) for name in ("a", "b")])
    predictors = {"a": ToyPredictor(), "b": WeightsPredictor()}
    return run_search(algorithm, LawSource(), predictors, constraint, seed=0, run_dir=run_dir)


def test_on_several_devices_what_is_found_holds_on_all(tmp_path: Path) -> None:
    outcome = on_two(tmp_path)
    for member in outcome.population:
        assert member.latency("a").high_ms <= 1.5
        assert member.latency("b").high_ms <= 1.0
        cost = ToySpace().lower(member.genotype).cost()
        assert member.latency("a").latency_ms == pytest.approx(cost.macs / 1000)
        assert member.latency("b").latency_ms == pytest.approx(cost.parameters / 1500)
    assert outcome.front.objectives == (Objective("latency_ms", "a"), Objective("latency_ms", "b"))
    assert described_front(outcome) == described_front(on_two(tmp_path))  # read back from the checkpoint


def described_front(outcome: SearchOutcome[ToyGenotype]) -> list[tuple[str, float]]:
    return [(member.genotype.key, member.accuracy) for member in outcome.front]


def test_infeasible_on_one_device_names_the_device_and_the_gap(tmp_path: Path) -> None:
    tight = AllOf((LatencyBudget(1.5, device="a"), LatencyBudget(0.01, device="b")))
    with pytest.raises(InfeasibleError, match=r"the closest misses P.latency on b <= 0.01 ms.* by .* ms") as caught:
        on_two(tmp_path, tight)
    error = caught.value
    assert error.constraint == tight.description
    closest = ToySpace().decode(json.loads(error.closest))
    assert error.gap == pytest.approx(1.2 * ToySpace().lower(closest).cost().parameters / 1500 - 0.01)
    assert error.exit_code == 4


def test_a_device_without_a_predictor_is_refused_before_anything_else(tmp_path: Path) -> None:
    for constraint, objectives in (
        (LatencyBudget(1.0, device="c"), None),
        (LatencyBudget(1.0), None),
        (ON_TWO, [LATENCY]),
        (ON_TWO, [Objective("latency_ms", "c")]),
    ):
        with pytest.raises(ConfigError, match="devices with a predictor: a, b"):
            on_two(tmp_path, constraint, objectives)
    assert not (tmp_path / CHECKPOINT_NAME).exists()


@pytest.mark.parametrize("objective", [MACS, PARAMETERS, MEMORY, ENERGY])
def test_any_cost_can_be_limited_and_minimised(tmp_path: Path, objective: Objective) -> None:
    values = {"macs": lambda network: network.cost().macs, "parameters": lambda network: network.cost().parameters,
              "memory_bytes": peak_memory_bytes, "energy_uj": energy_uj}  # fmt: skip
    value = values[objective.quantity]
    rng = np.random.default_rng(0)
    limit = float(np.quantile([value(ToySpace().lower(ToySpace().sample(rng))) for _ in range(50)], 0.3))
    outcome = toy_search(tmp_path / "run", constraint=Limit(objective, limit), objectives=[objective])
    assert outcome.history[-1].hypervolume > 0
    for member in outcome.population:
        assert member.value(objective) == value(ToySpace().lower(member.genotype)) <= limit


@pytest.mark.parametrize(("objective", "unit"), [(MACS, "MACs"), (PARAMETERS, "parameters"), (MEMORY, "bytes")])
def test_an_infeasible_limit_tells_the_gap_in_its_unit(tmp_path: Path, objective: Objective, unit: str) -> None:
    with pytest.raises(InfeasibleError, match=f"{objective.text} <= 3 {unit}; the closest misses it by") as caught:
        toy_search(tmp_path, constraint=Limit(objective, 3.0), tries=60)
    assert (caught.value.unit, caught.value.tries) == (unit, 60)
    closest = ToySpace().lower(ToySpace().decode(json.loads(caught.value.closest)))
    value = peak_memory_bytes(closest) if objective == MEMORY else getattr(closest.cost(), objective.text)
    assert caught.value.gap == value - 3


def test_energy_out_of_reach_tells_the_gap_in_microjoules(tmp_path: Path) -> None:
    with pytest.raises(InfeasibleError) as caught:
        toy_search(tmp_path, constraint=Limit(ENERGY, 1e-6), tries=60)
    assert caught.value.unit == "uJ"
    assert caught.value.gap > 0


def test_a_least_accuracy_is_judged_once_it_is_known(tmp_path: Path) -> None:
    outcome = toy_search(tmp_path, constraint=AllOf((LatencyBudget(3.0), Limit(ACCURACY, 0.55))))
    assert outcome.population
    assert all(member.accuracy >= 0.55 for member in outcome.population)
    assert outcome.front.best.latency().high_ms <= 3.0


def test_an_accuracy_out_of_reach_ends_infeasible_in_points(tmp_path: Path) -> None:
    source = LawSource()
    with pytest.raises(InfeasibleError, match=r"accuracy >= 0\.99; the closest misses it by .* points") as caught:
        toy_search(tmp_path, source, constraint=Limit(ACCURACY, 0.99))
    closest = ToySpace().decode(json.loads(caught.value.closest))
    reached = source.evaluate([closest])[0]
    assert caught.value.gap == pytest.approx(100 * (0.99 - reached))
    # What is not accurate enough yet was trained all the same.
    assert len(source.drawn) == PARAMS.epochs


def test_four_costs_are_minimised_together(tmp_path: Path) -> None:
    objectives = [Objective("latency_ms", "a"), Objective("latency_ms", "b"), PARAMETERS, MEMORY]
    outcome = on_two(tmp_path, objectives=objectives)
    rows = [(-member.accuracy, *(member.value(objective) for objective in objectives)) for member in outcome.front]

    def beats(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
        return first != second and all(one <= other for one, other in zip(first, second, strict=True))

    assert len(rows) > 3
    assert not any(beats(first, second) for first in rows for second in rows)
    assert 0 < outcome.history[-1].hypervolume < 1
    assert outcome.history[-1].front_size >= len(outcome.front)


class DyingSource(LawSource):
    """Accuracy is no number for some genotypes: as their loss, had it been one of training."""

    def __init__(self, share: float, first_epoch: int = 0) -> None:
        super().__init__()
        self.share, self.first_epoch = share, first_epoch

    def evaluate(self, genotypes: Sequence[ToyGenotype]) -> np.ndarray:
        accuracy = super().evaluate(genotypes)
        if self.epochs >= self.first_epoch:
            doomed = [sum(genotype.widths) % 10 < 10 * self.share for genotype in genotypes]
            accuracy[doomed] = np.nan
        return accuracy


def test_candidates_without_an_accuracy_are_dropped_and_counted(tmp_path: Path) -> None:
    told: list[SearchProgress] = []
    outcome = toy_search(tmp_path, DyingSource(0.3), progress=told.append)
    assert outcome.dropped > 0
    assert told[-1].dropped == outcome.dropped
    assert all(np.isfinite(member.accuracy) and sum(member.genotype.widths) % 10 >= 3 for member in outcome.population)
    assert len(outcome.history) == PARAMS.generations


def test_dropping_survives_a_resume(tmp_path: Path) -> None:
    whole = toy_search(tmp_path / "whole", DyingSource(0.3))

    def stop(event: SearchProgress) -> None:
        if event.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy_search(tmp_path / "parts", DyingSource(0.3), progress=stop)
    assert described(toy_search(tmp_path / "parts", DyingSource(0.3))) == described(whole)


def test_parents_that_lose_their_accuracy_make_room(tmp_path: Path) -> None:
    outcome = toy_search(tmp_path, DyingSource(0.5, first_epoch=5))
    assert all(sum(member.genotype.widths) % 10 >= 5 for member in outcome.population)
    assert outcome.dropped > 0


class HealingSource(LawSource):
    """Has no accuracy of anything before the fifth epoch's end."""

    def evaluate(self, genotypes: Sequence[ToyGenotype]) -> np.ndarray:
        return super().evaluate(genotypes) if self.epochs >= 3 else np.full(len(genotypes), np.nan)


def test_growth_from_no_number_is_no_growth(tmp_path: Path) -> None:
    params = replace(PARAMS, warmup_epochs=2, generations=1)
    outcome = toy_search(tmp_path, HealingSource(), params=params)
    assert outcome.dropped == 0
    assert len(outcome.population) == params.population


def test_when_nothing_has_an_accuracy_the_search_says_so(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"none of \d+ candidates has a finite accuracy; lower the learning rate"):
        toy_search(tmp_path, DyingSource(1.0))


def test_growth_is_defined_for_every_candidate(tmp_path: Path) -> None:
    growths: list[float | None] = []

    class Watched(Cars[ToyGenotype]):
        def tell(self, state: object, evaluations: Sequence[object]) -> object:
            growths.extend(one.growth for one in evaluations if one.feasible)
            return super().tell(state, evaluations)

    algorithm = Watched(ToySpace(), PARAMS)
    source, budget = LawSource(), LatencyBudget(2.0)
    run_search(algorithm, source, {"toy": ToyPredictor()}, budget, seed=0, run_dir=tmp_path)
    assert len(growths) > PARAMS.population * PARAMS.generations
    assert all(growth is not None and np.isfinite(growth) for growth in growths)
    assert any(growth > 0 for growth in growths)


@pytest.mark.parametrize("seed", range(3))
def test_with_two_costs_protection_still_keeps_slow_large_networks(tmp_path: Path, seed: int) -> None:
    params = EvolutionParams(population=24, generations=12, warmup_epochs=1, generation_epochs=1)

    def large_survivors(*, protected: bool) -> int:
        outcome = toy_search(
            tmp_path / str(protected),
            constraint=LatencyBudget(100.0),
            objectives=[LATENCY, PARAMETERS],
            seed=seed,
            params=replace(params, protected=protected),
        )
        return sum(size_of(member.genotype) > 0.6 for member in outcome.population)

    assert large_survivors(protected=True) > large_survivors(protected=False)
