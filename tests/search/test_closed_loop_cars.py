"""The closed loop on the CARS space with a fitted predictor: a device that kernels alone do not tell enough of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from predictor import NetworkPredictor
from profiler.kernels import FUSION_RULES, sample_kernels
from profiler.network import Network
from search.accuracy import AccuracySource, DrawArchitectures
from search.algorithms import Cars, EvolutionParams
from search.closed_loop import ClosedLoop, Feedback
from search.constraints import LatencyBudget
from search.outcome import SearchOutcome
from search.run import run_search
from search.spaces.cars import CarsGenotype, CarsParams, CarsSpace
from tests.predictor._synthetic import kernel_rows, row, table_of_rows, true_network_ms

SPACE = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=3, cells=3, nodes=2))
SLOWER = 2.5
"""Networks on the device over the sum of their kernels: what the first predictor, of kernels alone, cannot know."""


def device_ms(network: Network) -> float:
    return SLOWER * true_network_ms(network)


@dataclass
class LearningFeedback(Feedback):
    """Measures by the device's law, and fits the predictor anew with what it measured."""

    rows: list[dict[str, Any]]
    rounds: list[int] = field(default_factory=list)

    def measure(self, networks: Sequence[Network]) -> Mapping[str, NetworkPredictor]:
        self.rounds.append(len(networks))
        self.rows += [row(network, "network", device_ms(network)) for network in networks]
        return {"bench": NetworkPredictor().fit(table_of_rows(self.rows))}


class Sizes(AccuracySource[CarsGenotype]):
    """Accuracy by the number of weights: the best are the slowest that the budget allows."""

    @property
    def identity(self) -> dict[str, str]:
        return {"accuracy": "sizes"}

    def learn(self, draw: DrawArchitectures[CarsGenotype], *, epochs: int, rng: np.random.Generator) -> float:
        return 0.0

    def evaluate(self, genotypes: Sequence[CarsGenotype]) -> np.ndarray:
        sizes = np.array([SPACE.lower(genotype).cost().parameters for genotype in genotypes])
        return sizes / (sizes + 1e4)

    def state(self) -> dict[str, np.ndarray]:
        return {}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        del state


def kernels_alone() -> list[dict[str, Any]]:
    rng = np.random.default_rng(2)
    networks = [SPACE.lower(SPACE.sample(rng)) for _ in range(30)]
    return kernel_rows(sample_kernels(networks, 80, rng, rules=FUSION_RULES["litert"]), rng)


def typical_ms() -> float:
    rng = np.random.default_rng(3)
    return float(np.median([device_ms(SPACE.lower(SPACE.sample(rng))) for _ in range(60)]))


def search(
    run_dir: Path, loop: ClosedLoop | None, predictor: NetworkPredictor, generations: int = 6
) -> SearchOutcome[CarsGenotype]:
    params = EvolutionParams(population=16, generations=generations, warmup_epochs=0, generation_epochs=0)
    budget = LatencyBudget(typical_ms(), device="bench")
    predictors = {"bench": predictor}
    return run_search(Cars(SPACE, params), Sizes(), predictors, budget, seed=1, run_dir=run_dir, loop=loop)


def within(outcome: SearchOutcome[CarsGenotype]) -> float:
    """Share of the front that keeps to the budget on the device."""
    budget_ms = typical_ms()
    return float(np.mean([device_ms(SPACE.lower(member.genotype)) <= budget_ms for member in outcome.front]))


def test_measuring_on_the_way_makes_the_budget_hold(tmp_path: Path) -> None:
    rows = kernels_alone()
    first = NetworkPredictor().fit(table_of_rows(rows))
    assert within(search(tmp_path / "blind", None, first)) < 0.9
    feedback = LearningFeedback(list(rows))
    outcome = search(tmp_path / "seeing", ClosedLoop(feedback, every=3, networks=4, rounds=2), first)
    assert within(outcome) == 1.0
    assert feedback.rounds == [4, 4]
    # Gone on with in a new process, it has learned the same and found the same.
    again = LearningFeedback(list(rows))
    resumed = search(tmp_path / "seeing", ClosedLoop(again, every=3, networks=4, rounds=2), first)
    assert resumed.front == outcome.front
    assert resumed.history == outcome.history
