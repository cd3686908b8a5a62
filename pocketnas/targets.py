"""Owns what networks are searched for: devices and budgets as they were asked for, and the constraints they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pocketnas.result import Target
from profiler.errors import ConfigError
from profiler.near_names import nearest
from search.assessment import Assessment, LatencyPredictor
from search.constraints import AllOf, Constraint, Gap, LatencyBudget, Limit
from search.errors import SearchError
from search.objectives import Objective
from search.space import SearchSpace

GIVEN = "given by the user"

_SHOWN_CHARS = 60
_BUDGET_SHARE = 0.4
_BUDGET_SAMPLES = 200


@dataclass(frozen=True)
class Wish:
    """What a user wants networks for.

    Attributes:
        budgets_ms: The budgets; none for one that is chosen.
        for_all: Whether one network is to keep to a budget on all devices, instead of one on each.
        alpha: How likely a budget may be exceeded, as far as the predictor can tell.
        limits: What else every network must keep to.

    Raises:
        ConfigError: alpha or a budget is out of its range.
    """

    budgets_ms: tuple[float, ...] = ()
    for_all: bool = False
    alpha: float = 0.05
    limits: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        for budget_ms in self.budgets_ms or (1.0,):
            LatencyBudget(budget_ms, self.alpha)

    def check_devices(self, devices: Sequence[str], objectives: Sequence[Objective]) -> None:
        """Make sure that limits and objectives are of devices of the search.

        Raises:
            ConfigError: One is of another; the nearest one is told.
        """
        reads = (*objectives, *(read for limit in self.limits for read in limit.reads))
        for device in (read.device for read in reads):
            if device is not None and device not in devices:
                shown = device[:_SHOWN_CHARS]
                raise ConfigError(f"{shown!r} is no device of this search{nearest(shown, devices)}", key="--device")

    def targets(
        self, predictors: Mapping[str, LatencyPredictor], space: SearchSpace[Any], rng: np.random.Generator
    ) -> tuple[Target, ...]:
        """Return what networks are wanted, one for each budget and, unless one is to hold on all, each device.

        Args:
            predictors: By device, in the user's order.
            space: The space that is searched.
            rng: Draws the networks by which a budget is chosen.

        Raises:
            SearchError: A predictor has no evidence on the space.
        """
        groups = [tuple(predictors)] if self.for_all else [(device,) for device in predictors]
        targets = []
        for devices in groups:
            if self.budgets_ms:
                budgets = [(budget_ms, GIVEN) for budget_ms in sorted(set(self.budgets_ms), reverse=True)]
            else:
                budgets = [typical_budget([predictors[device] for device in devices], space, rng)]
            targets += [Target(devices=devices, budget_ms=value, budget_reason=reason) for value, reason in budgets]
        return tuple(targets)

    def constraint(self, target: Target, *, devices: int) -> Constraint:
        """Return what a network for a target must keep to; devices: how many there are in the search."""
        budgets = [
            LatencyBudget(target.budget_ms, self.alpha, device if devices > 1 else None) for device in target.devices
        ]
        every = (*budgets, *self.limits)
        return every[0] if len(every) == 1 else AllOf(every)


def objectives_of(texts: Sequence[str]) -> tuple[Objective, ...]:
    """Return what is to be minimised beside accuracy; each text is such as "macs" or "latency_ms@pixel4".

    Raises:
        ConfigError: One names no quantity; the nearest is told.
    """
    return tuple(Objective.parse(text) for text in dict.fromkeys(texts))


def limits_of(texts: Sequence[str], *, alpha: float) -> tuple[Constraint, ...]:
    """Return limits that are written as QUANTITY[@DEVICE]=VALUE.

    Args:
        texts: Such as "macs=2e6", "accuracy=0.8" or "latency_ms@pixel4=1".
        alpha: How likely a limit of latency may be exceeded.

    Raises:
        ConfigError: One has another form, names no quantity, or its value is no positive number.
    """
    limits: list[Constraint] = []
    for text in texts:
        name, _, value = text.partition("=")
        objective = Objective.parse(name)
        try:
            bound = float(value)
        except ValueError as error:
            raise ConfigError(f"{text[:_SHOWN_CHARS]!r} is not of the form QUANTITY=VALUE", key="--limit") from error
        if objective.quantity == "latency_ms":
            limits.append(LatencyBudget(bound, alpha, objective.device))
        else:
            limits.append(Limit(objective, bound))
    return tuple(limits)


def typical_budget(
    predictors: Sequence[LatencyPredictor], space: SearchSpace[Any], rng: np.random.Generator
) -> tuple[float, str]:
    """Choose a budget that shuts out most of a space but leaves enough to choose from.

    Args:
        predictors: Predict the space's networks, each on a device that the budget is for.
        space: The space.
        rng: Draws the networks.

    Returns:
        What 40 % of 200 random networks keep to with the upper end of their predicted interval on the slowest
        device, in ms, and that in words.

    Raises:
        SearchError: The predictors have no evidence on any of them.
    """
    drawn = [space.lower(space.sample(rng)) for _ in range(_BUDGET_SAMPLES)]
    # One network with a kernel that nobody measured is left out, as the search leaves it out; it is no reason to end.
    predictions = zip(*(predictor.predict_many(drawn, allow_unknown=True) for predictor in predictors), strict=True)
    upper_ms = [
        max(found.high_ms for found in on_all) for on_all in predictions if all(found.in_domain for found in on_all)
    ]
    if not upper_ms:
        raise SearchError("the predictor has no evidence on networks of this space; profile the space first")
    budget_ms = float(f"{np.quantile(upper_ms, _BUDGET_SHARE):.3g}")
    return budget_ms, f"{100 * _BUDGET_SHARE:.0f} % of random networks are predicted to keep to it"


@dataclass(frozen=True, slots=True)
class AnyOf(Constraint):
    """At least one of several constraints must hold; the one that is broken least counts.

    Attributes:
        constraints: At least one.
    """

    constraints: tuple[Constraint, ...]

    @property
    def description(self) -> str:
        """All of them in words."""
        return " or ".join(f"({constraint.description})" for constraint in self.constraints)

    @property
    def reads(self) -> tuple[Objective, ...]:
        """What any of them reads, each once."""
        return tuple(dict.fromkeys(read for constraint in self.constraints for read in constraint.reads))

    @property
    def bounds(self) -> Mapping[Objective, float]:
        """The largest bound of each quantity that all of them bound."""
        bounds = [constraint.bounds for constraint in self.constraints]
        shared = [read for read in bounds[0] if all(read in other for other in bounds)]
        return {read: max(other[read] for other in bounds) for read in shared}

    def violation(self, assessment: Assessment, accuracy: float | None = None) -> float:
        """Return the least violation."""
        return min(constraint.violation(assessment, accuracy) for constraint in self.constraints)

    def gap(self, assessment: Assessment, accuracy: float | None = None) -> Gap:
        """Return the gap of the constraint that is broken least."""
        closest = min(self.constraints, key=lambda constraint: constraint.violation(assessment, accuracy))
        return closest.gap(assessment, accuracy)
