"""Owns the limits that a search must keep to, and what counts as breaking one.

A constraint reads an `Assessment` (what is known of an architecture before anything is trained) and
says by how much it is over.  Being within budget is judged by the upper bound of the predicted interval,
since half of all networks whose point prediction equals the budget are slower than it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from profiler.errors import ConfigError
from search.assessment import Assessment


class Constraint(ABC):
    """A limit on what is known of an architecture before it is trained."""

    @property
    @abstractmethod
    def description(self) -> str:
        """The limit in words with its unit, such as "latency_ms (high) <= 2 ms"; checkpoints compare it."""

    @property
    @abstractmethod
    def limit(self) -> float:
        """The limit, in `unit`, > 0."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """Unit of the limit and of every excess."""

    @property
    def latency_limit_ms(self) -> float | None:
        """Latency that no feasible architecture exceeds, in ms; None when the limit is on something else."""
        return None

    @abstractmethod
    def excess(self, assessment: Assessment) -> float:
        """Return by how much an architecture is over the limit, in `unit`; 0 when it is not."""

    def violation(self, assessment: Assessment) -> float:
        """Return the excess as a share of the limit: 0 when satisfied, inf when nobody can tell.

        An architecture with a kernel that the predictor has no evidence on breaks every constraint: it has
        no latency, and no number stands in for one.
        """
        if not assessment.prediction.in_domain:
            return math.inf
        return self.excess(assessment) / self.limit


@dataclass(frozen=True, slots=True)
class LatencyBudget(Constraint):
    """Predicted latency must stay within a budget.

    Attributes:
        budget_ms: The budget, in ms, finite and > 0.
        bound: Which number of the predicted interval is held to it: its upper bound, or the point itself.

    Raises:
        ConfigError: The budget is not a finite, positive number.
    """

    budget_ms: float
    bound: Literal["high", "point"] = "high"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.budget_ms) and self.budget_ms > 0):
            raise ConfigError(f"{self.budget_ms} is not a latency; give a positive number of ms", key="budget_ms")

    @property
    def description(self) -> str:
        """The budget in words."""
        return f"predicted latency ({self.bound}) <= {self.budget_ms:g} ms"

    @property
    def limit(self) -> float:
        """The budget, in ms."""
        return self.budget_ms

    @property
    def unit(self) -> str:
        """Milliseconds."""
        return "ms"

    @property
    def latency_limit_ms(self) -> float:
        """The budget, in ms: a latency lies within its interval, whichever bound is held to it."""
        return self.budget_ms

    def excess(self, assessment: Assessment) -> float:
        """Return how far the bound lies over the budget, in ms; inf when it is no latency at all."""
        prediction = assessment.prediction
        latency_ms = float(prediction.high_ms if self.bound == "high" else prediction.latency_ms)
        if not (math.isfinite(latency_ms) and latency_ms > 0):
            return math.inf
        return max(0.0, latency_ms - self.budget_ms)
