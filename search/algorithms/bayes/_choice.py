"""Owns which candidates of a pool are worth scoring next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from search.algorithms.bayes._error_model import Belief, Posterior
from search.algorithms.bayes._improvement import Front, budgets_gain, hypervolume_gain

Floats = npt.NDArray[np.float64]

Aim = Literal["hypervolume", "any budget", "budgets"]
"""What a pick improves most: the hypervolume; accuracy within a budget that is as random as the cost of a random
candidate, so that each part of the pool counts by its size, not by the range of its costs; accuracy within the stated
budgets."""

FIRST_HALF: tuple[Aim, ...] = ("hypervolume", "any budget", "budgets")
SECOND_HALF: tuple[Aim, ...] = ("hypervolume", "budgets")
"""Aims in turn: the more is known, the more it is used where it is wanted."""

_DRAWN_BUDGETS = 64
"""Budgets that stand for all where costs are several."""


@dataclass(frozen=True, eq=False)
class Scored:
    """What was scored and keeps to the constraint.

    Attributes:
        costs: Shape: (n, d), n >= 0.
        errors: 1 minus accuracy, > 0. Shape: (n,).
    """

    costs: Floats
    errors: Floats

    def with_one(self, costs: Floats, error: float) -> Scored:
        """Return these and one more."""
        return Scored(np.vstack([self.costs, costs]), np.append(self.errors, error))


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Rates candidates by what they are expected to improve.

    Attributes:
        costs: Of the candidates. Shape: (m, d), m >= 1.
        reference: Where the box of the hypervolume ends in each cost. Shape: (d,).
        budgets: The stated ones. Shape: (k, d), k >= 1.
        seed: Of the budgets that are drawn where costs are several.
    """

    costs: Floats
    reference: Floats
    budgets: Floats
    seed: int

    def rate(self, aim: Aim, belief: Belief, scored: Scored) -> Floats:
        """Return the expected improvement of each candidate, >= 0. Shape: (m,)."""
        if aim == "budgets":
            return budgets_gain(belief, self.costs, scored.costs, scored.errors, self.budgets)
        if self.costs.shape[1] > 1:
            return budgets_gain(belief, self.costs, scored.costs, scored.errors, self._drawn(aim))
        costs, found = self.costs[:, 0], scored.costs[:, 0]
        if aim == "hypervolume":
            return hypervolume_gain(belief, costs, Front(found, scored.errors), float(self.reference[0]))
        # Among the shares of cheaper candidates, budgets that are as random as a candidate's cost are uniform.
        ordered = np.sort(costs)
        shares, found = (np.searchsorted(ordered, each) / len(costs) for each in (costs, found))
        return hypervolume_gain(belief, shares, Front(found, scored.errors), 1.0)

    def _drawn(self, aim: Aim) -> Floats:
        rng = np.random.default_rng(self.seed)
        if aim == "hypervolume":
            return self.reference * rng.random((_DRAWN_BUDGETS, self.costs.shape[1]))
        return np.asarray(self.costs[rng.integers(len(self.costs), size=_DRAWN_BUDGETS)])


def choose(
    posterior: Posterior, acquisition: Acquisition, scored: Scored, aims: Sequence[Aim], taken: Collection[int]
) -> list[int]:
    """Return one candidate for each aim, each chosen as if those before it had come out as expected.

    Args:
        posterior: What is believed of the candidates; the choice adds to it.
        acquisition: Rates them.
        scored: What was scored.
        aims: What each pick shall improve.
        taken: Candidates that are not to be chosen.

    Returns:
        Different candidates, fewer than aims where no more are left.
    """
    left = np.ones(len(acquisition.costs), dtype=np.bool_)
    left[list(taken)] = False
    chosen: list[int] = []
    for aim in aims:
        if not left.any():
            break
        belief = posterior.belief
        gain = acquisition.rate(aim, belief, scored)
        # Where nothing promises anything, what is least known may.
        worth = gain if gain[left].max() > 0 else belief.sd
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        chosen.append(best)
        left[best] = False
        if len(chosen) < len(aims):
            posterior.suppose(best)
            scored = scored.with_one(acquisition.costs[best], float(np.exp(belief.mean[best])))
    return chosen


def spread(costs: npt.NDArray[np.float64], count: int, rng: np.random.Generator) -> list[int]:
    """Return candidates to begin with: one at random from each of equally large groups of like cost.

    Args:
        costs: Of the candidates, one cost. Shape: (m,).
        count: How many are wanted; all are returned where there are no more.
        rng: Source of the draws.
    """
    shuffled = rng.permutation(len(costs))
    order = shuffled[np.argsort(costs[shuffled], kind="stable")]
    if count >= len(order):
        return [int(row) for row in order]
    return [int(rng.choice(group)) for group in np.array_split(order, count)]
