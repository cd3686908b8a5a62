"""The runs of one process: which latency each has, by the law of the processor, by present clocks, and by chance.

Everything is counted on the process's own time, from its start: clocks ramp up anew under every process, and chance is
drawn from a hash of what is run.  So the same command gives the same numbers whatever ran before it, unless the
phone is hot.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from profiler.phone.description import Cluster, PhoneDescription
from profiler.phone.programs._plan import Plan
from profiler.phone.programs._statistics import Microseconds
from profiler.phone.soc import HIDING_DELEGATES, Governor, Placement, call_overhead_s, power_w

Floats = npt.NDArray[np.float64]

_CHUNK_S = 0.25
"""Most of a process's time that is computed at once: heat and whoever wants to end it are looked at in between."""
_MOST_VALUES = 1 << 16
_COLD_FACTOR = 1.3
"""First run of a process beside later ones: pages and caches are cold."""
_EVENT_S = 0.4e-6
"""What the profiler costs for each event."""
_US = 1e6


@dataclass(frozen=True)
class Stage:
    """How long a loop of runs goes on, on the process's own time.

    Attributes:
        runs: Least number of runs.
        min_finish_us: Least end, in us.
        max_finish_us: No run begins later, in us.
        pause_s: Sleep between runs.
        profiled: Whether rows are wanted.
    """

    runs: int
    min_finish_us: int
    max_finish_us: int
    pause_s: float = 0.0
    profiled: bool = False

    def goes_on(self, run: int, now_us: int) -> bool:
        """Say whether a run of a number begins now."""
        return (run < self.runs or now_us < self.min_finish_us) and now_us <= self.max_finish_us


@dataclass(frozen=True)
class Chunk:
    """Some runs, one after the other.

    Attributes:
        durations_us: Of each run.  Shape: (n_runs,).
        rows_us: Of each row of each run; None when not profiled.  Shape: (n_runs, n_rows).
        seconds: What they took, pauses included.
        power_w: What was drawn meanwhile besides an idle phone's.
        shares: Clocks of the loaded clusters.
    """

    durations_us: Microseconds
    rows_us: Microseconds | None
    seconds: float
    power_w: float
    shares: dict[str, float]


def seed_of(phone_seed: int, arguments: Sequence[str], content: bytes) -> int:
    """Return what all chance in a process follows from: the phone's seed, the command line and the model."""
    digest = hashlib.sha256(str(phone_seed).encode())
    for part in (*(argument.encode(errors="surrogateescape") for argument in arguments), content):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return int.from_bytes(digest.digest()[:16], "little")


class Runs:
    """Makes the runs of one process.

    Args:
        description: The phone.
        plan: What is run.
        placement: Where.
        seed: Fixes its chances.
        cap_share: Says what heat leaves of the clocks.

    Attributes:
        own_s: The process's own time.
    """

    def __init__(
        self,
        description: PhoneDescription,
        plan: Plan,
        placement: Placement,
        seed: int,
        cap_share: Callable[[], float],
    ) -> None:
        self._soc, self._plan, self._placement, self._cap_share = description.soc, plan, placement, cap_share
        loaded = set(placement.cores)
        self._ramps = [
            _Ramp(cluster, self._soc.governor) for cluster in description.clusters if loaded & set(cluster.cores)
        ]
        chances = np.random.default_rng(seed).spawn(5)
        self._process, self._run, self._row, self._spike, self._place = (
            _Draws(chances[0].standard_normal),
            _Draws(chances[1].standard_normal),
            _Draws(chances[2].standard_normal),
            _Draws(chances[3].random),
            _Draws(chances[4].random),
        )
        sigma = self._soc.noise.process_sigma / math.sqrt(2.0)
        drawn = self._process.take(1 + len(plan.steps))
        self._process_factor = math.exp(self._soc.noise.process_sigma * drawn[0])
        self._step_factors = np.exp(sigma * (drawn[0] + drawn[1:]))
        self._cold = True
        self.own_s = 0.0

    @property
    def own_us(self) -> int:
        """The process's own time in whole microseconds."""
        return int(self.own_s * _US)

    def load(self) -> tuple[float, dict[str, float]]:
        """Return what the process draws now besides an idle phone, in W, and the clocks of the clusters it loads."""
        shares, _ = self._clocks()
        return power_w(self._soc, self._placement, shares) - self._soc.power.idle_w, shares

    def pass_time(self, seconds: float) -> None:
        """Let the process do something else than runs."""
        self.own_s += seconds

    def chunk(self, stage: Stage, run: int, *, at_most: int | None = None) -> Chunk | None:
        """Make the next runs of a stage.

        Args:
            stage: Which.
            run: Number of the next run in it.
            at_most: How many, >= 1; None for any number.

        Returns:
            At least one run, or None when the stage is over.
        """
        if not stage.goes_on(run, self.own_us):
            return None
        power, shares = self.load()
        steps_s, call_s = self._steps_s(shares), self._call_s(shares, profiled=stage.profiled)
        wanted = 1 + int(_CHUNK_S / (float(steps_s.sum()) + call_s + stage.pause_s))
        width = len(self._plan.rows) if stage.profiled else 1
        count = max(1, min(wanted, at_most or wanted, _MOST_VALUES // width))
        durations_s, rows_s = self._draw(steps_s, call_s, count, profiled=stage.profiled)
        ends_s = self.own_s + np.cumsum(durations_s + stage.pause_s)
        starts_s = ends_s - durations_s - stage.pause_s
        starts_s[0] = self.own_s
        kept = self._kept(stage, run, starts_s)
        for draws, each in ((self._run, 1), (self._spike, 1), (self._place, 1), (self._row, rows_s.shape[1])):
            draws.drop(kept * each)
        seconds = float(ends_s[kept - 1]) - self.own_s
        busy = float(durations_s[:kept].sum()) / seconds
        self.own_s, self._cold = float(ends_s[kept - 1]), False
        starts_s, durations_s = starts_s[:kept], durations_s[:kept]
        durations_us = _whole(starts_s + durations_s) - _whole(starts_s)
        rows_us = self._rows_us(starts_s, rows_s[:kept]) if stage.profiled else None
        return Chunk(durations_us, rows_us, seconds, power * busy, shares)

    def _clocks(self) -> tuple[dict[str, float], float]:
        """Return the present clocks, and until when on the process's own time they hold."""
        cap = self._cap_share()
        present = [(ramp.name, *ramp.at(self.own_s, cap)) for ramp in self._ramps]
        return {name: share for name, share, _ in present}, min(until for *_, until in present)

    def _steps_s(self, shares: dict[str, float]) -> Floats:
        steps_s: Floats = self._plan.latencies_s(self._soc, self._placement, shares) * self._step_factors
        if self._plan.delegate not in HIDING_DELEGATES:
            return steps_s
        # Heat slows the other chips as it does the cores.
        return np.array([steps_s.sum() / self._cap_share()])

    def _call_s(self, shares: dict[str, float], *, profiled: bool) -> float:
        events_s = _EVENT_S * len(self._plan.rows) if profiled else 0.0
        return call_overhead_s(self._soc, self._placement, shares) * self._process_factor + events_s

    def _draw(self, steps_s: Floats, call_s: float, count: int, *, profiled: bool) -> tuple[Floats, Floats]:
        """Return the latency of runs, and of their rows; of no row when they are not profiled."""
        noise = self._soc.noise
        chance, spiked = self._run.see(count), self._spike.see(count) < noise.spike_share
        factor = np.exp(noise.run_sigma * chance)
        if self._cold:
            factor[0] *= _COLD_FACTOR
        if not profiled:
            durations_s = (float(steps_s.sum()) + call_s) * factor
            return durations_s * np.where(spiked, noise.spike_factor, 1.0), np.zeros((count, 0))
        own = self._row.see(count * len(steps_s)).reshape(count, -1)
        scatter = np.exp(noise.run_sigma / math.sqrt(2.0) * (chance[:, None] + own))
        rows_s = steps_s * scatter
        rows_s[0] *= _COLD_FACTOR if self._cold else 1.0
        places = self._place.see(count)
        for index in np.flatnonzero(spiked):
            # What comes in between falls into one operator, the likelier the longer it runs.
            ends_s = np.cumsum(rows_s[index])
            hit = int(np.searchsorted(ends_s, places[index] * ends_s[-1], side="right"))
            rows_s[index, min(hit, len(ends_s) - 1)] += (noise.spike_factor - 1.0) * ends_s[-1]
        return rows_s.sum(axis=1) + call_s * factor, rows_s

    def _kept(self, stage: Stage, run: int, starts_s: Floats) -> int:
        """Return how many of some runs begin: before the clocks change, and while the stage goes on."""
        _, until_s = self._clocks()
        starts_us = _whole(starts_s)
        numbers = run + np.arange(len(starts_s))
        begins = ((numbers < stage.runs) | (starts_us < stage.min_finish_us)) & (starts_us <= stage.max_finish_us)
        begins &= starts_s < until_s
        begins[0] = True
        return len(begins) if begins.all() else int(np.argmin(begins))

    def _rows_us(self, starts_s: Floats, rows_s: Floats) -> Microseconds:
        """Return rows in whole microseconds: XNNPACK cuts each, the runtime subtracts two readings of a clock."""
        ends_s = starts_s[:, None] + np.cumsum(rows_s, axis=1)
        read = _whole(ends_s) - _whole(ends_s - rows_s)
        return np.where(self._plan.delegated_rows, _whole(rows_s), read)


class _Ramp:
    """How the clock of a loaded cluster climbs, step by step, from the lowest: 1 - exp(-t / ramp_s) of the way.

    The governor takes the lowest step that is not below what it wants, as schedutil does.
    """

    def __init__(self, cluster: Cluster, governor: Governor) -> None:
        self.name = cluster.name
        self._shares = [step / cluster.frequencies_khz[-1] for step in cluster.frequencies_khz]
        lowest = self._shares[0]
        self._until_s = [
            -governor.ramp_s * math.log((1.0 - share) / (1.0 - lowest)) for share in self._shares if share < 1.0
        ]

    def at(self, own_s: float, cap_share: float) -> tuple[float, float]:
        """Return the share of the highest clock at a time under load, and until when it holds."""
        index = int(np.searchsorted(self._until_s, own_s, side="right"))
        until_s = self._until_s[index] if index < len(self._until_s) else math.inf
        allowed = max((share for share in self._shares if share <= cap_share), default=self._shares[0])
        return min(self._shares[index], allowed), until_s


class _Draws:
    """A stream of chance that can be looked at further than it is used: cutting it into pieces changes nothing."""

    def __init__(self, draw: Callable[[int], Floats]) -> None:
        self._draw = draw
        self._seen = np.zeros(0)

    def see(self, count: int) -> Floats:
        """Return the next values without using them up."""
        if count > len(self._seen):
            self._seen = np.concatenate([self._seen, self._draw(count - len(self._seen))])
        return self._seen[:count].copy()

    def drop(self, count: int) -> None:
        """Use values up."""
        self._seen = self._seen[count:]

    def take(self, count: int) -> Floats:
        """Return the next values and use them up."""
        values = self.see(count)
        self.drop(count)
        return values


def _whole(seconds: Floats) -> Microseconds:
    return np.floor(seconds * _US).astype(np.int64)
