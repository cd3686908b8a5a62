"""Owns one search from a predictor and images to front.json: the settings, the budget, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pocketnas._observer import Observer
from pocketnas.front import PREDICTOR_NAME, FoundFront, SpaceSettings
from pocketnas.result import Candidate, Generation
from predictor import NetworkPredictor
from search.algorithms import Cars, EvolutionParams
from search.assessment import LatencyPredictor
from search.constraints import LatencyBudget
from search.errors import SearchError
from search.front import FrontMember
from search.images import ImageData
from search.outcome import choose_finalists
from search.run import SearchProgress, run_search
from search.space import SearchSpace
from search.state import GenerationRecord
from search.supernet import Supernet, SupernetParams

_BUDGET_SHARE = 0.4
_BUDGET_SAMPLES = 200


@dataclass(frozen=True)
class SearchParams:
    """Settings of a search.

    Attributes:
        evolution: Of CARS.
        batch_size: Images a parameter step of the shared weights.
        candidates: Most architectures to keep for measuring, >= 1.
    """

    evolution: EvolutionParams = field(
        default_factory=lambda: EvolutionParams(population=32, generations=20, warmup_epochs=40, generation_epochs=4)
    )
    batch_size: int = 32
    candidates: int = 16


@dataclass(frozen=True)
class Budget:
    """A latency budget and where it comes from.

    Attributes:
        budget_ms: The budget.
        reason: Who chose it, and how.
    """

    budget_ms: float
    reason: str = "given by the user"


def typical_budget(predictor: LatencyPredictor, space: SearchSpace[Any], rng: np.random.Generator) -> Budget:
    """Choose a budget that shuts out most of a space but leaves enough to choose from.

    Args:
        predictor: Predicts the space's networks.
        space: The space.
        rng: Draws the networks.

    Returns:
        What 40 % of 200 random networks keep to with the upper end of their predicted interval.

    Raises:
        SearchError: The predictor has no evidence on any of them.
    """
    drawn = [space.lower(space.sample(rng)) for _ in range(_BUDGET_SAMPLES)]
    # One network with a kernel that nobody measured is left out, as the search leaves it out; it is no reason to end.
    predictions = predictor.predict_many(drawn, allow_unknown=True)
    upper_ms = [prediction.high_ms for prediction in predictions if prediction.in_domain]
    if not upper_ms:
        raise SearchError("the predictor has no evidence on networks of this space; profile the space first")
    budget_ms = float(f"{np.quantile(upper_ms, _BUDGET_SHARE):.3g}")
    return Budget(budget_ms, f"{100 * _BUDGET_SHARE:.0f} % of random networks are predicted to keep to it")


def search(
    predictor: NetworkPredictor,
    settings: SpaceSettings,
    data: ImageData,
    data_name: str,
    budget: Budget,
    folder: Path,
    observer: Observer,
    params: SearchParams,
    *,
    seed: int,
    durations_s: Mapping[str, float] | None = None,
) -> FoundFront:
    """Search a space under a budget and write front.json and the predictor beside it.

    A folder that holds an unfinished search of the same settings is gone on with.

    Args:
        predictor: Tells latency.
        settings: The space.
        data: Images to learn from and to rank by.
        data_name: What load_images made them of.
        budget: The latency budget.
        folder: Where everything goes; made when missing.
        observer: Who is told how it goes.
        params: Settings.
        seed: Fixes every random choice.
        durations_s: How long the steps before this one took, by name.

    Raises:
        InfeasibleError: No architecture keeps to the budget.
        CheckpointError: The folder holds another search.
        SearchError: The space does not fit the images, or the predictor knows nothing of it.
    """
    if predictor.dtype != "float32":
        raise SearchError(f"the predictor is of {predictor.dtype} networks; profile and fit float32 ones to search")
    started_s = time.monotonic()
    space, evolution = settings.space_for(data), params.evolution
    training = SupernetParams(epochs=evolution.epochs, batch_size=params.batch_size)
    supernet = Supernet(space, data, training, seed=seed)
    constraint = LatencyBudget(budget.budget_ms)
    with observer.progress(f"searching under {budget.budget_ms:.3g} ms on {predictor.device}") as advance:

        def on_step(progress: SearchProgress) -> None:
            advance(progress.step, progress.steps)

        outcome = run_search(
            Cars(space, evolution),
            supernet,
            {predictor.device: predictor},
            constraint,
            seed=seed,
            run_dir=folder,
            progress=on_step,
        )
    chosen = choose_finalists(outcome, params.candidates)
    on_front = {member.network_key for member in outcome.front}
    predictor.save(folder / PREDICTOR_NAME)
    found = FoundFront(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        device=predictor.device,
        runtime=predictor.runtime,
        threads=predictor.threads,
        budget_ms=budget.budget_ms,
        budget_reason=budget.reason,
        seed=seed,
        data=data_name,
        space=settings,
        front=tuple(_candidate(member, space, on_front) for member in chosen),
        generations=tuple(_generation(record) for record in outcome.history),
        durations_s={**(durations_s or {}), "search": time.monotonic() - started_s},
    )
    found.save(folder)
    return found


def _candidate(member: FrontMember[Any], space: SearchSpace[Any], on_front: Set[str]) -> Candidate:
    latency = member.latency()
    return Candidate(
        name=f"cars-{member.network_key[:8]}",
        genotype=space.encode(member.genotype),
        network_key=member.network_key,
        search_accuracy=member.accuracy,
        predicted_ms=latency.latency_ms,
        predicted_low_ms=latency.low_ms,
        predicted_high_ms=latency.high_ms,
        on_front=member.network_key in on_front,
    )


def _generation(record: GenerationRecord) -> Generation:
    return Generation(
        generation=record.generation,
        evaluated=record.evaluated,
        feasible=record.feasible,
        front_size=record.front_size,
        hypervolume=record.hypervolume,
        best_accuracy=record.best_accuracy,
    )
