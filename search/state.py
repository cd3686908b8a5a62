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

from search.space import G, SearchSpace


@dataclass(frozen=True, slots=True)
class Evaluation(Generic[G]):
    """What a search knows of one candidate.

    Attributes:
        genotype: The candidate.
        network_key: Content key of the network that it lowers to.
        latency_ms: Predicted latency, in ms; None when the predictor has no evidence on it.
        low_ms: Lower end of the predicted interval, in ms; None likewise.
        high_ms: Upper end of the predicted interval, in ms; None likewise.
        macs: Multiply-accumulate operations of one run.
        parameters: Number of weights.
        violation: 0 where the constraint holds, else by what share of its limit it is broken; inf where
            nobody can tell.
        accuracy: Validation accuracy under the present shared weights, 0 to 1; None when it was not
            evaluated, as with candidates that break the constraint.
        growth: That accuracy minus the one under the weights of the generation before; None likewise.
    """

    genotype: G
    network_key: str
    latency_ms: float | None
    low_ms: float | None
    high_ms: float | None
    macs: int
    parameters: int
    violation: float
    accuracy: float | None = None
    growth: float | None = None

    @property
    def feasible(self) -> bool:
        """Whether the constraint holds."""
        return self.violation == 0


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """One line of a search's history.

    Attributes:
        generation: Counted from 1.
        evaluated: Candidates whose accuracy was evaluated.
        feasible: Survivors that keep to the constraint.
        front_size: Survivors that no other dominates in (accuracy, latency_ms).
        hypervolume: Of that front, as a share of the box accuracy 0..1 by latency 0..reference; 0 to 1.
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
        reference_ms: Latency at which the hypervolume's box ends, in ms.
        history: One record a generation.
    """

    step: int
    population: tuple[Evaluation[G], ...]
    rng: Mapping[str, Any]
    reference_ms: float
    history: tuple[GenerationRecord, ...] = ()

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
        "reference_ms": state.reference_ms,
        "history": [_as_dict(record) for record in state.history],
    }
    return json.dumps(document, allow_nan=False)


def state_from_json(text: str, space: SearchSpace[G]) -> State[G]:
    """Read a state.

    Args:
        text: What `state_to_json` made.
        space: Decodes the genotypes.

    Raises:
        GenotypeError: A genotype is not of this space.
        KeyError, TypeError, ValueError: The text is anything else; search.checkpoint maps them.
    """
    document = json.loads(text)
    return State(
        step=int(document["step"]),
        population=tuple(_evaluation_from_json(item, space) for item in document["population"]),
        rng=dict(document["rng"]),
        reference_ms=float(document["reference_ms"]),
        history=tuple(GenerationRecord(**record) for record in document["history"]),
    )


def _as_dict(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _evaluation_to_json(evaluation: Evaluation[G], space: SearchSpace[G]) -> dict[str, Any]:
    # JSON has no infinity: a violation that nobody can tell is written as null.
    violation = evaluation.violation if math.isfinite(evaluation.violation) else None
    return _as_dict(evaluation) | {"genotype": space.encode(evaluation.genotype), "violation": violation}


def _evaluation_from_json(item: Mapping[str, Any], space: SearchSpace[G]) -> Evaluation[G]:
    violation = math.inf if item["violation"] is None else float(item["violation"])
    return Evaluation(**dict(item) | {"genotype": space.decode(item["genotype"]), "violation": violation})
