"""Owns measuring by choice: batch after batch, each chosen by what all rows so far leave open about target networks.

There is no state but the store's rows. A batch is a campaign whose label ends in its number, and the next one follows
from the rows, the seed and that number; so a command that was interrupted first ends the batch that it was in.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from pocketnas._observer import Observer
from pocketnas._rows_so_far import RowsSoFar, rows_so_far
from profiler.kernels import FusionRules, sample_kernels
from profiler.measure import Campaign, CampaignRecord, Configuration, Measurement, Protocol
from profiler.network import Network
from profiler.workload import Dtype, Workload, require_times

if TYPE_CHECKING:
    from predictor.adaptive import Batch, KernelBelief, MeasurementCost, Networks, StatedError, TargetSpace
    from profiler.backends import Backend
    from profiler.store import Store

Stop = Literal["target", "budget", "most kernels", "all measured"]
"""Why measuring ended: the stated error is low enough, the seconds are spent, or nothing is left to choose."""

LEAST_NETWORKS_HELD_OUT = 6
"""Measured networks that a stated error must rest on before it ends anything (fewer where fewer may be measured)."""

_FIRST_BATCH = 24
"""Kernels of the first batch, since fitting takes no fewer than 20."""

_GROWTH = 0.3
"""A later batch is this share of what is measured: few choices are made blind, and few fits are made in all."""

_LEAST_BATCH, _MOST_BATCH = 16, 192

_DRAWN_NETWORKS = 2
"""Whole networks of each batch that are drawn at random, whatever is chosen: they tell how good predictions are."""

_AIM = 0.8
"""A batch ends early where this share of the target error is expected after it: what is expected may not come true."""

_NETWORK_SHARE = 0.25
"""Most of a batch that may be whole networks by choice: they alone tell how kernels add up, but nothing of a family."""

_AROUND = 300
"""Kernels near those of the target networks that are looked at for one batch: they give variety where a space has
few configurations of a kind."""

_PROCESS_S, _CALL_S = 1.0, 0.02
"""What a block takes besides its runs: starting a process on a phone; the calls and references of a host."""

_PAUSE_S = 60.0
"""Between blocks that lie further apart nobody measured, and that time is not counted as spent."""


@dataclass(frozen=True)
class AdaptiveSettings:
    """How far to go.

    Attributes:
        budget_s: Seconds to spend, those of earlier calls with the same settings included.
        target_error: Stated error, a share such as 0.03, at which measuring ends; 0 for never.
        most_kernels: Most kernels to have measured.
        most_networks: Most whole networks to have measured.
        dtype: Numeric type to run in.
        seed: Of all draws.
        label: Tells repeats apart.
    """

    budget_s: float
    target_error: float = 0.0
    most_kernels: int = 1_000_000
    most_networks: int = 24
    dtype: Dtype = "float32"
    seed: int = 0
    label: str = ""


@dataclass(frozen=True)
class BatchReport:
    """What is known after a batch.

    Attributes:
        batch: Number of the batch, from 0; -1 for what was in the store before the first one.
        kernels: Kernels measured so far.
        networks: Whole networks measured so far.
        spent_s: Seconds spent so far.
        stated: Stated error on the target networks.
    """

    batch: int
    kernels: int
    networks: int
    spent_s: float
    stated: StatedError


@dataclass(frozen=True)
class AdaptiveOutcome:
    """How measuring ended.

    Attributes:
        stop: Why.
        batches: What was known after each batch of this call.
        measurements: All rows of the device's configuration and numeric type, one a campaign and workload.
    """

    stop: Stop
    batches: tuple[BatchReport, ...]
    measurements: tuple[Measurement, ...]


def measure_adaptively(
    backend: Backend,
    targets: Sequence[Network],
    rules: FusionRules,
    protocol: Protocol,
    store: Store,
    settings: AdaptiveSettings,
    observer: Observer,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> AdaptiveOutcome:
    """Measure what tells most about the latencies of target networks, until they are known or the time is spent.

    Args:
        backend: The device, opened.
        targets: Networks like those that will be predicted: a sample of a space, or the networks themselves.
        rules: What the runtime fuses.
        protocol: How to measure; its own time budget does not count.
        store: Where each block goes at once; rows of the device that are there already count as measured.
        settings: How far to go.
        observer: Who is told.
        clock: Seconds, for the budget.

    Raises:
        DeviceError: The device is gone; the same call goes on from the rows.
        DeviceNotReadyError: A condition of the device ends measuring for now.
        FunctionOnlyError: The device emulates instructions, so that its latencies mean nothing.
    """
    require_times(backend.name, backend.source, "choosing what to measure")
    return _Adaptive(backend, targets, rules, replace(protocol, time_budget_s=math.inf), store, settings, observer).run(
        clock
    )


class _Adaptive:
    """One call: looks at the rows, chooses, measures, and again."""

    def __init__(
        self,
        backend: Backend,
        targets: Sequence[Network],
        rules: FusionRules,
        protocol: Protocol,
        store: Store,
        settings: AdaptiveSettings,
        observer: Observer,
    ) -> None:
        from predictor.adaptive import TargetSpace

        self._backend, self._protocol, self._store = backend, protocol, store
        self._settings, self._observer = settings, observer
        self._targets, self._rules = targets, rules
        self._space = TargetSpace.of(targets, rules)
        self._configuration = Configuration(backend.name, backend.source, backend.facts())
        self._prefix = _label_prefix(targets, settings)

    def run(self, clock: Callable[[], float]) -> AdaptiveOutcome:
        """Go on until there is a reason to stop."""
        timer = _Timer(clock, _spent_s(self._store, self._batches()), self._settings.budget_s)
        reports: list[BatchReport] = []
        self._go_on_with_last(timer)
        while True:
            rows = rows_so_far(self._store, self._configuration, self._settings.dtype)
            belief = self._belief(rows)
            number = len(self._batches())
            if rows.kernels:
                reports.append(self._report(number - 1, rows, belief, timer))
            stop = self._reason(reports, rows, timer)
            if stop is None:
                workloads = self._chosen(rows, belief, number, reports[-1].stated if reports else None)
                if workloads:
                    self._measure(workloads, f"{self._prefix}{number}", self._protocol, timer)
                    continue
            return AdaptiveOutcome(stop or "all measured", tuple(reports), rows.measurements)

    def _batches(self) -> list[CampaignRecord]:
        """Return the batches so far, oldest first."""
        return [
            record
            for record in self._store.campaigns()
            if record.configuration == self._configuration and record.label.startswith(self._prefix)
        ]

    def _go_on_with_last(self, timer: _Timer) -> None:
        """Measure what an interrupted call left of its last batch."""
        for record in self._batches():
            if record.finished_unix_s is None and not timer.is_over:
                members = self._store.workloads(record.id)
                workloads = [Workload(Network.from_json(own.config), own.dtype, own.kind) for own in members]
                self._measure(workloads, record.label, record.protocol, timer)

    def _measure(self, workloads: Sequence[Workload], label: str, protocol: Protocol, timer: _Timer) -> None:
        campaign = Campaign(self._backend, workloads, protocol, self._store, label=label)
        with self._observer.progress(f"measuring {len(workloads)} chosen workloads") as advance:
            for step in campaign.run():
                advance(step.blocks_done, step.blocks_planned)
                if timer.is_over:
                    return

    def _belief(self, rows: RowsSoFar) -> KernelBelief:
        from predictor.adaptive import Configurations, KernelBelief

        latency_ms = np.array(list(rows.kernels.values()), dtype=np.float64)
        return KernelBelief.fit(Configurations.of(rows.kernels), latency_ms, seed=self._settings.seed)

    def _measured_networks(self, rows: RowsSoFar) -> TargetSpace:
        from predictor.adaptive import TargetSpace

        return TargetSpace.of(rows.networks, self._rules)

    def _report(self, number: int, rows: RowsSoFar, belief: KernelBelief, timer: _Timer) -> BatchReport:
        from predictor.adaptive import stated_error

        network_ms = np.array(list(rows.networks.values()), dtype=np.float64)
        stated = stated_error(belief, self._space, self._measured_networks(rows), network_ms)
        report = BatchReport(number, len(rows.kernels), len(rows.networks), timer.spent_s, stated)
        done = f"batch {number + 1}" if number >= 0 else "rows of before"
        held_out = f"held out on {stated.held_out} networks" if stated.held_out else "not yet held to networks"
        self._observer.note(
            f"{done}: {report.kernels} kernels and {report.networks} networks, {report.spent_s:.0f} of "
            f"{self._settings.budget_s:g} s; stated error {stated.error:.1%}, {held_out}"
        )
        return report

    def _reason(self, reports: Sequence[BatchReport], rows: RowsSoFar, timer: _Timer) -> Stop | None:
        enough = min(LEAST_NETWORKS_HELD_OUT, self._settings.most_networks, len(self._targets))
        if (
            reports
            and reports[-1].stated.error <= self._settings.target_error
            and not self._is_first(rows)
            and len(rows.networks) >= enough
        ):
            return "target"
        if timer.is_over:
            return "budget"
        return "most kernels" if len(rows.kernels) >= self._settings.most_kernels else None

    def _chosen(self, rows: RowsSoFar, belief: KernelBelief, number: int, stated: StatedError | None) -> list[Workload]:
        """Return the workloads of the next batch; none when all is measured."""
        from predictor.adaptive import Configurations, next_batch

        rng = np.random.default_rng([self._settings.seed, number])
        count = min(self._batch_size(len(rows.kernels)), self._settings.most_kernels - len(rows.kernels))
        around = sample_kernels(self._targets, _AROUND, rng, rules=self._rules, around=1.0)
        own = set(self._space.kernels.kernels)
        batch = next_batch(
            belief,
            self._space,
            self._networks(rows, count, rng),
            self._cost(),
            count=count,
            done=frozenset(kernel for kernel in (*self._space.kernels.kernels, *around) if kernel.key in rows.tried),
            further=Configurations.of(kernel for kernel in around if kernel not in own),
            rng=rng,
            enough_deviation=(
                stated.deviation_for(_AIM * self._settings.target_error) if stated and not self._is_first(rows) else 0.0
            ),
        )
        return self._workloads(batch)

    def _is_first(self, rows: RowsSoFar) -> bool:
        """Return whether kernels for a first fit are still missing; such a batch is filled with kernels in any case."""
        return len(rows.kernels) < _FIRST_BATCH

    def _networks(self, rows: RowsSoFar, count: int, rng: np.random.Generator) -> Networks:
        """Return which whole networks the next batch has, and which it may have."""
        from predictor.adaptive import Networks

        first = self._is_first(rows)
        drawn = _DRAWN_NETWORKS if first else max(LEAST_NETWORKS_HELD_OUT - len(rows.networks), _DRAWN_NETWORKS)
        left = max(self._settings.most_networks - len(rows.networks), 0)
        untried = [index for index, network in enumerate(self._targets) if network.key not in rows.tried]
        most = min(left, drawn + (0 if first else math.floor(_NETWORK_SHARE * count)))
        picked = tuple(untried[place] for place in rng.permutation(len(untried))[:most])
        return Networks(self._measured_networks(rows), picked[:drawn], picked[drawn:])

    def _workloads(self, batch: Batch) -> list[Workload]:
        dtype = self._settings.dtype
        kernels = [Workload(kernel.network, dtype, kernel.kind) for kernel in batch.kernels]
        return [*kernels, *(Workload(self._targets[index], dtype) for index in batch.networks)]

    def _batch_size(self, measured: int) -> int:
        """Return how many workloads are chosen before all is looked at again; packs are filled."""
        if measured < _FIRST_BATCH:
            size = _FIRST_BATCH - measured
        else:
            size = min(max(math.ceil(_GROWTH * measured), _LEAST_BATCH), _MOST_BATCH)
        pack = self._protocol.kernels_per_pack
        return math.ceil(size / pack) * pack

    def _cost(self) -> MeasurementCost:
        from predictor.adaptive import MeasurementCost

        on_phone = self._backend.kernels_per_process > 1
        protocol = self._protocol
        return MeasurementCost(
            blocks=protocol.rounds,
            runs=protocol.warmup_runs + protocol.runs_per_block,
            block_s=_PROCESS_S if on_phone else _CALL_S,
            kernels_per_pack=protocol.kernels_per_pack,
        )


class _Timer:
    """Seconds spent, those of earlier calls included."""

    def __init__(self, clock: Callable[[], float], before_s: float, budget_s: float) -> None:
        self._clock, self._zero_s, self._budget_s = clock, clock() - before_s, budget_s

    @property
    def spent_s(self) -> float:
        return self._clock() - self._zero_s

    @property
    def is_over(self) -> bool:
        return self.spent_s >= self._budget_s


def _spent_s(store: Store, batches: Sequence[CampaignRecord]) -> float:
    """Return how long earlier calls measured, by when their blocks began."""
    starts = sorted(block.started_unix_s for record in batches for block in store.blocks(record.id))
    return sum(gap for gap in np.diff(starts).tolist() if gap <= _PAUSE_S)


def _label_prefix(targets: Sequence[Network], settings: AdaptiveSettings) -> str:
    """Return what the labels of all batches begin with: other targets, types or seeds have other batches."""
    parts = [settings.label, settings.dtype, str(settings.seed), *sorted(network.key for network in targets)]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
    return f"{settings.label} adaptive {digest} ".lstrip()
