"""What a campaign leaves behind, row by row, before any statistics: the nouns that the store keeps.

Everything derived (medians, intervals, verdicts) is computed from these rows again when it is asked
for, so a better estimator also improves what was measured before it existed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from profiler.backends.base import Check, DeviceFacts
from profiler.measure.protocol import Protocol
from profiler.workload import Dtype, Source, Workload

BlockStatus = Literal["ok", "failed", "rejected"]

Way = Literal["alone", "packed-float32", "packed-int8"]
"""How a block's latencies were taken: of whole calls, or of rows in the profile of a pack of a numeric type, which
hold nothing of the call.  Readings of the references are comparable within one way only."""


@dataclass(frozen=True)
class WorkloadRecord:
    """A workload as it is stored; the network is its structure in JSON.

    Attributes:
        key: Identity of the workload (structure and numeric type).
        network_key: Identity of the network's structure alone.
        kind: "network", or the kind of kernel.
        dtype: Numeric type.
        config: The network as JSON, without weights.
    """

    key: str
    network_key: str
    kind: str
    dtype: Dtype
    config: str

    @classmethod
    def of(cls, workload: Workload) -> WorkloadRecord:
        """Return the record of a workload."""
        network = workload.network
        return cls(workload.key, network.key, workload.kind, workload.dtype, network.to_json())


@dataclass(frozen=True)
class Configuration:
    """On what a campaign measures: campaigns with equal configurations may be compared and share a drift level.

    Attributes:
        device: Name of the device.
        source: Whether its latencies are measured or emulated.
        facts: What the device said it is.
    """

    device: str
    source: Source
    facts: DeviceFacts


@dataclass(frozen=True)
class CampaignRecord:
    """One campaign: a set of workloads measured on one configuration by one protocol.

    Attributes:
        id: Made of all that fixes the schedule, so that the same call finds its own rows again.
        label: Name that the caller gave, to tell repeats of the same campaign apart.
        configuration: On what.
        protocol: How.
        created_unix_s: When it began.
        finished_unix_s: When it ended; None while it is running or after it was cut off.
    """

    id: str
    label: str
    configuration: Configuration
    protocol: Protocol
    created_unix_s: float
    finished_unix_s: float | None = None


@dataclass(frozen=True)
class Block:
    """One stored block: consecutive runs of one workload and the reference kernels beside them.

    Attributes:
        workload_key: Which workload.
        round: Round of the campaign, from 0.
        position: Place within the round's shuffled order, from 0.
        started_unix_s: When the timed runs began.
        status: "ok"; "failed" when the workload gave no latencies; "rejected" when the latencies
            given cannot be true.
        reason: Why it failed or was rejected; empty for "ok".
        samples_ms: Raw latencies in order; empty unless status is "ok".
        runs_per_sample: Timed runs that each of them stands for: 1, or more where a tool tells no single runs.
        before_ms: Median latency of each reference kernel just before; empty when not known.
        after_ms: The same just after.
        checks: Conditions, at the time, that make measurements doubtful.
        way: How its latencies, and those of the references, were taken.
    """

    workload_key: str
    round: int
    position: int
    started_unix_s: float
    status: BlockStatus
    reason: str = ""
    samples_ms: tuple[float, ...] = ()
    before_ms: tuple[float, ...] = ()
    after_ms: tuple[float, ...] = ()
    checks: tuple[Check, ...] = ()
    runs_per_sample: int = 1
    way: Way = "alone"

    @property
    def runs(self) -> int:
        """How many timed runs it has."""
        return len(self.samples_ms) * self.runs_per_sample

    @property
    def timed_seconds(self) -> float:
        """How long its timed runs took together."""
        return sum(self.samples_ms) * self.runs_per_sample / 1000.0
