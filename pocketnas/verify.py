"""Owns what happens after a search: measure, train, measure again, export, and say what came of it.

Candidates are first measured untrained, since latency does not depend on the values of weights, so that no
training is spent on what is too slow.  The finalists are measured a second time with their trained
weights, and that is the number in the result: the first one chose them, and so tends to be too low.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pocketnas._observer import Observer
from pocketnas.export import Exported, Exporter
from pocketnas.front import PREDICTOR_NAME, FoundFront
from pocketnas.profiling import measure_workloads
from pocketnas.result import (
    CalibrationPoint,
    Candidate,
    DataInfo,
    Dropped,
    Finalist,
    HeldOutAccuracy,
    KernelCost,
    MeasurementInfo,
    OperatorCost,
    PredictorInfo,
    SearchResult,
)
from predictor import Accuracy, NetworkPredictor
from predictor.errors import DeviceMismatchError
from profiler.backends import Backend, open_backend
from profiler.devices import Device
from profiler.errors import MeasurementError, RuntimeNotSupportedError
from profiler.measure import Measurement, Protocol
from profiler.network import Network
from profiler.store import Store
from profiler.workload import Workload
from search.errors import InfeasibleError
from search.images import ImageData, load_images
from search.spaces import CarsSpace
from search.training import TrainingParams, train_network

STORE_NAME = "measurements.db"
TEST_IMAGES_NAME = "test_images.npz"
FINALISTS_FOLDER = "finalists"
CHECKPOINTS_FOLDER = "training"

LOCK_WAIT_S = 60.0
"""How long to wait for another job on the device; commands of one road follow each other closely."""

_NOT_TRAINED = "within the budget, but others came first; more are trained with --finalists"
_PROFILED_RUNS = 50
_PROFILE_WARMUP_RUNS = 10


@dataclass(frozen=True)
class VerifyParams:
    """Settings of a verification.

    Attributes:
        finalists: Most candidates to train, >= 1.
        epochs: Epochs of each training.
        protocol: How candidates and finalists are measured.
    """

    finalists: int = 4
    epochs: int = 60
    protocol: Protocol = field(default_factory=lambda: Protocol(name="finalists", rounds=8, max_rounds=24))


@dataclass(frozen=True)
class _Trained:
    """A candidate with its own weights.

    Attributes:
        candidate: As the search found it.
        network: With the trained weights, batch norm folded.
        validation_accuracy: Orders the finalists.
        exported: Its files.
    """

    candidate: Candidate
    network: Network
    validation_accuracy: float
    exported: Exported


def verify(folder: Path, device: Device, observer: Observer, params: VerifyParams) -> SearchResult:
    """Measure what a search found, train and export what is fast enough, and write result.json.

    Args:
        folder: Folder of the search, with front.json and its predictor.
        device: The device that the search predicted for.
        observer: Who is told how it goes.
        params: Settings.

    Returns:
        The result, with at least one finalist whose measured interval lies within the budget.

    Raises:
        InfeasibleError: Nothing that was found is measured within the budget.
        DeviceMismatchError: The search predicted for another device.
        ExportMismatchError: A file computes something else than the trained network.
        DeviceError: The device cannot be reached; the same call goes on where it stopped.
    """
    started_s = time.monotonic()
    found = FoundFront.load(folder)
    if found.device != device.name:
        raise DeviceMismatchError(found.device, device.name)
    predictor = NetworkPredictor.load(folder / PREDICTOR_NAME)
    data = load_images(found.data, seed=found.seed)
    np.savez_compressed(folder / TEST_IMAGES_NAME, images=data.test_x, labels=data.test_y)
    space = found.space.space_for(data)
    lowered = {candidate.name: space.lower(space.decode(candidate.genotype)) for candidate in found.front}

    with open_backend(device, wait_s=LOCK_WAIT_S) as backend, Store(folder / STORE_NAME) as store:
        bench = _Bench(backend, store, observer, params.protocol, found)
        first = bench.measure(lowered, f"measuring {len(lowered)} candidates on {device.name}", label="candidates")
        within, too_slow = split_by_budget(found.front, first, found.budget_ms)
        if not within:
            raise _infeasible(found, too_slow)
        trained = _train(within[: params.finalists], space, data, folder, observer, params.epochs, found.seed)
        networks = {entry.candidate.name: entry.network for entry in trained}
        second = bench.measure(networks, f"measuring {len(trained)} finalists again", label="finalists")
        kept, missed = split_by_budget([entry.candidate for entry in trained], second, found.budget_ms)
        if not kept:
            raise _infeasible(found, missed)
        names = {candidate.name for candidate in kept}
        ranked = sorted((t for t in trained if t.candidate.name in names), key=lambda t: -t.validation_accuracy)
        operators, operators_note = bench.profile(ranked[0].network)
        measurement = bench.info()
    untrained = [_dropped(c, first[c.name], _NOT_TRAINED) for c in within[params.finalists :]]
    result = SearchResult(
        pocketnas=version("pocketnas"),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        device=device.name,
        source=backend.source,
        budget_ms=found.budget_ms,
        budget_reason=found.budget_reason,
        seed=found.seed,
        space=space.identity,
        finalists=tuple(_finalist(entry, second[entry.candidate.name], data, folder) for entry in ranked),
        dropped=(*too_slow, *missed, *untrained),
        front=found.front,
        data=_data_info(found.data, data),
        measurement=measurement,
        predictor=_predictor_info(predictor, found.front, first),
        generations=found.generations,
        kernels=_kernel_costs(predictor, ranked[0].network),
        operators=operators,
        operators_note=operators_note,
        durations_s={**found.durations_s, "verify": time.monotonic() - started_s},
    )
    result.save(folder)
    return result


def split_by_budget(
    candidates: Sequence[Candidate], measured: Mapping[str, Measurement], budget_ms: float
) -> tuple[list[Candidate], list[Dropped]]:
    """Split candidates by what the device says of them.

    Args:
        candidates: In order of preference.
        measured: Their measurements by name.
        budget_ms: The budget.

    Returns:
        Those whose measured interval lies within the budget, upper end included, in the order given; and
        the others with the reason.
    """
    within, dropped = [], []
    for candidate in candidates:
        measurement = measured[candidate.name]
        if measurement.verdict == "INVALID":
            reasons = "; ".join(str(reason) for reason in measurement.reasons)
            dropped.append(_dropped(candidate, measurement, f"could not be measured: {reasons}"))
        elif measurement.high_ms > budget_ms:
            problem = f"measured {measurement.high_ms:.3g} ms (upper end), above the budget of {budget_ms:.3g} ms"
            dropped.append(_dropped(candidate, measurement, problem))
        else:
            within.append(candidate)
    return within, dropped


def _train(
    candidates: Sequence[Candidate],
    space: CarsSpace,
    data: ImageData,
    folder: Path,
    observer: Observer,
    epochs: int,
    seed: int,
) -> list[_Trained]:
    """Train each candidate by itself, from random weights, and export it."""
    trained = []
    (folder / CHECKPOINTS_FOLDER).mkdir(exist_ok=True)
    with (
        Exporter(folder / FINALISTS_FOLDER, data.test_x) as exporter,
        observer.progress(f"training {len(candidates)} finalists") as advance,
    ):
        for place, candidate in enumerate(candidates):

            def on_epoch(epoch: int, _loss: float, before: int = place * epochs) -> None:
                advance(before + epoch + 1, epochs * len(candidates))

            done = train_network(
                space,
                space.decode(candidate.genotype),
                data,
                TrainingParams(epochs=epochs),
                seed=seed,
                checkpoint=folder / CHECKPOINTS_FOLDER / f"{candidate.name}.safetensors",
                on_epoch=on_epoch,
            )
            exported = exporter.export(done.network, candidate.name)
            trained.append(_Trained(candidate, done.network, done.validation_accuracy, exported))
    return trained


class _Bench:
    """The opened device, and how candidates are measured on it."""

    def __init__(self, backend: Backend, store: Store, observer: Observer, protocol: Protocol, found: FoundFront):
        self._backend, self._store, self._observer = backend, store, observer
        self._protocol, self._dtype = replace(protocol, seed=found.seed), found.dtype

    def measure(self, networks: Mapping[str, Network], title: str, *, label: str) -> dict[str, Measurement]:
        """Return the measurement of each network by its name."""
        workloads = {name: Workload(network, self._dtype) for name, network in networks.items()}
        found = measure_workloads(
            self._backend,
            list(workloads.values()),
            self._protocol,
            self._store,
            self._observer,
            title=title,
            label=label,
        )
        by_key = {measurement.workload.key: measurement for measurement in found}
        return {name: by_key[workload.key] for name, workload in workloads.items()}

    def profile(self, network: Network) -> tuple[tuple[OperatorCost, ...], str]:
        """Return the latency of each operator inside a network, and how it was had; or why there is none."""
        workload = Workload(network, self._dtype)
        try:
            profile = self._backend.profile_operators(workload, warmup_runs=_PROFILE_WARMUP_RUNS, runs=_PROFILED_RUNS)
        except (RuntimeNotSupportedError, MeasurementError) as error:
            return (), f"Not available: {error}"
        facts = self._backend.facts()
        costs = tuple(OperatorCost(name=o.name, kind=o.kind, mean_ms=o.mean_ms) for o in profile.operators)
        note = (
            f"Mean of {_PROFILED_RUNS} runs by the profiler of {facts.runtime} {facts.runtime_version}; profiling "
            f"itself takes time, so the whole ran in {profile.end_to_end_ms:.3g} ms."
        )
        return costs, note

    def info(self) -> MeasurementInfo:
        """Return where and how was measured."""
        facts, protocol = self._backend.facts(), self._protocol
        return MeasurementInfo(
            processor=facts.processor,
            system=facts.system,
            runtime=facts.runtime,
            runtime_version=facts.runtime_version,
            threads=facts.threads,
            accelerator=facts.accelerator,
            dtype=self._dtype,
            protocol=(
                f"{protocol.rounds} to {protocol.max_rounds} rounds in shuffled order, in each "
                f"{protocol.runs_per_block} runs after {protocol.warmup_runs} for warm-up, corrected for drift by two "
                "reference kernels timed before and after"
            ),
            interval="95 % bootstrap interval of the median over rounds",
            checks=tuple(f"{check.id}: {check.detail}" for check in self._backend.checks()),
        )


def _infeasible(found: FoundFront, dropped: Sequence[Dropped]) -> InfeasibleError:
    constraint = f"measured latency (upper end) <= {found.budget_ms:g} ms on {found.device}"
    closest, gap_ms = f"none could be measured, since {dropped[0].reason}", math.inf
    for drop in dropped:
        if drop.measured_high_ms is not None and drop.measured_high_ms - found.budget_ms < gap_ms:
            closest, gap_ms = drop.name, drop.measured_high_ms - found.budget_ms
    return InfeasibleError(constraint, closest=closest, gap=gap_ms, tries=len(dropped))


def _dropped(candidate: Candidate, measurement: Measurement, reason: str) -> Dropped:
    ran = measurement.interval is not None
    return Dropped(
        **candidate.model_dump(),
        reason=reason,
        measured_ms=measurement.median_ms if ran else None,
        measured_low_ms=measurement.low_ms if ran else None,
        measured_high_ms=measurement.high_ms if ran else None,
    )


def _finalist(entry: _Trained, measurement: Measurement, data: ImageData, folder: Path) -> Finalist:
    cost = entry.network.cost()
    return Finalist(
        **entry.candidate.model_dump(),
        tflite=entry.exported.paths["tflite"].relative_to(folder).as_posix(),
        onnx=entry.exported.paths["onnx"].relative_to(folder).as_posix(),
        accuracy=float((entry.exported.outputs.argmax(axis=1) == data.test_y).mean()),
        validation_accuracy=entry.validation_accuracy,
        measured_ms=measurement.median_ms,
        measured_low_ms=measurement.low_ms,
        measured_high_ms=measurement.high_ms,
        macs=cost.macs,
        parameters=cost.parameters,
        largest_difference=entry.exported.largest_difference,
    )


def _predictor_info(
    predictor: NetworkPredictor, front: Sequence[Candidate], first: Mapping[str, Measurement]
) -> PredictorInfo:
    card = predictor.card
    calibration = tuple(
        CalibrationPoint(
            name=candidate.name,
            predicted_ms=candidate.predicted_ms,
            predicted_low_ms=candidate.predicted_low_ms,
            predicted_high_ms=candidate.predicted_high_ms,
            measured_ms=first[candidate.name].median_ms,
            measured_low_ms=first[candidate.name].low_ms,
            measured_high_ms=first[candidate.name].high_ms,
        )
        for candidate in front
        if first[candidate.name].verdict != "INVALID"
    )
    return PredictorInfo(
        kernels=sum(family.rows for family in card.families),
        networks=card.networks.cases,
        held_out=(
            *(_held_out(f"kernels of {family.family}", family.rows, family.held_out) for family in card.families),
            _held_out("whole networks", card.networks.cases, card.networks),
        ),
        nominal_coverage=card.nominal_coverage,
        calibration=calibration,
    )


def _held_out(what: str, rows: int, figures: Accuracy) -> HeldOutAccuracy:
    return HeldOutAccuracy(
        what=what,
        rows=rows,
        mape_percent=figures.mape_percent,
        within_10_percent=figures.within_10_percent,
        coverage=figures.coverage,
    )


def _kernel_costs(predictor: NetworkPredictor, network: Network) -> tuple[KernelCost, ...]:
    shares = predictor.predict(network).kernels
    return tuple(
        KernelCost(kernel=share.kernel, predicted_ms=share.latency_ms, in_domain=share.in_domain) for share in shares
    )


def _data_info(name: str, data: ImageData) -> DataInfo:
    return DataInfo(
        name=name,
        classes=data.classes,
        train_images=len(data.train_y),
        validation_images=len(data.val_y),
        test_images=len(data.test_y),
        test_file=TEST_IMAGES_NAME,
    )
