"""Owns fitting a new device from others: choose few workloads, measure them, learn the device from both.

There is no state but the store's rows. What to measure follows from the sources, the seed and the rows of the new
device, so a command that was interrupted first ends the campaign that it was in, and one that had ended measures
nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pocketnas._observer import Observer
from pocketnas._rows_so_far import rows_so_far
from pocketnas.profiling import measure_workloads, space_workloads, verdict_counts
from predictor import NetworkPredictor, Transfer
from predictor.errors import SourceMismatchError, TrainingRowsError
from profiler.fusion import fusion_rules_for, rules_for_rows, stored_findings
from profiler.measure import PROTOCOLS, CampaignRecord, Configuration, Measurement, Protocol
from profiler.network import Network
from profiler.table import LatencyTable, table, table_of
from profiler.workload import Dtype, Workload, require_times

if TYPE_CHECKING:
    from profiler.backends import Backend
    from profiler.store import Store

PREDICTOR_SUFFIX = ".safetensors"

_MOST_CANDIDATES = 300
"""Kernels, and whole networks, that are looked at in choosing; more are drawn from."""

_SPACE_KERNELS, _SPACE_NETWORKS = 200, 48
"""What is looked at where no source has rows, only a predictor: what the default search space would measure."""

_MOST_ATTEMPTS = 4
"""Campaigns of one call. Where replacements of replacements are INVALID, the device is what needs attention."""


@dataclass(frozen=True)
class SourceOfTransfer:
    """A device that another is to stand on.

    Attributes:
        predictor: Its predictor.
        rows: What it measured; None where only the predictor is at hand.
    """

    predictor: NetworkPredictor
    rows: LatencyTable | None = None


@dataclass(frozen=True)
class TransferOutcome:
    """A new device's predictor and how it came about.

    Attributes:
        predictor: The predictor.
        chosen: What was chosen for it and measured, in this call or in one that was interrupted.
        before: Rows of the device that were there before and count as measured.
        refused: Chosen workloads whose measurement was INVALID.
    """

    predictor: NetworkPredictor
    chosen: tuple[Measurement, ...]
    before: int
    refused: int


def read_source(name: str, store: Store | None, dtype: Dtype | None, *, seed: int = 0) -> SourceOfTransfer:
    """Return a device to stand on.

    Args:
        name: A device of the store, or the path of a predictor file.
        store: Where devices' rows are; None where there is no store yet.
        dtype: Numeric type of the rows; None where they are all of one.
        seed: Of what is learned from rows.

    Raises:
        SourceMismatchError: There is no such device, or its rows are of several numeric types.
        PredictorFileError: The file is no predictor.
        TrainingRowsError: The device's rows cannot be learned from.
    """
    if name.endswith(PREDICTOR_SUFFIX):
        predictor = NetworkPredictor.load(Path(name))
        if dtype not in (None, predictor.dtype):
            raise SourceMismatchError(f"{name!r} is of {predictor.dtype} networks, not of {dtype}")
        return SourceOfTransfer(predictor)
    devices = () if store is None else sorted({record.configuration.device for record in store.campaigns()})
    if store is None or name not in devices:
        known = f"rows of {', '.join(map(repr, devices))}" if devices else "no rows"
        raise SourceMismatchError(
            f"{name!r} is neither a device with rows in the store, which has {known}, nor a {PREDICTOR_SUFFIX} file"
        )
    rows = _of_one_type(name, table(store, device=name).usable(), dtype)
    rules = rules_for_rows(stored_findings(store), rows)
    return SourceOfTransfer(NetworkPredictor(rules=rules, seed=seed).fit(rows), rows)


def transfer(
    backend: Backend,
    sources: Sequence[SourceOfTransfer],
    budget: int,
    store: Store,
    observer: Observer,
    *,
    seed: int = 0,
) -> TransferOutcome:
    """Measure on a new device what tells most about it, and learn it from these rows and its sources.

    Args:
        backend: The new device, opened.
        sources: Devices that it is to stand on.
        budget: Rows that its predictor is to rest on; those that the store has already count first.
        store: Where each block goes at once.
        observer: Who is told.
        seed: Of draws and of the order of measuring.

    Raises:
        FunctionOnlyError: The device emulates instructions, so that its latencies mean nothing.
        SourceMismatchError: The device runs networks otherwise than the sources, or they than one another.
        TrainingRowsError: No row of the new device can be learned from.
        DeviceError: The device is gone; the same call goes on from the stored rows.
    """
    return _Call(backend, sources, budget, store, observer, seed).run()


class _Call:
    """One call of transfer."""

    def __init__(
        self,
        backend: Backend,
        sources: Sequence[SourceOfTransfer],
        budget: int,
        store: Store,
        observer: Observer,
        seed: int,
    ) -> None:
        require_times(backend.name, backend.source, "learning a device")
        facts = backend.facts()
        self._backend, self._budget, self._store, self._observer, self._seed = backend, budget, store, observer, seed
        self._sources = sources
        first = sources[0].predictor if sources else None
        self._dtype: Dtype = "int8" if first is not None and first.dtype == "int8" else "float32"
        self._configuration = Configuration(backend.name, backend.source, facts)
        rules = fusion_rules_for(store, self._configuration, dtype=self._dtype)
        self._transfer = Transfer([source.predictor for source in sources], rules=rules)
        self._transfer.check(source=backend.source, runtime=facts.runtime, threads=facts.threads)
        _refuse_circle(backend.name, sources)
        self._protocol = PROTOCOLS["packed" if backend.kernels_per_process > 1 else "kernels"]
        self._label = f"transfer from {', '.join(self._transfer.devices)}, seed {seed}"

    def run(self) -> TransferOutcome:
        """Go on with what was interrupted, then choose and measure until there are rows enough."""
        self._warn_of_accelerators()
        candidates = _candidates(self._sources, self._configuration.facts.runtime, self._dtype, self._seed)
        for record in self._own_campaigns():
            if record.finished_unix_s is None:
                members = self._store.workloads(record.id)
                workloads = [Workload(Network.from_json(own.config), own.dtype, own.kind) for own in members]
                self._measure(workloads, record.protocol)
        for _ in range(_MOST_ATTEMPTS):
            chosen = self._choose(candidates)
            if not chosen:
                break
            self._measure(chosen, self._protocol)
        return self._fit()

    def _own_campaigns(self) -> Iterator[CampaignRecord]:
        for record in self._store.campaigns():
            if record.configuration == self._configuration and record.label == self._label:
                yield record

    def _choose(self, candidates: Sequence[Workload]) -> list[Workload]:
        """Return what to measure next: as many as rows are missing, of those that were not tried for this."""
        rows = rows_so_far(self._store, self._configuration, self._dtype)
        usable = [*(kernel.network for kernel in rows.kernels), *rows.networks]
        missing = self._budget - len(usable)
        if missing <= 0:
            return []
        kinds = {measurement.workload.network_key: measurement.workload.kind for measurement in rows.measurements}
        known = {network.key: Workload(network, self._dtype, kinds[network.key]) for network in usable}
        every = [*known.values(), *(one for one in candidates if one.network.key not in known)]
        own = {record.id for record in self._own_campaigns()}
        failed = {row.workload.network_key for row in rows.measurements if row.campaign.id in own} - known.keys()
        tried = [place for place, one in enumerate(every) if one.network.key in failed]
        places = self._transfer.choose(every, missing, measured=range(len(known)), excluded=tried)
        return [every[place] for place in places]

    def _measure(self, workloads: Sequence[Workload], protocol: Protocol) -> None:
        measured = measure_workloads(
            self._backend,
            workloads,
            protocol,
            self._store,
            self._observer,
            title=f"measuring {len(workloads)} chosen workloads on {self._backend.name}",
            label=self._label,
        )
        invalid = verdict_counts(measured)["INVALID"]
        if invalid:
            self._observer.warn(f"{invalid} of {len(workloads)} chosen workloads are INVALID; others take their place")

    def _fit(self) -> TransferOutcome:
        rows = rows_so_far(self._store, self._configuration, self._dtype)
        own = {record.id for record in self._own_campaigns()}
        chosen = tuple(row for row in rows.measurements if row.campaign.id in own)
        labels = len(rows.kernels) + len(rows.networks)
        if not labels:
            raise TrainingRowsError(
                f"none of {len(chosen)} workloads chosen on {self._backend.name!r} could be measured; "
                f"see `pocketnas doctor --device {self._backend.name}`"
            )
        if labels < self._budget:
            self._observer.warn(f"only {labels} of {self._budget} rows can be learned from; nothing is left to choose")
        predictor = self._transfer.fit(table_of(rows.measurements))
        refused = verdict_counts(chosen)["INVALID"]
        return TransferOutcome(predictor, chosen, labels - (len(chosen) - refused), refused)

    def _warn_of_accelerators(self) -> None:
        """Say which sources compute with something else: their rows do not tell, only the store does."""
        here = self._configuration.facts.accelerator
        others = {
            record.configuration.device: record.configuration.facts.accelerator
            for record in self._store.campaigns()
            if record.configuration.device in self._transfer.devices
        }
        for device, there in others.items():
            if there != here:
                self._observer.warn(f"{device} computes with {there}, {self._backend.name} with {here}")


def _refuse_circle(device: str, sources: Sequence[SourceOfTransfer]) -> None:
    """Refuse sources that rest on rows of the new device, which would then count twice."""
    for source in sources:
        card = source.predictor.card
        if device in (card.device, *card.stands_on):
            raise SourceMismatchError(f"the predictor of {card.device!r} rests on rows of {device!r} itself")


def _of_one_type(name: str, rows: LatencyTable, dtype: Dtype | None) -> LatencyTable:
    found = sorted(rows.frame["dtype"].unique())
    if dtype is None and len(found) > 1:
        raise SourceMismatchError(f"{name!r} has rows in {' and '.join(found)}; choose one with --dtype")
    if dtype is not None and dtype not in found:
        raise SourceMismatchError(f"{name!r} has no rows in {dtype}")
    return rows if dtype is None else rows.where(dtype=dtype)


def _candidates(sources: Sequence[SourceOfTransfer], runtime: str, dtype: Dtype, seed: int) -> list[Workload]:
    """Return what may be measured: what the sources measured, or else what the default search space would."""
    rng = np.random.default_rng(seed)
    rows = [source.rows.usable().frame for source in sources if source.rows is not None]
    if not rows:
        return _space_candidates(runtime, dtype, rng)
    found: dict[str, Workload] = {}
    for frame in rows:
        for key, kind, config in zip(frame["key"], frame["kind"], frame["config"], strict=True):
            found.setdefault(key, Workload(Network.from_json(config), dtype, kind))
    ordered = [found[key] for key in sorted(found)]
    kernels = [one for one in ordered if one.kind != "network"]
    networks = [one for one in ordered if one.kind == "network"]
    return [*_drawn(kernels, rng), *_drawn(networks, rng)]


def _drawn(workloads: list[Workload], rng: np.random.Generator) -> list[Workload]:
    if len(workloads) <= _MOST_CANDIDATES:
        return workloads
    return [workloads[place] for place in sorted(rng.permutation(len(workloads))[:_MOST_CANDIDATES])]


def _space_candidates(runtime: str, dtype: Dtype, rng: np.random.Generator) -> list[Workload]:
    from search.images import load_images
    from search.spaces.settings import CarsSettings

    space = CarsSettings().space_for(load_images("digits", seed=0))
    return space_workloads(space, runtime, kernels=_SPACE_KERNELS, networks=_SPACE_NETWORKS, dtype=dtype, rng=rng)
