"""Owns the limits that a search must keep to, and what counts as breaking one.

A constraint reads an `Assessment` (what is known of an architecture before anything is trained) and, once there is
one, its accuracy, and says by how much it is broken.  A latency budget is held with a probability: half of all
networks whose predicted latency equals the budget are slower than it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from profiler.errors import ConfigError
from search.assessment import Assessment, LatencyInterval
from search.objectives import Objective

_UPPER_END = 0.05
"""How likely a latency lies above the upper end of its 90 % interval."""

_POINTS = 100


@lru_cache(maxsize=64)
def _deviations(alpha: float) -> float:
    """Return how many standard deviations above the middle a normal number lies with probability alpha."""
    return NormalDist().inv_cdf(1 - alpha)


@dataclass(frozen=True, slots=True)
class Gap:
    """By how much an architecture breaks a limit.

    Attributes:
        amount: How much, in `unit`; 0 when the limit holds, inf when nobody can tell.
        unit: Of the amount.
        limit: The limit in words.
    """

    amount: float
    unit: str
    limit: str


class Constraint(ABC):
    """A limit on what is known of an architecture."""

    @property
    @abstractmethod
    def description(self) -> str:
        """The limit in words with its unit, such as "macs <= 2000 MACs"; checkpoints compare it."""

    @property
    @abstractmethod
    def reads(self) -> tuple[Objective, ...]:
        """The quantities that it limits."""

    @property
    @abstractmethod
    def bounds(self) -> Mapping[Objective, float]:
        """What no feasible architecture exceeds, by quantity and in the unit of its name."""

    @abstractmethod
    def violation(self, assessment: Assessment, accuracy: float | None = None) -> float:
        """Return by what share of the limit it is broken: 0 when satisfied, inf when nobody can tell.

        An architecture with a kernel that a predictor has no evidence on breaks every constraint: it has no
        latency, and no number stands in for one.

        Args:
            assessment: The architecture before training.
            accuracy: Its accuracy, 0 to 1; None before it is scored, and then no limit on accuracy is broken.
        """

    @abstractmethod
    def gap(self, assessment: Assessment, accuracy: float | None = None) -> Gap:
        """Return the limit that is broken most, and by how much; takes what `violation` does."""


class SingleLimit(Constraint):
    """A constraint on one quantity."""

    @property
    @abstractmethod
    def limit(self) -> float:
        """The limit, in `unit`, > 0."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """Unit of the limit and of every excess."""

    @abstractmethod
    def excess(self, assessment: Assessment, accuracy: float | None = None) -> float:
        """Return by how much an architecture is beyond the limit, in `unit`; 0 when it is not."""

    def violation(self, assessment: Assessment, accuracy: float | None = None) -> float:
        """Return the excess as a share of the limit; see `Constraint.violation`."""
        return self.excess(assessment, accuracy) / self.limit if assessment.in_domain else math.inf

    def gap(self, assessment: Assessment, accuracy: float | None = None) -> Gap:
        """Return the excess."""
        amount = self.excess(assessment, accuracy) if assessment.in_domain else math.inf
        return Gap(amount, self.unit, self.description)


@dataclass(frozen=True, slots=True)
class LatencyBudget(SingleLimit):
    """Latency on a device must stay within a budget, with some probability: P(latency <= budget) >= 1 - alpha.

    The latency is taken for log-normal about the predicted one, and the upper half of the predictor's 90 % interval
    for 1.645 of its deviations.  At alpha = 0.05 it is the upper end of the interval that is held to the budget, at
    0.5 the predicted latency itself.

    Attributes:
        budget_ms: The budget, in ms, finite and > 0.
        alpha: How likely the budget may be exceeded, > 0 and <= 0.5.
        device: The device; None for the only one.

    Raises:
        ConfigError: The budget is not a finite, positive number, or alpha is out of range.
    """

    budget_ms: float
    alpha: float = 0.05
    device: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.budget_ms) and self.budget_ms > 0):
            raise ConfigError(f"{self.budget_ms} is not a latency; give a positive number of ms", key="budget_ms")
        if not 0 < self.alpha <= 0.5:
            raise ConfigError(f"{self.alpha} is no probability above 0 and up to 0.5", key="alpha")

    @property
    def description(self) -> str:
        """The budget in words."""
        where = "" if self.device is None else f" on {self.device}"
        return f"P(latency{where} <= {self.budget_ms:g} ms) >= {1 - self.alpha:g}"

    @property
    def limit(self) -> float:
        """The budget, in ms."""
        return self.budget_ms

    @property
    def unit(self) -> str:
        """Milliseconds."""
        return "ms"

    @property
    def reads(self) -> tuple[Objective, ...]:
        """Latency on the device."""
        return (Objective("latency_ms", self.device),)

    @property
    def bounds(self) -> Mapping[Objective, float]:
        """The budget: the predicted latency lies below whatever quantile is held to it."""
        return dict.fromkeys(self.reads, self.budget_ms)

    def latency_ms(self, latency: LatencyInterval) -> float:
        """Return what is held to the budget: the latency that is exceeded with probability alpha, in ms.

        Infinite where the interval holds no latency.
        """
        point_ms, high_ms = latency.latency_ms, latency.high_ms
        if not (0 < point_ms < math.inf and point_ms <= high_ms < math.inf):
            return math.inf
        deviations = _deviations(self.alpha) / _deviations(_UPPER_END)
        # From the upper end, so that at alpha = 0.05 it is that number to the last bit.
        return float(high_ms * (high_ms / point_ms) ** (deviations - 1))

    def excess(self, assessment: Assessment, accuracy: float | None = None) -> float:
        """Return how far the quantile lies over the budget, in ms; inf when it is no latency at all."""
        return max(0.0, self.latency_ms(assessment.latency(self.device)) - self.budget_ms)


@dataclass(frozen=True, slots=True)
class Limit(SingleLimit):
    """A quantity other than latency must not exceed a limit; accuracy must not stay below it.

    Accuracy is judged once a candidate is scored.

    Attributes:
        objective: What is limited.
        bound: The limit, in the unit of the quantity's name, > 0; for accuracy a number up to 1.

    Raises:
        ConfigError: The limit is no such number, or it is one of latency, which is a `LatencyBudget`.
    """

    objective: Objective
    bound: float

    def __post_init__(self) -> None:
        key = self.objective.text
        if self.objective.quantity == "latency_ms":
            raise ConfigError("latency is limited by a budget, which says how surely it is held", key=key)
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise ConfigError(f"{self.bound} is no limit; give a positive number", key=key)
        if self._least and self.bound > 1:
            raise ConfigError(f"{self.bound:g} is no accuracy; give a number from 0 to 1", key=key)

    @property
    def _least(self) -> bool:
        return self.objective.quantity == "accuracy"

    @property
    def description(self) -> str:
        """The limit in words."""
        if self._least:
            return f"accuracy >= {self.bound:g}"
        return f"{self.objective.quantity} <= {self.bound:.12g} {self.unit}"

    @property
    def limit(self) -> float:
        """The limit, in `unit`: points for accuracy."""
        return self.bound * (_POINTS if self._least else 1)

    @property
    def unit(self) -> str:
        """Unit of the quantity."""
        return self.objective.unit

    @property
    def reads(self) -> tuple[Objective, ...]:
        """What is limited."""
        return (self.objective,)

    @property
    def bounds(self) -> Mapping[Objective, float]:
        """The limit; nothing for accuracy, which shall exceed it."""
        return {} if self._least else {self.objective: self.bound}

    def excess(self, assessment: Assessment, accuracy: float | None = None) -> float:
        """Return by how much the limit is missed, in `unit`."""
        if self._least:
            return 0.0 if accuracy is None else max(0.0, _POINTS * (self.bound - accuracy))
        return max(0.0, assessment.value(self.objective) - self.bound)


@dataclass(frozen=True, slots=True)
class AllOf(Constraint):
    """Several constraints that must all hold; the one that is broken most counts.

    Attributes:
        constraints: At least one.

    Raises:
        ConfigError: There is none.
    """

    constraints: tuple[Constraint, ...]

    def __post_init__(self) -> None:
        if not self.constraints:
            raise ConfigError("a search needs at least one limit")

    @property
    def description(self) -> str:
        """All limits in words."""
        return " and ".join(constraint.description for constraint in self.constraints)

    @property
    def reads(self) -> tuple[Objective, ...]:
        """What any of them limits."""
        return tuple(dict.fromkeys(objective for constraint in self.constraints for objective in constraint.reads))

    @property
    def bounds(self) -> Mapping[Objective, float]:
        """The tightest bound of each quantity."""
        tightest: dict[Objective, float] = {}
        for constraint in self.constraints:
            for objective, bound in constraint.bounds.items():
                tightest[objective] = min(bound, tightest.get(objective, bound))
        return tightest

    def violation(self, assessment: Assessment, accuracy: float | None = None) -> float:
        """Return the largest violation."""
        return max(constraint.violation(assessment, accuracy) for constraint in self.constraints)

    def gap(self, assessment: Assessment, accuracy: float | None = None) -> Gap:
        """Return the gap of the constraint that is broken most."""
        worst = max(self.constraints, key=lambda constraint: constraint.violation(assessment, accuracy))
        return worst.gap(assessment, accuracy)
