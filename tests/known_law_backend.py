"""A device that exists in numbers only: its true latencies and the law of its noise are known."""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from profiler.backends import Backend, BlockRequest, BlockResult, Check, DeviceFacts, Failure
from profiler.network import Dense, Network, Operator, TensorSpec
from profiler.runtimes.operator_profile import OperatorTime
from profiler.workload import Source, Workload

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """Noise around a true latency; all of it multiplies.

    Attributes:
        run_sigma: Log-normal noise of single runs.
        block_sigma: Log-normal noise that all runs of a block share.
        drift: Amplitude, in log, of a slow sine that all workloads share.
        drift_period_s: Its period.
        spike_share: Share of runs that take `spike_factor` times as long.
        warmup_runs: Runs at a block's start that take `warmup_factor` times as long.
    """

    run_sigma: float = 0.0
    block_sigma: float = 0.0
    drift: float = 0.0
    drift_period_s: float = 7.0
    spike_share: float = 0.0
    spike_factor: float = 10.0
    warmup_runs: int = 0
    warmup_factor: float = 1.5

    def samples_ms(self, true_ms: float, runs: int, at_s: float, rng: np.random.Generator) -> FloatArray:
        """Return the latencies of the runs of one block, its warm-up included. Shape: (runs,)."""
        noise = self.block_sigma * rng.standard_normal() + self.run_sigma * rng.standard_normal(runs)
        samples = true_ms * np.exp(noise + self.drift * math.sin(2.0 * math.pi * at_s / self.drift_period_s))
        samples[rng.random(runs) < self.spike_share] *= self.spike_factor
        samples[: self.warmup_runs] *= self.warmup_factor
        return np.asarray(samples)


@dataclass
class KnownLawBackend(Backend):
    """A device with a law.  Its clock goes on by what it runs and never by the machine's.

    Attributes:
        scale: Multiplies every true latency.
        call_ms: What a call takes besides its operators.
        fresh_noise: Whether a workload's next block has other noise than its last; without it a block
            depends on its workload and its occasion alone, so that an interrupted campaign can be compared
            bit for bit.
        failures: Failure to give, by workload key; a pack that holds the workload fails as well.
        answers: Samples to give in place of the law's, by workload key.
        conditions: Checks to report.
        pause_s: Real seconds that a block takes, for tests that kill.
        gone_after: Blocks after which nothing more comes.
        merged: Whether profiles show a network as one row.
        resolution_ms: Rows below it have no latency.
        occasions: Those of the blocks that ran.
    """

    law: Law = field(default_factory=Law)
    seed: int = 0
    scale: float = 1.0
    call_ms: float = 0.01
    fresh_noise: bool = True
    failures: Mapping[str, Failure] = field(default_factory=dict)
    answers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    conditions: tuple[Check, ...] = ()
    pause_s: float = 0.0
    gone_after: float = math.inf
    name: str = "known-law"
    source: Source = "measured"
    clock_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    merged: bool = False
    resolution_ms: float = 0.0
    occasions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._blocks: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def facts(self) -> DeviceFacts:
        return DeviceFacts("imagined", 1, 2**30, "none", "law", "1", 1, "none")

    def checks(self) -> tuple[Check, ...]:
        return self.conditions

    def true_ms(self, workload: Workload) -> float:
        """The latency that the law's noise goes around: a call and its operators."""
        return self.scale * self.call_ms + self.packed_ms(workload)

    def packed_ms(self, workload: Workload) -> float:
        """The same inside of a pack, where no call belongs to it: 1 MMAC/ms."""
        return self.scale * workload.network.cost().macs / 1e6

    def run_blocks(self, requests: Sequence[BlockRequest]) -> Iterator[BlockResult]:
        for request in requests:
            if len(self.asked) >= self.gone_after:
                return
            yield self._run(request)

    def _run(self, request: BlockRequest) -> BlockResult:
        key = request.workload.key
        time.sleep(self.pause_s)
        self.asked.append(key)
        self.occasions.append(request.occasion)
        failing = next((own for own in (key, *_alone_keys(request)) if own in self.failures), None)
        if failing is not None:
            return BlockResult(request, (), self.failures[failing], self.clock_s)
        if key in self.answers:
            return BlockResult(request, self.answers[key], None, self.clock_s)
        count = self._blocks[key] if self.fresh_noise else 0
        self._blocks[key] += 1
        occasion = b"" if self.fresh_noise else _digest(request.occasion)
        rng = np.random.default_rng([self.seed, count, *_digest(key), *occasion])
        at_s = self.clock_s if self.fresh_noise else 0.0
        runs = request.warmup_runs + request.runs
        samples = self.law.samples_ms(self.true_ms(request.workload), runs, at_s, rng)
        if self.fresh_noise:
            self.clock_s += float(samples.sum()) / 1000.0
        if request.profiled:
            return self._profiled(request, float(np.mean(samples[request.warmup_runs :])), at_s, rng)
        return BlockResult(request, tuple(samples[request.warmup_runs :].tolist()), None, at_s)

    def _profiled(self, request: BlockRequest, mean_ms: float, at_s: float, rng: np.random.Generator) -> BlockResult:
        """Share the mean over the operators as the law has them, each with some noise of its own."""
        network = request.workload.network
        slower = mean_ms / self.true_ms(request.workload)
        rows = []
        for operator in network.operators:
            own_ms = self.packed_ms(Workload(_network_of(network, operator)))
            own_ms *= slower * math.exp(self.law.run_sigma / math.sqrt(request.runs) * rng.standard_normal())
            told_ms = own_ms if own_ms > self.resolution_ms else None
            rows.append(OperatorTime(operator.name, operator.kind, told_ms, request.runs))
        if self.merged:
            rows = [OperatorTime("delegate", "TfLiteGpuDelegateV2", mean_ms, request.runs)]
        return BlockResult(request, (mean_ms,), None, at_s, runs_per_sample=request.runs, operators=tuple(rows))


def _alone_keys(request: BlockRequest) -> Iterator[str]:
    """Keys that the operators of a profiled network have as workloads of their own."""
    network, dtype = request.workload.network, request.workload.dtype
    for operator in network.operators if request.profiled else ():
        yield Workload(_network_of(network, operator), dtype).key


def _network_of(network: Network, operator: Operator) -> Network:
    inputs = {spec.name: spec for spec in network.input_specs(operator)}
    return Network("one", list(inputs.values()), [operator], operator.outputs)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:8]


def workloads(count: int, *, seed: int = 0) -> list[Workload]:
    """Different small workloads, every third a whole network."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice(np.arange(8, 900), size=count, replace=False)
    return [_workload(int(size), "network" if index % 3 == 2 else "dense") for index, size in enumerate(sizes)]


def _workload(size: int, kind: str) -> Workload:
    inputs = [TensorSpec("x", (1, size))]
    return Workload(Network("dense", inputs, [Dense("dense", ("x",), 2 * size)], ["dense"]), kind=kind)


def rows(measurements: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What must be the same after an interruption: verdict, estimate and all raw blocks."""
    return [(item.workload.key, item.verdict, item.interval, item.blocks) for item in measurements]
