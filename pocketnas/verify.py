"""Owns what happens after a search: measure, train, measure again, export, and say what came of it.

Candidates are first measured untrained, since latency does not depend on the values of weights, so that no
training is spent on what is too slow.  The finalists are measured a second time with their trained
weights, and that is the number in the result: the first one chose them, and so tends to be too low.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pocketnas._observer import Observer, WarningsOnce
from pocketnas._records import (
    baseline_record,
    data_info,
    finalist_record,
    kernel_costs,
    predictor_info,
    processor_check,
)
from pocketnas.baselines import FAMILIES, Rival, Scaled, choose_rivals, scale_to
from pocketnas.contest import Contest, Decided, Tried
from pocketnas.export import export_networks
from pocketnas.finalists import ToTrain, Trainer, epochs_for, load_teacher
from pocketnas.front import FoundFront, SearchedDevice, SearchedTarget, space_for
from pocketnas.learning import require_runtime
from pocketnas.measuring import STORE_NAME, Bench, trained_label
from pocketnas.result import Baseline, Choice, DeviceResult, Finalist, SearchResult, TrainingInfo
from predictor import NetworkPredictor
from profiler.devices import Device
from profiler.errors import ConfigError
from profiler.measure import Measurement, Protocol
from profiler.network import Network
from profiler.store import Store
from search.engine import Engine, InProcess
from search.images import ImageData
from search.training import TrainedNetwork, TrainingParams

TEST_IMAGES_NAME = "test_images.npz"
FINALISTS_FOLDER = "finalists"
BASELINES_FOLDER = "baselines"


@dataclass(frozen=True)
class VerifyParams:
    """Settings of a verification.

    Attributes:
        finalists: Most candidates to train for each target, >= 1.
        epochs: Epochs of each training; None for as many as the work allows.
        protocol: How candidates, finalists and known networks are measured.
        force: Whether the search may have predicted for another device.
        baselines: Most finalists that known networks are put beside; 0 for none.
        training: Settings of each training but for its epochs.
        distil: Whether all trainings also learn from the largest network of the shared weights.
    """

    finalists: int = 4
    epochs: int | None = 60
    protocol: Protocol = field(default_factory=lambda: Protocol(name="finalists", rounds=8, max_rounds=24))
    force: bool = False
    baselines: int = 0
    training: TrainingParams = field(default_factory=TrainingParams)
    distil: bool = False


def verify(
    folder: Path,
    devices: Sequence[Device],
    observer: Observer,
    params: VerifyParams,
    *,
    engine: Engine | None = None,
) -> SearchResult:
    """Measure what a search found, train and export what is fast enough, and write result.json.

    Args:
        folder: Folder of the search, with front.json and its predictors.
        devices: The devices that the search predicted for; with params.force another one for a single one.
        observer: Who is told how it goes.
        params: Settings.
        engine: Where networks are trained; in this process if None.

    Returns:
        The result, with at least one finalist for each target whose measured interval lies within the budget.

    Raises:
        InfeasibleError: For a target nothing that was found is measured within the budget.
        DeviceMismatchError: The search predicted for another device, and that is not forced.
        ConfigError: It predicted for another runtime on it, or there is no search in the folder.
        ExportMismatchError: A file computes something else than the trained network.
        TrainingError: Every training of a target went astray.
        DeviceError: A device cannot be reached; the same call goes on where it stopped.
    """
    started_s = time.monotonic()
    observer = WarningsOnce(observer)
    found = FoundFront.load(folder)
    matched = _match(folder, found, devices, observer, force=params.force)
    data = found.images.load(found.seed)
    np.savez_compressed(folder / TEST_IMAGES_NAME, images=data.test_x, labels=data.test_y)
    with Store(folder / STORE_NAME) as store:
        bench = Bench(devices, store, observer, replace(params.protocol, seed=found.seed))
        for entry in matched:
            facts = bench.facts(entry.device)
            known = entry.searched
            require_runtime(known.device, (known.runtime, known.threads), (facts.runtime, facts.threads))
        result = _Verification(folder, found, matched, data, bench, engine or InProcess(), params).run(started_s)
    result.save(folder)
    return result


@dataclass(frozen=True)
class _Matched:
    """A device of the search and the one that stands for it now, with the predictor."""

    searched: SearchedDevice
    device: str
    predictor: NetworkPredictor
    doubt: str


def _match(
    folder: Path, found: FoundFront, devices: Sequence[Device], observer: Observer, *, force: bool
) -> list[_Matched]:
    by_name = {device.name: device for device in devices}
    searched = found.searched_on
    matched = []
    for entry in searched:
        path = folder / entry.predictor
        predictor = NetworkPredictor.load(path)
        if entry.device != predictor.device:
            raise ConfigError(f"is of {predictor.device!r}, the search of {entry.device!r}", path=path)
        only = len(searched) == 1 == len(devices)
        name = entry.device if entry.device in by_name or not only else devices[0].name
        doubt = predictor.check_device(name, force=force)
        if doubt:
            observer.warn(doubt)
        if name not in by_name:
            raise ConfigError(f"was searched for, too; give --device {name}", key=name)
        matched.append(_Matched(entry, name, predictor, doubt))
    return matched


class _Verification:
    """One verification: what it works with, and its steps."""

    def __init__(
        self,
        folder: Path,
        found: FoundFront,
        matched: Sequence[_Matched],
        data: ImageData,
        bench: Bench,
        engine: Engine,
        params: VerifyParams,
    ) -> None:
        self._folder, self._found, self._data = folder, found, data
        self._bench, self._engine, self._params = bench, engine, params
        self._matched = list(matched)
        self._tried: dict[str, Tried] = {}
        names = {entry.searched.device: entry.device for entry in matched}
        self._targets = [
            target.model_copy(update={"devices": tuple(names[device] for device in target.devices)})
            for target in found.wanted
        ]
        self._space = space_for(found.space, data)
        genotypes = {candidate.name: self._space.decode(candidate.genotype) for candidate in found.front}
        self._to_train = {
            name: ToTrain(name, self._space.lower(genotype), self._space.input_parts(genotype))
            for name, genotype in genotypes.items()
        }

    def run(self, started_s: float) -> SearchResult:
        """Take all steps and return the result."""
        first = {entry.device: self._measure_candidates(entry.device) for entry in self._matched}
        contest = Contest(self._targets, self._found.front, first, self._params.finalists)
        trainer, training = self._trainer(contest)
        decided = contest.decide(lambda names: self._train_and_measure(trainer, names))
        finalists = self._finalists(decided)
        baselines = self._baselines(finalists, decided, trainer)
        chosen = finalists[0]
        main = next(entry for entry in self._matched if entry.device == self._targets[0].devices[0])
        operators, note = self._bench.profile(chosen.device or main.device, decided.trained[chosen.name].network)
        devices = [self._device_result(entry, first[entry.device]) for entry in self._matched]
        primary = next(entry for entry in devices if entry.device == main.device)
        return SearchResult(
            pocketnas=version("pocketnas"),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            device=primary.device,
            source=primary.source,
            budget_ms=max(target.budget_ms for target in self._targets),
            budget_reason=self._found.budget_reason,
            seed=self._found.seed,
            space=self._space.identity,
            finalists=finalists,
            dropped=decided.dropped,
            front=self._found.front,
            data=data_info(self._found.data, self._data, TEST_IMAGES_NAME),
            measurement=primary.measurement,
            predictor=primary.predictor,
            generations=self._found.generations,
            kernels=kernel_costs(main.predictor, decided.trained[chosen.name].network),
            operators=operators,
            operators_note=note,
            durations_s={**self._found.durations_s, "verify": time.monotonic() - started_s},
            choices=tuple(map(_choice, self._targets, decided.ranked)),
            devices=tuple(devices) if len(devices) > 1 else (),
            baselines=baselines,
            training=training,
            algorithm=self._found.algorithm,
        )

    def _measure_candidates(self, device: str) -> dict[str, Measurement]:
        names = self._names_on(device)
        networks = {name: self._to_train[name].network for name in names}
        return self._bench.measure(device, networks, f"measuring {len(networks)} candidates", label="candidates")

    def _names_on(self, device: str) -> list[str]:
        """Return the candidates of all targets that a device is in."""
        names = (name for target in self._targets if device in target.devices for name in target.candidates)
        return list(dict.fromkeys(names))

    def _trainer(self, contest: Contest) -> tuple[Trainer, TrainingInfo]:
        """Return what trains, and how; known networks beside a finalist are taken to have as much work as it."""
        params, epochs, reason = self._params, self._params.epochs, "given by the user"
        if epochs is None:
            networks = [self._to_train[name].network for name in contest.first_tried]
            beside = networks[: params.baselines] * len(FAMILIES)
            epochs, reason = epochs_for([*networks, *beside], len(self._data.train_y))
        self._bench.observer.note(f"{epochs} epochs for each training: {reason}")
        settings = replace(params.training, epochs=epochs)
        teacher = load_teacher(self._folder) if params.distil else None
        trainer = Trainer(
            self._data,
            self._folder,
            self._bench.observer,
            self._engine,
            settings,
            seed=self._found.seed,
            teacher=teacher,
        )
        taught = f", taught by {teacher.identity[:8]}" if teacher else ""
        return trainer, TrainingInfo(epochs=epochs, reason=reason, settings=f"{settings}{taught}")

    def _train_and_measure(self, trainer: Trainer, names: Sequence[str]) -> dict[str, Tried]:
        """Train candidates and measure them with their weights; what is known already costs nothing."""
        new = [name for name in names if name not in self._tried]
        trained = trainer.train([self._to_train[name] for name in new], "finalists")
        # Others may have the devices while we train.
        networks = {name: found.network for name, found in trained.items() if isinstance(found, TrainedNetwork)}
        measured: dict[str, dict[str, Measurement]] = {name: {} for name in new}
        for entry in self._matched:
            here = {name: networks[name] for name in self._names_on(entry.device) if name in networks}
            if here:
                title = f"measuring {len(here)} finalists again"
                found = self._bench.measure(entry.device, here, title, label=trained_label(here))
                for name, measurement in found.items():
                    measured[name][entry.device] = measurement
        self._tried |= {name: Tried(trained[name], measured[name]) for name in new}
        return {name: self._tried[name] for name in names}

    def _finalists(self, decided: Decided) -> tuple[Finalist, ...]:
        networks = {name: found.network for name, found in decided.trained.items()}
        exported = export_networks(networks, self._folder / FINALISTS_FOLDER, self._data.test_x)
        by_name = {candidate.name: candidate for candidate in self._found.front}
        return tuple(
            finalist_record(by_name[name], trained, exported[name], decided.measured[name], self._data, self._folder)
            for name, trained in decided.trained.items()
        )

    def _baselines(self, finalists: Sequence[Finalist], decided: Decided, trainer: Trainer) -> tuple[Baseline, ...]:
        """Scale known networks to finalists' latencies, train and measure them as these were."""
        first = [names[0] for names in decided.ranked]
        order = dict.fromkeys([*first, *decided.ranked[0]])
        by_name = {finalist.name: finalist for finalist in finalists}
        rivals = [_rival(by_name[name], self._targets[0].devices[0]) for name in order]
        scaled = scale_to(choose_rivals(rivals, self._params.baselines), self._data, self._lower_ends)
        networks = {entry.name: ToTrain(entry.name, entry.network) for entry in scaled}
        trained = trainer.train(list(networks.values()), "known networks to compare with") if scaled else {}
        usable = {name: found for name, found in trained.items() if isinstance(found, TrainedNetwork)}
        scaled = [entry for entry in scaled if entry.name in usable]
        exported = (
            export_networks(
                {name: found.network for name, found in usable.items()},
                self._folder / BASELINES_FOLDER,
                self._data.test_x,
            )
            if usable
            else {}
        )
        measured = self._measure_baselines(scaled, usable)
        return tuple(
            baseline_record(
                entry, usable[entry.name], exported[entry.name], measured[entry.rival.device, entry.name],
                self._data, self._folder,
            )
            for entry in scaled
        )  # fmt: skip

    def _measure_baselines(
        self, scaled: Sequence[Scaled], trained: Mapping[str, TrainedNetwork]
    ) -> dict[tuple[str, str], Measurement]:
        measured: dict[tuple[str, str], Measurement] = {}
        for device in dict.fromkeys(entry.rival.device for entry in scaled):
            here = {entry.name: trained[entry.name].network for entry in scaled if entry.rival.device == device}
            label = trained_label(here, what="baselines")
            found = self._bench.measure(device, here, f"measuring {len(here)} known networks", label=label)
            measured |= {(device, name): measurement for name, measurement in found.items()}
        return measured

    def _lower_ends(self, device: str, networks: Mapping[str, Network]) -> dict[str, float]:
        """Ask a device how long networks take at least; one that it cannot run is no baseline of any width."""
        title = f"measuring {len(networks)} widths of known networks"
        found = self._bench.measure(device, networks, title, label="widths")
        return {name: entry.low_ms if entry.verdict != "INVALID" else 0.0 for name, entry in found.items()}

    def _device_result(self, entry: _Matched, first: Mapping[str, Measurement]) -> DeviceResult:
        observer, measurement = self._bench.observer, self._bench.info(entry.device)
        other = processor_check(entry.predictor.card.processor, measurement.processor)
        if other:
            observer.warn(other)
        checks = (*measurement.checks, *filter(None, (entry.doubt, other)))
        return DeviceResult(
            device=entry.device,
            source=next(iter(first.values())).campaign.configuration.source,
            measurement=measurement.model_copy(update={"checks": checks}),
            predictor=predictor_info(
                entry.predictor,
                self._found.front,
                first,
                device=entry.searched.device,
                known=frozenset(self._found.known),
            ),
        )


def _rival(finalist: Finalist, device: str) -> Rival:
    return Rival(finalist.name, finalist.device or device, finalist.measured_ms)


def _choice(target: SearchedTarget, finalists: Sequence[str]) -> Choice:
    wanted = target.model_dump(exclude={"candidates"})
    return Choice(**wanted, chosen=finalists[0], finalists=tuple(finalists))
