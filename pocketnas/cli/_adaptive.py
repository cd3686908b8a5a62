"""Owns `pocketnas profile --adaptive`: its options, what it measures for, and how its end is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pocketnas.cli._screen import Screen, table
from profiler.errors import ConfigError

if TYPE_CHECKING:
    from pocketnas.adaptive import AdaptiveOutcome, AdaptiveSettings, BatchReport
    from profiler.devices import Device
    from profiler.measure import Protocol
    from profiler.network import Network
    from profiler.workload import Dtype
    from search.spaces.settings import SpaceSettings

_MOST_ROUNDS_RATIO = 2

_STOPPED: Mapping[str, str] = {
    "target": "the stated error is as low as was asked for",
    "budget": "the time budget is spent",
    "most kernels": "as many kernels are measured as were asked for",
    "all measured": "all that could be chosen is measured",
}


@dataclass(frozen=True)
class AdaptiveOptions:
    """Options of the command that are about choosing.

    Attributes:
        target_error: Stated error in per cent at which to end; None for never.
        time_budget_s: Seconds to spend.
        most_kernels: Most kernels to measure; None for no limit.
        most_networks: Most whole networks to measure.
        dtype: Numeric type to run in.
        seed: Of all draws.
        label: Tells repeats apart.
        wait_s: How long to wait for another job on the device.
    """

    target_error: float | None
    time_budget_s: float
    most_kernels: int | None
    most_networks: int
    dtype: Dtype
    seed: int
    label: str
    wait_s: float

    def settings(self) -> AdaptiveSettings:
        """Return them as the loop takes them."""
        from pocketnas.adaptive import AdaptiveSettings

        limits = {} if self.most_kernels is None else {"most_kernels": self.most_kernels}
        return AdaptiveSettings(
            budget_s=self.time_budget_s,
            target_error=(self.target_error or 0.0) / 100.0,
            most_networks=self.most_networks,
            dtype=self.dtype,
            seed=self.seed,
            label=self.label,
            **limits,
        )


def check_adaptive(
    adaptive: bool,
    *,
    target_error: float | None,
    time_budget_s: float | None,
    devices: Sequence[str] | None,
    operators: bool,
) -> None:
    """Refuse options that do not go with one another, before a device is looked at.

    Raises:
        ConfigError: They do not.
    """
    if not adaptive:
        if target_error is not None:
            raise ConfigError("only goes with --adaptive, which knows an error to end at", key="--target-error")
        return
    if time_budget_s is None:
        raise ConfigError("needs a time budget: add --time-budget-s SECONDS", key="--adaptive")
    if operators:
        raise ConfigError("does not go with --operators, which stores nothing", key="--adaptive")
    if devices and len(set(devices)) > 1:
        raise ConfigError(f"measures on one device at a time, not on {len(set(devices))}", key="--adaptive")


def with_few_rounds(protocol: Protocol) -> Protocol:
    """Return the protocol with at most twice its least rounds.

    Where time is counted, another kernel tells more than further rounds of one that stays imprecise: on a busy host
    these would take most of the budget.
    """
    return replace(protocol, max_rounds=min(protocol.max_rounds, _MOST_ROUNDS_RATIO * protocol.rounds))


def space_targets(settings: SpaceSettings, data: str, seed: int) -> list[Network]:
    """Return the sample of a space that measuring is to serve.

    Raises:
        PocketnasError: The images or the space cannot be had.
    """
    import numpy as np

    from pocketnas.profiling import sampled_networks
    from search.images import load_images

    return sampled_networks(
        settings.space_for(load_images(data, seed=seed, resolution=settings.resolution)), np.random.default_rng(seed)
    )


def profile_adaptively(
    screen: Screen,
    device: Device,
    targets: Sequence[Network],
    protocols: Mapping[bool, Protocol],
    place: Path,
    options: AdaptiveOptions,
) -> int:
    """Measure on a device what serves the target networks most, and show how far that went.

    Args:
        screen: Where results and progress go.
        device: The device.
        targets: The networks to serve.
        protocols: How to measure, by whether the device runs kernels in packs.
        place: The store.
        options: How far to go.

    Returns:
        The exit code, 0.

    Raises:
        PocketnasError: The device cannot be had or is lost.
    """
    from pocketnas.adaptive import measure_adaptively
    from profiler.backends import open_backend
    from profiler.fusion import fusion_rules_for
    from profiler.kernels import FUSION_RULES
    from profiler.measure import Configuration
    from profiler.store import Store

    with open_backend(device, wait_s=options.wait_s) as backend, Store(place) as store:
        for check in backend.checks():
            screen.warn(f"{backend.name}: {check.id}: {check.detail}")
        facts = backend.facts()
        found = fusion_rules_for(store, Configuration(backend.name, backend.source, facts), dtype=options.dtype)
        rules = found or FUSION_RULES[facts.runtime]
        protocol = protocols[backend.kernels_per_process > 1]
        outcome = measure_adaptively(backend, targets, rules, protocol, store, options.settings(), screen)
        source = backend.source
    _show(screen, outcome, device.name, source, place)
    screen.document(_document(outcome, device.name, source, place, options))
    return 0


def _show(screen: Screen, outcome: AdaptiveOutcome, device: str, source: str, place: Path) -> None:
    columns = ["kernels", "networks", "seconds", "stated error", "held out"]
    rows = [
        [report.kernels, report.networks, f"{report.spent_s:.0f}", _percent(report), report.stated.held_out]
        for report in outcome.batches
    ]
    screen.show(table(f"chosen on {device}, {source}, in {place}", columns, rows, right=columns))
    screen.show(f"ended: {_STOPPED[outcome.stop]}")


def _percent(report: BatchReport) -> str:
    return f"{100 * report.stated.error:.2f} %"


def _document(
    outcome: AdaptiveOutcome, device: str, source: str, place: Path, options: AdaptiveOptions
) -> dict[str, object]:
    from pocketnas.profiling import verdict_counts

    return {
        "device": device,
        "source": source,
        "store": str(place),
        "stop": outcome.stop,
        "time_budget_s": options.time_budget_s,
        "target_error_percent": options.target_error,
        "stated_error_percent": _rounded(outcome.batches[-1].stated.error) if outcome.batches else None,
        "verdicts": verdict_counts(outcome.measurements),
        "batches": [
            {
                "kernels": report.kernels,
                "networks": report.networks,
                "spent_s": round(report.spent_s, 3),
                "stated_error_percent": _rounded(report.stated.error),
                "held_out_networks": report.stated.held_out,
                "held_out_error_percent": _rounded(report.stated.held_out_error),
            }
            for report in outcome.batches
        ],
    }


def _rounded(error: float | None) -> float | None:
    return None if error is None else round(100.0 * error, 4)
