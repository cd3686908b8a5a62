"""Owns the closed loop: which architectures are measured while the search goes on, and what is learned from them.

Every few generations some of the population are measured, the predictors learn from what was measured, and the
population is judged anew.  Where a search stands in the loop is in its state, so a search that goes on hands the
rounds of before to the feedback once more, in order, and has the predictors of before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from profiler.network import Network
from search.assessment import LatencyPredictor
from search.bounds import require_at_least
from search.front import pareto_rows
from search.objectives import Objective, cost_matrix
from search.space import G
from search.state import Evaluation, State


class Feedback(ABC):
    """The seam to whatever measures networks."""

    @abstractmethod
    def measure(self, networks: Sequence[Network]) -> Mapping[str, LatencyPredictor]:
        """Measure networks on the device of each predictor, and learn from what they show.

        The same calls in the same order give the same predictors, and nothing is measured twice, not even by
        another process: a search that was stopped makes all its calls again.

        Args:
            networks: What to measure, without weights, at least one.

        Returns:
            The predictors that hold from now on, by device: the devices that the search began with.

        Raises:
            PocketnasError: A device did not answer; the search ends, and can be gone on with.
        """


@dataclass(frozen=True)
class ClosedLoop:
    """How a search is held to its devices.

    Attributes:
        feedback: Measures and learns.
        every: Generations from one round to the next, >= 1.
        networks: Most architectures a round measures, >= 1.
        rounds: Most rounds, >= 1.

    Raises:
        ConfigError: A value is out of its range.
    """

    feedback: Feedback
    every: int = 5
    networks: int = 4
    rounds: int = 4

    def __post_init__(self) -> None:
        require_at_least(self, every=1, networks=1, rounds=1)

    @property
    def identity(self) -> str:
        """The settings in one line; checkpoints compare it."""
        return f"every {self.every} generations {self.networks} networks, {self.rounds} rounds"

    def due(self, state: State[G]) -> bool:
        """Return whether a round comes before the next step."""
        done = len(state.measured)
        return done < self.rounds and len(state.history) >= self.every * (done + 1)


def choose_to_measure(
    population: Sequence[Evaluation[G]], count: int, objectives: Sequence[Objective], measured: Collection[str]
) -> list[G]:
    """Choose what a round measures: half of it the most hopeful, the rest what predictors are least sure of.

    The most hopeful are the most accurate of the front: nothing that keeps to the limits is better, and of what
    keeps to them they use them up most, so whether they hold on the device matters most.  How unsure a predictor is
    of an architecture is how wide its interval is, of several devices the widest.

    Args:
        population: What to choose from; what a predictor has no evidence on is left out.
        count: Most to choose.
        objectives: What the front is minimal in, beside accuracy.
        measured: Keys of genotypes that were measured before.

    Returns:
        Genotypes with different keys, fewer than `count` where there are no more.
    """
    open_ = [one for one in population if one.assessment.in_domain and one.genotype.key not in measured]
    scored = [one for one in population if one.feasible and one.accuracy is not None]
    accuracy = np.array([one.accuracy for one in scored], dtype=np.float64)
    front = [scored[row] for row in pareto_rows(accuracy, cost_matrix(scored, objectives))]
    hopeful = sorted(front, key=lambda one: -one.value(_ACCURACY))
    unsure = sorted(open_, key=_widest, reverse=True)
    different = {one.genotype.key for one in open_}
    chosen: dict[str, G] = {}
    for ordered, places in ((hopeful, (count + 1) // 2), (unsure, count)):
        for one in ordered:
            if len(chosen) < places and one.genotype.key in different:
                chosen.setdefault(one.genotype.key, one.genotype)
    return list(chosen.values())


_ACCURACY = Objective("accuracy")


def _widest(evaluation: Evaluation[G]) -> float:
    return max((one.relative_width for one in evaluation.assessment.latencies.values()), default=1.0)
