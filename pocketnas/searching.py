"""Owns one search from predictors and images to front.json: the settings, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pocketnas._observer import Observer
from pocketnas.effort import scoring_data
from pocketnas.feedback import DeviceFeedback
from pocketnas.finalists import TEACHER_NAME
from pocketnas.front import PREDICTOR_NAME, FoundFront, ImageChoice, SearchedDevice, SearchedTarget, space_for
from pocketnas.learning import require_float32
from pocketnas.result import Candidate, DevicePrediction, Generation, Target
from pocketnas.targets import AnyOf, Wish
from predictor import NetworkPredictor
from search.algorithms import ALGORITHMS, Algorithm, Cars, EvolutionParams
from search.closed_loop import ClosedLoop
from search.constraints import Constraint
from search.distillation import Teacher, largest_teacher
from search.engine import Engine
from search.front import FrontMember, ParetoFront
from search.images import ImageData
from search.log import SearchLog
from search.objectives import Objective
from search.outcome import SearchOutcome, choose_finalists
from search.progress import SearchProgress
from search.run import run_search
from search.space import SearchSpace
from search.spaces.settings import SpaceSettings
from search.state import GenerationRecord
from search.supernet import Supernet, SupernetParams

TARGETS_FOLDER = "targets"
EVENTS_FOLDER = "tensorboard"


_LEAST_CANDIDATES = 6
"""Of each target where there are several."""


@dataclass(frozen=True)
class SearchParams:
    """Settings of a search.

    Attributes:
        algorithm: Name of what searches.
        evolution: Sizes of the search: of CARS as they are, of the others as far as they have them.
        supernet: Of the shared weights; its epochs follow from the evolution's.
        candidates: Most architectures to keep for measuring, >= 1.
        objectives: What is minimised beside accuracy; none for the latency on each device.
        scoring_images: Most validation images that candidates are scored on; None for all.
        rounds: Most rounds of the closed loop where there are devices; 0 for none.
        tensorboard: Whether event files are written beside the log.
    """

    algorithm: str = "cars"
    evolution: EvolutionParams = field(
        default_factory=lambda: EvolutionParams(population=32, generations=20, warmup_epochs=40, generation_epochs=4)
    )
    supernet: SupernetParams = field(default_factory=SupernetParams)
    candidates: int = 16
    objectives: tuple[Objective, ...] = ()
    scoring_images: int | None = None
    rounds: int = 0
    tensorboard: bool = False


@dataclass(frozen=True)
class SearchTask:
    """What is searched.

    Attributes:
        settings: The space.
        images: Images to learn from and to rank by.
        data: These images.
        wish: Devices and budgets, as they were asked for.
        targets: What networks are wanted.
        seed: Fixes every random choice.
    """

    settings: SpaceSettings
    images: ImageChoice
    data: ImageData
    wish: Wish
    targets: tuple[Target, ...]
    seed: int


def search(
    predictors: Mapping[str, NetworkPredictor],
    task: SearchTask,
    folder: Path,
    observer: Observer,
    params: SearchParams,
    *,
    feedback: DeviceFeedback | None = None,
    engine: Engine | None = None,
    durations_s: Mapping[str, float] | None = None,
) -> FoundFront:
    """Search a space for its targets and write front.json and the predictors beside it.

    The shared weights are trained once, for all targets. Where there are several, architectures are then looked for
    under these weights for each target by itself. A folder that holds an unfinished search of the same settings is
    gone on with.

    Args:
        predictors: Tell latency, by device.
        task: What is searched.
        folder: Where everything goes; made when missing.
        observer: Who is told how it goes.
        params: Settings.
        feedback: Measures on the way; None to go by the predictors as they are.
        engine: Where candidates are scored; in this process if None.
        durations_s: How long the steps before this one took, by name.

    Raises:
        InfeasibleError: No architecture keeps to the constraint of a target.
        CheckpointError: The folder holds another search.
        SearchError: The space does not fit the images, or a predictor knows nothing of it.
    """
    for predictor in predictors.values():
        require_float32(predictor)
    started_s = time.monotonic()
    run = _Run(dict(predictors), task, folder, observer, params, feedback, engine)
    outcome = run.train_and_search()
    holding = dict(predictors if feedback is None else feedback.predictors)
    members = [run.members_for(target, outcome, holding) for target in task.targets]
    found = FoundFront(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        data=task.images.name,
        resolution=task.images.resolution,
        limit_images=task.images.limit,
        space=task.settings,
        seed=task.seed,
        algorithm=params.algorithm,
        **_about(task.targets, holding, folder),
        **_candidates(members, task, run.space, params.candidates),
        generations=tuple(_generation(record) for record in outcome.history),
        durations_s={**(durations_s or {}), "search": time.monotonic() - started_s},
        known=() if feedback is None else feedback.known,
    )
    run.teacher().save(folder / TEACHER_NAME)
    found.save(folder)
    return found


class _Run:
    """The parts that all searches of one folder share: the space and its shared weights."""

    def __init__(
        self,
        predictors: Mapping[str, NetworkPredictor],
        task: SearchTask,
        folder: Path,
        observer: Observer,
        params: SearchParams,
        feedback: DeviceFeedback | None,
        engine: Engine | None,
    ) -> None:
        self._predictors, self._task, self._folder = predictors, task, folder
        self._observer, self._params, self._feedback = observer, params, feedback
        self.space = space_for(task.settings, task.data)
        training = replace(params.supernet, epochs=params.evolution.epochs)
        scored_on = scoring_data(task.data, params.scoring_images)
        self._supernet = Supernet(self.space, scored_on, training, seed=task.seed, engine=engine)
        latencies = tuple(Objective("latency_ms", device if len(predictors) > 1 else None) for device in predictors)
        self._objectives = params.objectives or latencies

    def train_and_search(self) -> SearchOutcome[Any]:
        """Train the shared weights while searching for what any target can use."""
        constraints = tuple(self._constraint(target) for target in self._task.targets)
        constraint = constraints[0] if len(constraints) == 1 else AnyOf(constraints)
        loop = None
        if self._feedback is not None and self._params.rounds:
            loop = ClosedLoop(self._feedback, every=self._every, rounds=self._params.rounds)
        wanted = ", ".join(target.describe() for target in self._task.targets)
        title = f"searching for {wanted}"
        algorithm = ALGORITHMS[self._params.algorithm](self.space, self._params.evolution, self._objectives)
        return self._search(algorithm, constraint, self._predictors, self._folder, title, loop)

    def members_for(
        self, target: Target, outcome: SearchOutcome[Any], predictors: Mapping[str, NetworkPredictor]
    ) -> SearchOutcome[Any]:
        """Return what was found for one target.

        Where there are several, another evolution of the same shared weights, which no longer learn, looks for more.
        """
        if len(self._task.targets) == 1:
            return outcome
        evolution = replace(self._params.evolution, warmup_epochs=0, generation_epochs=0, protected=False)
        place = self._task.targets.index(target)
        constraint = self._constraint(target)
        own = self._search(
            Cars(self.space, evolution, self._objectives),
            constraint,
            predictors,
            self._folder / TARGETS_FOLDER / str(place),
            f"searching for {target.describe()}",
            None,
        )
        shared = [
            member for member in outcome.population if constraint.violation(member.assessment, member.accuracy) == 0
        ]
        members = tuple({member.network_key: member for member in (*shared, *own.population)}.values())
        return replace(own, population=members, front=ParetoFront.of(members, self._objectives))

    def teacher(self) -> Teacher:
        """Return the space's largest network with the shared weights as they are now."""
        return largest_teacher(self._supernet, self.space)

    @property
    def _every(self) -> int:
        """Generations between rounds: the last round leaves time to go on under what it taught."""
        return max(self._params.evolution.generations // (self._params.rounds + 1), 1)

    def _constraint(self, target: Target) -> Constraint:
        return self._task.wish.constraint(target, devices=len(self._predictors))

    def _search(
        self,
        algorithm: Algorithm[Any],
        constraint: Constraint,
        predictors: Mapping[str, NetworkPredictor],
        folder: Path,
        title: str,
        loop: ClosedLoop | None,
    ) -> SearchOutcome[Any]:
        events = folder / EVENTS_FOLDER if self._params.tensorboard else None
        with SearchLog(folder, tensorboard=events) as log, self._observer.search(title) as show:

            def on_step(progress: SearchProgress) -> None:
                log.on_step(progress)
                show(progress)

            return run_search(
                algorithm,
                self._supernet,
                predictors,
                constraint,
                seed=self._task.seed,
                run_dir=folder,
                loop=loop,
                progress=on_step,
            )


def _about(targets: Sequence[Target], predictors: Mapping[str, NetworkPredictor], folder: Path) -> dict[str, Any]:
    """Save the predictors and return what front.json says of devices and budgets."""
    devices = []
    for place, (device, predictor) in enumerate(predictors.items()):
        name = PREDICTOR_NAME if place == 0 else f"predictor-{place + 1}.safetensors"
        predictor.save(folder / name)
        devices.append(
            SearchedDevice(device=device, runtime=predictor.runtime, threads=predictor.threads, predictor=name)
        )
    first = devices[0]
    return {
        "device": first.device,
        "runtime": first.runtime,
        "threads": first.threads,
        "devices": tuple(devices),
        "budget_ms": targets[0].budget_ms,
        "budget_reason": targets[0].budget_reason,
    }


def _candidates(
    outcomes: Sequence[SearchOutcome[Any]], task: SearchTask, space: SearchSpace[Any], most: int
) -> dict[str, Any]:
    """Return what front.json says of candidates and targets; a network for several targets is one candidate."""
    devices_of: dict[str, dict[str, None]] = {}
    members: dict[str, FrontMember[Any]] = {}
    targets = []
    most = max(most // len(outcomes), min(most, _LEAST_CANDIDATES))
    on_front: set[str] = set()
    for target, outcome in zip(task.targets, outcomes, strict=True):
        chosen = choose_finalists(outcome, most)
        on_front |= {member.network_key for member in outcome.front}
        for member in chosen:
            members.setdefault(member.network_key, member)
            devices_of.setdefault(member.network_key, {}).update(dict.fromkeys(target.devices))
        names = tuple(_name(member, task) for member in chosen)
        targets.append(SearchedTarget(**target.model_dump(), candidates=names))
    front = tuple(_candidate(member, space, task, on_front, devices_of[key]) for key, member in members.items())
    return {"front": front, "targets": tuple(targets)}


def _name(member: FrontMember[Any], task: SearchTask) -> str:
    return f"{task.settings.kind}-{member.network_key[:8]}"


def _candidate(
    member: FrontMember[Any], space: SearchSpace[Any], task: SearchTask, on_front: Set[str], devices: Iterable[str]
) -> Candidate:
    latencies = member.assessment.latencies
    slowest = max((latencies[device] for device in devices), key=lambda latency: latency.high_ms)
    several = tuple(
        DevicePrediction(
            device=device,
            predicted_ms=latency.latency_ms,
            predicted_low_ms=latency.low_ms,
            predicted_high_ms=latency.high_ms,
        )
        for device, latency in latencies.items()
    )
    return Candidate(
        name=_name(member, task),
        genotype=space.encode(member.genotype),
        network_key=member.network_key,
        search_accuracy=member.accuracy,
        predicted_ms=slowest.latency_ms,
        predicted_low_ms=slowest.low_ms,
        predicted_high_ms=slowest.high_ms,
        on_front=member.network_key in on_front,
        predictions=several if len(several) > 1 else (),
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
