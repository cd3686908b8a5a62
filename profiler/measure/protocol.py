"""How to measure: the numbers that fix a campaign's schedule and when it may stop.

The tiers for whole networks take their least runs, least seconds and most seconds from MLPerf
Mobile's app; kernels go by relative precision instead, since there are hundreds of them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

from profiler.errors import ConfigError

PAIR_TESTS = "pairs"
"""Name of the protocol of pair tests (profiler.fusion). What they measure is chosen to tell fusion, not to be learnt
from, and chains that a runtime runs apart are no kernels: latency tables leave such campaigns out."""


@dataclass(frozen=True)
class Protocol:
    """What fixes the schedule of a campaign and when it ends.

    A workload is measured in one block a round.  It is done as soon as `rounds` blocks ran in calm
    moments, its interval is within the target and it has its least runs and seconds; it is given up
    at `max_rounds` or `most_seconds`.

    Attributes:
        name: Short name for people; part of the key.
        rounds: Least rounds of every workload, and least calm blocks wanted of it, >= 1.
        max_rounds: Most rounds, >= rounds.
        runs_per_block: Least timed runs of a block, >= 1.
        block_ms: Least duration of a block; runs are added, from the second round on, to fill it.
        warmup_runs: Runs before the timed ones of every block.
        kernels_per_pack: Most kernels that share one process as branches of one model, >= 1; whole networks
            never do.
        least_runs: Least timed runs of a workload over all rounds.
        least_seconds: Least timed seconds of a workload over all rounds.
        most_seconds: Timed seconds after which a workload gets no further round.
        references: Whether reference kernels are timed beside each block to correct drift.
        target_relative_half_width: Half the 95 % interval over the estimate that is precise enough.
        time_budget_s: Seconds after which the campaign ends with what it has.
        seed: Of the order within the rounds and of the resampling.
        suppress: Ids of checks that the user knows of; they no longer lower the verdict, and show
            as a prefix of the protocol's name in the table.

    Raises:
        ConfigError: A number is out of range or not a number, or a least is above its most.
    """

    name: str = "kernels"
    rounds: int = 6
    max_rounds: int = 48
    runs_per_block: int = 20
    block_ms: float = 0.0
    warmup_runs: int = 5
    kernels_per_pack: int = 1
    least_runs: int = 0
    least_seconds: float = 0.0
    most_seconds: float = math.inf
    references: bool = True
    target_relative_half_width: float = 0.02
    time_budget_s: float = math.inf
    seed: int = 0
    suppress: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("rounds", "max_rounds", "runs_per_block", "kernels_per_pack"):
            _check_at_least(field, getattr(self, field), 1)
        for field in ("block_ms", "warmup_runs", "least_runs", "least_seconds", "seed"):
            _check_at_least(field, getattr(self, field), 0)
        for field in ("most_seconds", "time_budget_s", "target_relative_half_width"):
            _check_positive(field, getattr(self, field))
        _check_order("rounds", self.rounds, "max_rounds", self.max_rounds)
        _check_order("least_seconds", self.least_seconds, "most_seconds", self.most_seconds)

    @property
    def key(self) -> str:
        """Name and digest of all that bears on how good a row is.

        The seed, the time budget and the suppressed checks are left out: rows that differ in these
        alone were measured in the same way.
        """
        left_out = {"name", "seed", "time_budget_s", "suppress"}
        if self.kernels_per_pack == 1:
            left_out.add("kernels_per_pack")  # rows from before there were packs keep their key
        settings = {key: value for key, value in asdict(self).items() if key not in left_out}
        text = json.dumps(settings, sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def to_json(self) -> str:
        """Return all settings as JSON; endless times become null."""
        settings = {key: None if value == math.inf else value for key, value in asdict(self).items()}
        return json.dumps(settings, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Protocol:
        """Return the protocol that `to_json` wrote.

        Raises:
            ConfigError: The text holds other settings than this version knows.
        """
        settings: dict[str, Any] = json.loads(text)
        unknown = settings.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ConfigError(f"unknown settings {sorted(unknown)}", key="protocol")
        settings = {key: math.inf if value is None else value for key, value in settings.items()}
        return cls(**settings | {"suppress": tuple(settings.get("suppress", ()))})


def _check_at_least(field: str, value: float, least: int) -> None:
    if not (math.isfinite(value) and value >= least):
        raise ConfigError(f"must be a finite number of at least {least}, not {value}", key=field)


def _check_positive(field: str, value: float) -> None:
    if math.isnan(value) or value <= 0:
        raise ConfigError(f"must be above 0, not {value}", key=field)


def _check_order(least_name: str, least: float, most_name: str, most: float) -> None:
    if least > most:
        raise ConfigError(f"is {least}, more than {most_name}, which is {most}", key=least_name)


def _tier(name: str, *, least_runs: int, least_seconds: float, most_seconds: float) -> Protocol:
    """Return a tier whose least runs and seconds are spread over eight rounds."""
    rounds = 8
    return Protocol(
        name=name,
        rounds=rounds,
        max_rounds=8 * rounds,
        runs_per_block=math.ceil(least_runs / rounds),
        block_ms=1000.0 * least_seconds / rounds,
        least_runs=least_runs,
        least_seconds=least_seconds,
        most_seconds=most_seconds,
    )


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "kernels": Protocol(),
        # With more kernels to a process the runs take the most time, and processes differ more than the runs in one.
        "packed": Protocol(name="packed", runs_per_block=10, kernels_per_pack=64),
        # Source: MLPerf Mobile app, image classification (least queries / seconds / most seconds).
        "rapid": _tier("rapid", least_runs=64, least_seconds=6.0, most_seconds=60.0),
        "quick": _tier("quick", least_runs=128, least_seconds=10.0, most_seconds=60.0),
        "normal": _tier("normal", least_runs=1024, least_seconds=60.0, most_seconds=600.0),
    }
)
"""Protocols by name: "kernels" for many small workloads, "packed" where starting a process costs
far more than running a kernel, the other three for whole networks."""
