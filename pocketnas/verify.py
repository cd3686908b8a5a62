"""Owns what happens after a search: measure, train, measure again, export, and say what came of it.

Candidates are first measured untrained, since latency does not depend on the values of weights, so that no
training is spent on what is too slow.  The finalists are measured a second time with their trained
weights, and that is the number in the result: the first one chose them, and so tends to be too low.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pocketnas._observer import Observer
from pocketnas._records import (
    data_info,
    dropped_record,
    finalist_record,
    kernel_costs,
    measurement_info,
    predictor_info,
    processor_check,
)
from pocketnas.export import Exported, export_networks
from pocketnas.finalists import Trained, train_finalists
from pocketnas.front import PREDICTOR_NAME, FoundFront
from pocketnas.profiling import measure_workloads
from pocketnas.result import (
    Candidate,
    Dropped,
    MeasurementInfo,
    OperatorCost,
    SearchResult,
)
from predictor import NetworkPredictor
from profiler.backends import Backend, DeviceFacts, open_backend
from profiler.devices import Device
from profiler.errors import ConfigError, MeasurementError, RuntimeNotSupportedError
from profiler.measure import Measurement, Protocol
from profiler.network import Network
from profiler.store import Store
from profiler.workload import Source, Workload
from search.errors import InfeasibleError
from search.images import ImageData, load_images
from search.spaces import CarsSpace

STORE_NAME = "measurements.db"
TEST_IMAGES_NAME = "test_images.npz"
FINALISTS_FOLDER = "finalists"

LOCK_WAIT_S = 60.0
"""How long to wait for another job on the device; commands of one road follow each other closely."""

_NOT_TRAINED = "within the budget, but others came first; more are trained with --finalists"
_PROFILED_RUNS = 200
_PROFILE_WARMUP_RUNS = 10


@dataclass(frozen=True)
class VerifyParams:
    """Settings of a verification.

    Attributes:
        finalists: Most candidates to train, >= 1.
        epochs: Epochs of each training.
        protocol: How candidates and finalists are measured.
        force: Whether the search may have predicted for another device.
    """

    finalists: int = 4
    epochs: int = 60
    protocol: Protocol = field(default_factory=lambda: Protocol(name="finalists", rounds=8, max_rounds=24))
    force: bool = False


def verify(folder: Path, device: Device, observer: Observer, params: VerifyParams) -> SearchResult:
    """Measure what a search found, train and export what is fast enough, and write result.json.

    Args:
        folder: Folder of the search, with front.json and its predictor.
        device: The device that the search predicted for; with params.force any.
        observer: Who is told how it goes.
        params: Settings.

    Returns:
        The result, with at least one finalist whose measured interval lies within the budget.

    Raises:
        InfeasibleError: Nothing that was found is measured within the budget.
        DeviceMismatchError: The search predicted for another device, and that is not forced.
        ConfigError: It predicted for another runtime on it, or there is no search in the folder.
        ExportMismatchError: A file computes something else than the trained network.
        DeviceError: The device cannot be reached; the same call goes on where it stopped.
    """
    started_s = time.monotonic()
    found = FoundFront.load(folder)
    predictor = NetworkPredictor.load(folder / PREDICTOR_NAME)
    if found.device != predictor.device:
        raise ConfigError(f"is of {predictor.device!r}, the search of {found.device!r}", path=folder / PREDICTOR_NAME)
    foreign = predictor.check_device(device.name, force=params.force)
    data = load_images(found.data, seed=found.seed)
    np.savez_compressed(folder / TEST_IMAGES_NAME, images=data.test_x, labels=data.test_y)
    space = found.space.space_for(data)
    outcome = _measure_train_measure(found, space, data, folder, device, observer, params)
    exported = _export(outcome.ranked, folder, data)
    measurement = outcome.measurement
    for doubt in filter(None, (foreign, processor_check(predictor.card.processor, measurement.processor))):
        observer.warn(doubt)
        measurement = measurement.model_copy(update={"checks": (*measurement.checks, doubt)})
    result = SearchResult(
        pocketnas=version("pocketnas"),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        device=device.name,
        source=outcome.source,
        budget_ms=found.budget_ms,
        budget_reason=found.budget_reason,
        seed=found.seed,
        space=space.identity,
        finalists=tuple(
            finalist_record(entry, files, outcome.second[entry.candidate.name], data, folder)
            for entry, files in zip(outcome.ranked, exported, strict=True)
        ),
        dropped=outcome.dropped,
        front=found.front,
        data=data_info(found.data, data, TEST_IMAGES_NAME),
        measurement=measurement,
        predictor=predictor_info(predictor, found.front, outcome.first),
        generations=found.generations,
        kernels=kernel_costs(predictor, outcome.ranked[0].network),
        operators=outcome.operators,
        operators_note=outcome.operators_note,
        durations_s={**found.durations_s, "verify": time.monotonic() - started_s},
    )
    result.save(folder)
    return result


@dataclass(frozen=True)
class _Outcome:
    """What measuring and training brought.

    Attributes:
        source: Where the latencies come from.
        first: Measurement of every candidate, untrained, by name.
        second: Measurement of every finalist with its trained weights, by name.
        ranked: Finalists within the budget, best first.
        dropped: All other candidates, with the reason.
        operators: Latency of each operator inside the best one.
        operators_note: How that was had, or why it was not.
        measurement: Where and how was measured.
    """

    source: Source
    first: Mapping[str, Measurement]
    second: Mapping[str, Measurement]
    ranked: Sequence[Trained]
    dropped: tuple[Dropped, ...]
    operators: tuple[OperatorCost, ...]
    operators_note: str
    measurement: MeasurementInfo


def _measure_train_measure(
    found: FoundFront,
    space: CarsSpace,
    data: ImageData,
    folder: Path,
    device: Device,
    observer: Observer,
    params: VerifyParams,
) -> _Outcome:
    lowered = {candidate.name: space.lower(space.decode(candidate.genotype)) for candidate in found.front}
    protocol = replace(params.protocol, seed=found.seed)
    with Store(folder / STORE_NAME) as store:
        with open_backend(device, wait_s=LOCK_WAIT_S) as backend:
            _require_predicted_runtime(found, backend.facts())
            bench = _Bench(backend, store, observer, protocol)
            first = bench.measure(lowered, f"measuring {len(lowered)} candidates on {device.name}", label="candidates")
        within, too_slow = split_by_budget(found.front, first, found.budget_ms)
        if not within:
            raise _infeasible(found, too_slow)
        trained: list[Trained] = []
        second: dict[str, Measurement] = {}

        def train_and_measure(chosen: Sequence[Candidate]) -> tuple[list[Candidate], list[Dropped]]:
            # Others may have the device while we train.
            batch = train_finalists(chosen, space, data, folder, observer, epochs=params.epochs, seed=found.seed)
            networks = {entry.candidate.name: entry.network for entry in batch}
            with open_backend(device, wait_s=LOCK_WAIT_S) as backend:
                bench = _Bench(backend, store, observer, protocol)
                title = f"measuring {len(batch)} finalists again"
                second.update(bench.measure(networks, title, label=finalists_label(networks)))
            trained.extend(batch)
            return split_by_budget(chosen, second, found.budget_ms)

        kept, missed, rest = fill_places(within, params.finalists, train_and_measure)
        if not kept:
            raise _infeasible(found, missed)
        within_both = [entry for entry in trained if entry.candidate in kept]
        ranked = sorted(within_both, key=lambda entry: -entry.validation_accuracy)
        with open_backend(device, wait_s=LOCK_WAIT_S) as backend:
            operators, note = _Bench(backend, store, observer, protocol).profile(ranked[0].network)
            measurement = measurement_info(backend, protocol, found.dtype)
    untrained = (dropped_record(left, first[left.name], _NOT_TRAINED) for left in rest)
    dropped = (*too_slow, *missed, *untrained)
    return _Outcome(backend.source, first, second, ranked, dropped, operators, note, measurement)


def fill_places(
    candidates: Sequence[Candidate],
    places: int,
    attempt: Callable[[Sequence[Candidate]], tuple[list[Candidate], list[Dropped]]],
) -> tuple[list[Candidate], list[Dropped], list[Candidate]]:
    """Try candidates in order, as many at once as places are free, until all are taken or nobody is left.

    Args:
        candidates: In order of preference.
        places: How many are wanted.
        attempt: Says which of a batch are kept, and which dropped.

    Returns:
        Those kept, those dropped, and those that were never tried.
    """
    kept: list[Candidate] = []
    dropped: list[Dropped] = []
    waiting = list(candidates)
    while waiting and len(kept) < places:
        free = places - len(kept)
        batch, waiting = waiting[:free], waiting[free:]
        good, bad = attempt(batch)
        kept += good
        dropped += bad
    return kept, dropped, waiting


def finalists_label(networks: Mapping[str, Network]) -> str:
    """Return the label of the campaign that measures trained finalists.

    A campaign is known by structures and label, so without the weights in the label, one that is finished
    would stand for networks that were trained anew.

    Args:
        networks: With their trained weights, by name; the order does not matter.
    """
    digest = hashlib.sha256()
    for name, network in sorted(networks.items()):
        for key, weight in sorted((network.weights or {}).items()):
            digest.update(f"{name}|{key}|{weight.dtype}|{weight.shape}|".encode())
            digest.update(np.ascontiguousarray(weight).tobytes())
    return f"finalists-{digest.hexdigest()[:12]}"


def _require_predicted_runtime(found: FoundFront, facts: DeviceFacts) -> None:
    wanted, is_ = (found.runtime, found.threads), (facts.runtime, facts.threads)
    if wanted != is_:
        raise ConfigError(
            f"runs {is_[0]} with {is_[1]} thread(s), and the search was for {wanted[0]} with {wanted[1]}; "
            "change devices.yaml back, or profile and search again",
            key=found.device,
        )


def _export(trained: Sequence[Trained], folder: Path, data: ImageData) -> list[Exported]:
    networks = {entry.candidate.name: entry.network for entry in trained}
    exported = export_networks(networks, folder / FINALISTS_FOLDER, data.test_x)
    return [exported[name] for name in networks]


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
            dropped.append(dropped_record(candidate, measurement, f"could not be measured: {reasons}"))
        elif measurement.high_ms > budget_ms:
            source = measurement.campaign.configuration.source
            problem = f"{source} {measurement.high_ms:.3g} ms (upper end), above the budget of {budget_ms:.3g} ms"
            dropped.append(dropped_record(candidate, measurement, problem))
        else:
            within.append(candidate)
    return within, dropped


class _Bench:
    """The opened device, and how candidates are measured on it."""

    def __init__(self, backend: Backend, store: Store, observer: Observer, protocol: Protocol) -> None:
        self._backend, self._store, self._observer, self._protocol = backend, store, observer, protocol

    def measure(self, networks: Mapping[str, Network], title: str, *, label: str) -> dict[str, Measurement]:
        """Return the measurement of each network by its name."""
        workloads = {name: Workload(network) for name, network in networks.items()}
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
        workload = Workload(network)
        try:
            profile = self._backend.profile_operators(workload, warmup_runs=_PROFILE_WARMUP_RUNS, runs=_PROFILED_RUNS)
        except (RuntimeNotSupportedError, MeasurementError) as error:
            return (), f"Not available: {error}"
        facts = self._backend.facts()
        costs = tuple(OperatorCost(name=o.name, kind=o.kind, mean_ms=o.mean_ms) for o in profile.operators)
        note = (
            f"Mean of the calmer half of {_PROFILED_RUNS} runs by the profiler of {facts.runtime} "
            f"{facts.runtime_version}; profiling itself takes time, so the whole ran in {profile.end_to_end_ms:.3g} ms."
        )
        return costs, note


def _infeasible(found: FoundFront, dropped: Sequence[Dropped]) -> InfeasibleError | MeasurementError:
    constraint = f"measured latency (upper end) <= {found.budget_ms:g} ms on {found.device}"
    high_ms = {drop.name: drop.measured_high_ms for drop in dropped if drop.measured_high_ms is not None}
    if not high_ms:
        return MeasurementError(f"none of {len(dropped)} candidates could be measured; {dropped[0].reason}")
    closest = min(high_ms, key=lambda name: high_ms[name])
    return InfeasibleError(constraint, closest=closest, gap=high_ms[closest] - found.budget_ms, tries=len(dropped))
