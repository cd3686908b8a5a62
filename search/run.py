"""Owns a whole search: start or resume, step by step to the end, and what comes out of it.

The algorithm decides, the accuracy source learns and scores, the predictor tells latency; this module
takes them through the steps and writes a checkpoint after each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic

import numpy as np
from filelock import FileLock, Timeout

from search.accuracy import AccuracySource
from search.algorithms.base import Algorithm
from search.assessment import Assessor, LatencyPredictor, device_named
from search.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from search.closed_loop import ClosedLoop, choose_to_measure
from search.constraints import Constraint
from search.errors import CheckpointError, SearchError
from search.feasibility import Screen, find_feasible
from search.front import FrontMember, ParetoFront
from search.history import record_generation
from search.objectives import Objective
from search.outcome import SearchOutcome
from search.progress import Pace, SearchProgress
from search.space import G
from search.state import Evaluation, State, rng_state

CHECKPOINT_NAME = "search.safetensors"
"""The checkpoint inside a run folder."""

TRIES_PER_INDIVIDUAL = 20
"""Architectures looked at for each individual wanted before a constraint is called infeasible."""

_SAME_LATENCY = 1e-6
"""Relative difference up to which two predictions of a network are of one predictor."""


def run_search(
    algorithm: Algorithm[G],
    source: AccuracySource[G],
    predictors: Mapping[str, LatencyPredictor],
    constraint: Constraint,
    *,
    seed: int,
    run_dir: Path,
    tries: int | None = None,
    loop: ClosedLoop | None = None,
    progress: Callable[[SearchProgress], None] | None = None,
) -> SearchOutcome[G]:
    """Search for accurate architectures that keep to a constraint, or go on with a search that was stopped.

    A folder that holds a checkpoint of the same search is resumed: the front is the one that an
    uninterrupted run gives, wherever it was stopped.  A KeyboardInterrupt passes through and loses at
    most the step that was under way.

    Args:
        algorithm: What to try, and what to keep.
        source: Learns and scores; a new one of the same settings when a search is resumed.
        predictors: By device, tell the latency of architectures.
        constraint: What they must keep to.
        seed: Of everything random in the search, >= 0.
        run_dir: Folder of the checkpoint; made when missing.
        tries: Most architectures to look at for feasible ones to start from; by default 20 for each
            individual of the population.
        loop: How the search is held to its devices; None to go by the predictors alone.
        progress: Called after each step.

    Returns:
        The front and the population of the last generation.

    Raises:
        InfeasibleError: None of the architectures looked at keeps to the constraint.
        CheckpointError: The folder holds another search, is in use, or cannot be written.
        ConfigError: An objective or a limit is of a device without a predictor.
        SchemaMismatchError: Another version wrote the checkpoint.
        SearchError: The predictor has no evidence on any architecture of the space, or no candidate of a
            generation has a finite accuracy.
    """
    screen = _screen(algorithm, predictors, constraint)
    most = TRIES_PER_INDIVIDUAL * algorithm.population_size if tries is None else tries
    with _hold(run_dir):
        search = _Search(algorithm, source, screen, loop, seed, run_dir / CHECKPOINT_NAME)
        state = search.resume()
        if state is None:
            state = search.start(most)
        pace = Pace()
        state = search.measure_if_due(state)
        while state.step < algorithm.steps:
            generations = len(state.history)
            state, loss = search.step(state)
            search.save(state)
            state = search.measure_if_due(state)
            record = state.history[-1] if len(state.history) > generations else None
            elapsed_s, eta_s = pace.mark("learn" if record is None else "generation", algorithm.steps - state.step)
            if progress is not None:
                counts = state.dropped, sum(map(len, state.measured))
                progress(SearchProgress(state.step, algorithm.steps, record, loss, elapsed_s, eta_s, *counts))
        return search.outcome(state)


@dataclass
class _Search(Generic[G]):
    """The parts of one search, and its steps; what judges candidates is replaced when the loop learns."""

    algorithm: Algorithm[G]
    source: AccuracySource[G]
    screen: Screen[G]
    loop: ClosedLoop | None
    seed: int
    path: Path

    def start(self, tries: int) -> State[G]:
        rng = np.random.default_rng(self.seed)
        population = find_feasible(self.screen, self.algorithm.population_size, tries, rng)
        state = self.algorithm.start(population, self._reference(population), rng)
        self.save(state)
        return state

    def _reference(self, population: Sequence[Evaluation[G]]) -> list[float]:
        """Where the hypervolume's box ends: at the limit, or at the costliest of the first feasible individuals."""
        bounds = _on_devices(self.screen.constraint.bounds, self.screen.assessor)
        feasible = [individual for individual in population if individual.feasible]
        return [
            bounds.get(_on_device(objective, self.screen.assessor))
            or max(individual.value(objective) for individual in feasible)
            for objective in self.algorithm.objectives
        ]

    def resume(self) -> State[G] | None:
        checkpoint = read_checkpoint(self.path, self._identity, self.algorithm.space)
        if checkpoint is None:
            return None
        for genotypes in checkpoint.state.measured:
            self._learn_from(genotypes)
        population = checkpoint.state.population
        judged = self.screen.judge([individual.genotype for individual in population])
        devices = [tuple(item.assessment.latencies) for item in (judged[0], population[0])]
        if devices[0] != devices[1] or not np.allclose(
            _predicted(judged), _predicted(population), rtol=_SAME_LATENCY, atol=0
        ):
            raise CheckpointError(self.path, "was made with another predictor; resume with that one or start anew")
        self.source.restore(checkpoint.arrays)
        return checkpoint.state

    def save(self, state: State[G]) -> None:
        write_checkpoint(self.path, Checkpoint(self._identity, state, self.source.state()), self.algorithm.space)

    def measure_if_due(self, state: State[G]) -> State[G]:
        """Make a round of the closed loop where one is due, and judge the population by what it taught.

        Until the round is in a checkpoint nothing of it is in the state: a round that is cut off is made again, and
        measures the same architectures.
        """
        if self.loop is None or not self.loop.due(state):
            return state
        known = {genotype.key for genotypes in state.measured for genotype in genotypes}
        chosen = choose_to_measure(state.population, self.loop.networks, self.algorithm.objectives, known)
        self._learn_from(chosen)
        population = self._score_new(self.screen.judge_again(state.population))
        state = replace(state, population=tuple(population), measured=(*state.measured, tuple(chosen)))
        self.save(state)
        return state

    def _score_new(self, population: Sequence[Evaluation[G]]) -> list[Evaluation[G]]:
        """Give those that new predictions let in an accuracy; how fast it grows is seen in the next generation."""
        new = [one.genotype for one in population if one.feasible and one.accuracy is None]
        accuracies = dict(zip((genotype.key for genotype in new), self._evaluate(new), strict=True))
        growth = 0.0 if self.algorithm.needs_growth else None
        return [
            self.screen.score(one, accuracy, growth)
            if np.isfinite(accuracy := accuracies.get(one.genotype.key, np.nan))
            else one
            for one in population
        ]

    def _learn_from(self, genotypes: Sequence[G]) -> None:
        """Judge from now on by the predictors that hold once some genotypes were measured."""
        if self.loop is None or not genotypes:
            return
        devices = self.screen.assessor.devices
        predictors = self.loop.feedback.measure([self.algorithm.space.lower(genotype) for genotype in genotypes])
        if set(predictors) != set(devices):
            found, wanted = ", ".join(sorted(predictors)), ", ".join(sorted(devices))
            raise SearchError(f"the closed loop learned of {found}, but the search is of {wanted}")
        ordered = {device: predictors[device] for device in devices}
        self.screen = replace(self.screen, assessor=self.screen.assessor.under(ordered))

    def step(self, state: State[G]) -> tuple[State[G], float]:
        candidates, state = self.algorithm.ask(state, self.screen)
        judged = self.screen.judge(candidates)
        before = self._accuracy_before(state, judged) if self.algorithm.needs_growth else {}
        learning, rng = self.algorithm.learning(state), state.generator()
        loss = self.source.learn(learning.draw, epochs=learning.epochs, rng=rng)
        state = replace(state, rng=rng_state(rng))
        evaluations = self._score(judged, before)
        dropped = len(judged) - len(evaluations)
        told = self.algorithm.tell(replace(state, dropped=state.dropped + dropped), evaluations)
        if dropped and not any(individual.accuracy is not None for individual in told.population):
            raise SearchError(f"none of {dropped} candidates has a finite accuracy; lower the learning rate")
        if not candidates:
            return told, loss
        evaluated = sum(evaluation.accuracy is not None for evaluation in evaluations)
        record = record_generation(told, evaluated, self.algorithm.objectives)
        return replace(told, history=(*told.history, record)), loss

    def _accuracy_before(self, state: State[G], judged: Sequence[Evaluation[G]]) -> Mapping[str, float]:
        """Accuracies of the feasible candidates before the source learns, by the genotype's key.

        Survivors of the last generation were scored under these very weights; only the others are scored now.
        """
        known = {
            individual.genotype.key: individual.accuracy
            for individual in state.population
            if individual.accuracy is not None
        }
        unknown = [item.genotype for item in judged if item.feasible and item.genotype.key not in known]
        accuracies = self._evaluate(unknown)
        return known | {genotype.key: accuracy for genotype, accuracy in zip(unknown, accuracies, strict=True)}

    def _score(self, judged: Sequence[Evaluation[G]], before: Mapping[str, float]) -> list[Evaluation[G]]:
        """Fill in accuracy, and growth where it is needed, of the feasible candidates.

        A candidate whose accuracy is not finite is left out.
        """
        feasible = [item.genotype for item in judged if item.feasible]
        accuracies = dict(zip((genotype.key for genotype in feasible), self._evaluate(feasible), strict=True))
        scored = []
        for item in judged:
            if not item.feasible:
                scored.append(item)
                continue
            accuracy = accuracies[item.genotype.key]
            if np.isfinite(accuracy):
                growth = _growth(accuracy, before[item.genotype.key]) if self.algorithm.needs_growth else None
                scored.append(self.screen.score(item, accuracy, growth))
        return scored

    def _evaluate(self, genotypes: Sequence[G]) -> list[float]:
        return [float(accuracy) for accuracy in self.source.evaluate(genotypes)] if genotypes else []

    def outcome(self, state: State[G]) -> SearchOutcome[G]:
        constraint, space = self.screen.constraint, self.algorithm.space
        members = tuple(
            FrontMember(one.genotype, space.lower(one.genotype).key, one.accuracy, one.assessment)
            for one in state.population
            if one.feasible and one.accuracy is not None
        )
        if not members:
            closest = min(state.population, key=lambda individual: individual.violation)
            if closest.feasible:
                raise SearchError("no architecture within the limits has a finite accuracy; lower the learning rate")
            self.screen.refuse(closest, len(state.population))
        front = ParetoFront.of(members, self.algorithm.objectives)
        return SearchOutcome(
            front, members, state.history, constraint, self.seed, space.identity, state.measured, state.dropped
        )

    @property
    def _identity(self) -> dict[str, str]:
        return {
            **self.source.identity,
            "space": self.algorithm.space.identity,
            "algorithm": self.algorithm.identity,
            "constraint": self.screen.constraint.description,
            "closed loop": "none" if self.loop is None else self.loop.identity,
            "seed": str(self.seed),
        }


def _screen(algorithm: Algorithm[G], predictors: Mapping[str, LatencyPredictor], constraint: Constraint) -> Screen[G]:
    """Return what judges candidates, once it is sure that all it shall tell can be told.

    Raises:
        ConfigError: An objective or a limit is of a device without a predictor.
    """
    wanted = (*algorithm.objectives, *constraint.reads)
    assessor = Assessor(algorithm.space, predictors, also={objective.quantity for objective in wanted})
    for objective in wanted:
        _on_device(objective, assessor)
    return Screen(algorithm.space, assessor, constraint)


def _on_device(objective: Objective, assessor: Assessor[G]) -> Objective:
    """Return an objective with its device by name, so that the only device is equal to itself left out."""
    if objective.quantity != "latency_ms":
        return objective
    return Objective("latency_ms", device_named(objective.device, assessor.devices))


def _on_devices(bounds: Mapping[Objective, float], assessor: Assessor[G]) -> dict[Objective, float]:
    return {_on_device(objective, assessor): bound for objective, bound in bounds.items()}


def _growth(accuracy: float, before: float) -> float:
    """Return by how much accuracy grew; nothing is known to have grown where it was no number before."""
    return accuracy - before if np.isfinite(before) else 0.0


def _predicted(evaluations: Sequence[Evaluation[G]]) -> list[list[float]]:
    """Return latencies and intervals of each candidate, in ms: predictors may differ in the interval alone."""
    return [
        [number for one in item.assessment.latencies.values() for number in (one.latency_ms, one.low_ms, one.high_ms)]
        for item in evaluations
    ]


@contextmanager
def _hold(run_dir: Path) -> Iterator[None]:
    """Make the run folder and keep other searches out of it."""
    lock = FileLock(run_dir / "search.lock")
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CheckpointError(run_dir, "another search is running in this folder; choose another one") from error
    except OSError as error:
        raise CheckpointError(run_dir, f"cannot be used as a run folder: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()
