"""Owns the state of a search: one frozen value that says all an algorithm needs to go on.

A state is never changed; each step returns the next one.  It is JSON on disk (search.checkpoint), and
the generator of random numbers is part of it, so a search resumed from it draws what it would have drawn.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic

import numpy as np

from search.assessment import UNKNOWN_LATENCY, Assessment, LatencyInterval
from search.objectives import Objective
from search.space import G, SearchSpace


@dataclass(frozen=True, slots=True)
class Evaluation(Generic[G]):
    """What a search knows of one candidate.

    Attributes:
        genotype: The candidate.
        assessment: What was known of it before training.
        violation: 0 where the constraint holds, else by what share of its limit it is broken; inf where
            nobody can tell.
        accuracy: Validation accuracy under the present shared weights, 0 to 1; None when it was not
            evaluated, as with candidates that break the constraint whatever their accuracy.
        growth: That accuracy minus the one under the weights of the generation before; None likewise, and
            where an algorithm does not need it.
    """

    genotype: G
    assessment: Assessment
    violation: float
    accuracy: float | None = None
    growth: float | None = None

    @property
    def feasible(self) -> bool:
        """Whether the constraint holds."""
        return self.violation == 0

    def value(self, objective: Objective) -> float:
        """Return what an objective is, in the unit of its name; NaN for an accuracy that is not known.

        Raises:
            ConfigError: It is of no device here, or was not asked for.
        """
        if objective.quantity == "accuracy":
            return math.nan if self.accuracy is None else self.accuracy
        return self.assessment.value(objective)


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """One line of a search's history.

    Attributes:
        generation: Counted from 1.
        evaluated: Candidates whose accuracy was evaluated.
        feasible: Survivors that keep to the constraint.
        front_size: Survivors that no other dominates in accuracy and the objectives.
        hypervolume: Of that front, as a share of the box accuracy 0..1 by each objective 0..reference; 0 to 1.
        best_accuracy: Best accuracy among feasible survivors, 0 to 1.
    """

    generation: int
    evaluated: int
    feasible: int
    front_size: int
    hypervolume: float
    best_accuracy: float


@dataclass(frozen=True, slots=True)
class State(Generic[G]):
    """Everything that an algorithm needs to take its next step.

    Attributes:
        step: Steps taken so far (warm-up epochs and generations).
        population: The individuals in order of preference.
        rng: State of the numpy bit generator that all further draws come from.
        reference: Where the hypervolume's box ends in each objective of the algorithm, in their order and units.
        history: One record a generation.
        measured: What each round of the closed loop measured, in order.
        dropped: Candidates so far that were left out because their accuracy was no finite number.
    """

    step: int
    population: tuple[Evaluation[G], ...]
    rng: Mapping[str, Any]
    reference: tuple[float, ...]
    history: tuple[GenerationRecord, ...] = ()
    measured: tuple[tuple[G, ...], ...] = ()
    dropped: int = 0

    def generator(self) -> np.random.Generator:
        """Return a new generator that stands where this state's does."""
        generator = np.random.default_rng()
        generator.bit_generator.state = dict(self.rng)
        return generator


def rng_state(generator: np.random.Generator) -> dict[str, Any]:
    """Return where a generator stands, as a value for `State.rng`."""
    return dict(generator.bit_generator.state)


def state_to_json(state: State[G], space: SearchSpace[G]) -> str:
    """Write a state as JSON; `state_from_json` reads it back equal.

    Args:
        state: What to write.
        space: Encodes the genotypes.
    """
    document = {
        "step": state.step,
        "population": [_evaluation_to_json(individual, space) for individual in state.population],
        "rng": state.rng,
        "reference": state.reference,
        "history": [_as_dict(record) for record in state.history],
        "measured": [[space.encode(genotype) for genotype in round_] for round_ in state.measured],
        "dropped": state.dropped,
    }
    return json.dumps(document, allow_nan=False)


def state_from_json(text: str, space: SearchSpace[G]) -> State[G]:
    """Read a state.

    Args:
        text: What `state_to_json` made.
        space: Decodes the genotypes.

    Raises:
        GenotypeError: A genotype is not of this space.
        AttributeError, KeyError, TypeError, ValueError: The text is anything else; search.checkpoint maps them.
    """
    document = json.loads(text)
    return State(
        step=int(document["step"]),
        population=tuple(_evaluation_from_json(item, space) for item in document["population"]),
        rng=dict(document["rng"]),
        reference=tuple(float(value) for value in document["reference"]),
        history=tuple(GenerationRecord(**record) for record in document["history"]),
        measured=tuple(tuple(space.decode(encoded) for encoded in round_) for round_ in document["measured"]),
        dropped=int(document["dropped"]),
    )


def _as_dict(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _evaluation_to_json(evaluation: Evaluation[G], space: SearchSpace[G]) -> dict[str, Any]:
    # JSON has no infinity: what nobody can tell is written as null.
    return _as_dict(evaluation) | {
        "genotype": space.encode(evaluation.genotype),
        "assessment": _assessment_to_json(evaluation.assessment),
        "violation": evaluation.violation if math.isfinite(evaluation.violation) else None,
    }


def _evaluation_from_json(item: Mapping[str, Any], space: SearchSpace[G]) -> Evaluation[G]:
    read = {
        "genotype": space.decode(item["genotype"]),
        "assessment": _assessment_from_json(item["assessment"]),
        "violation": math.inf if item["violation"] is None else float(item["violation"]),
    }
    return Evaluation(**dict(item) | read)


def _assessment_to_json(assessment: Assessment) -> dict[str, Any]:
    latencies = {
        device: [latency.latency_ms, latency.low_ms, latency.high_ms] if latency.in_domain else None
        for device, latency in assessment.latencies.items()
    }
    return _as_dict(assessment) | {"latencies": latencies}


def _assessment_from_json(item: Mapping[str, Any]) -> Assessment:
    latencies = {
        device: UNKNOWN_LATENCY if numbers is None else _interval(*numbers)
        for device, numbers in item["latencies"].items()
    }
    return Assessment(**dict(item) | {"latencies": latencies})


def _interval(latency_ms: float, low_ms: float, high_ms: float) -> LatencyInterval:
    return LatencyInterval(float(latency_ms), float(low_ms), float(high_ms))
