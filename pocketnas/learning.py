"""Owns how a search comes to know a device: profile its space and fit, or take a predictor that was given.

Both forms take further rows as a search measures networks: the fitted one is fitted anew on all of its rows, and
on a given one, whose rows are elsewhere, a predictor is built that stands on it and learns from the new rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pocketnas.measuring import Bench
from pocketnas.profiling import measure_workloads, space_workloads
from predictor import NetworkPredictor, Transfer
from profiler.devices import Device
from profiler.errors import ConfigError
from profiler.measure import Measurement, Protocol
from profiler.table import table_of
from search.errors import SearchError
from search.space import SearchSpace

PROFILE_LABEL = "profile"


@dataclass(frozen=True)
class ProfileParams:
    """How much of a space is measured to learn a device.

    Attributes:
        kernels: Most kernels.
        networks: Whole networks.
        protocol: How both are measured; kernels share processes as the device asks for.
    """

    kernels: int = 160
    networks: int = 24
    protocol: Protocol = field(default_factory=Protocol)


@dataclass(frozen=True)
class Learned:
    """What is known of a device.

    Attributes:
        predictor: Tells its latencies.
        rows: What it was fitted on, or, for a given one, has been measured since.
        given: The predictor that was given; None for one that was fitted here.
    """

    predictor: NetworkPredictor
    rows: tuple[Measurement, ...] = ()
    given: NetworkPredictor | None = None

    def with_rows(self, measured: Sequence[Measurement]) -> Learned:
        """Return what is known when further networks were measured; rows without a latency teach nothing."""
        new = tuple(row for row in measured if row.verdict != "INVALID")
        if not new:
            return self
        rows = (*self.rows, *new)
        if self.given is None:
            return replace(self, predictor=NetworkPredictor().fit(table_of(rows)), rows=rows)
        return replace(self, predictor=Transfer([self.given]).fit(table_of(rows)), rows=rows)


def learn_device(bench: Bench, device: str, space: SearchSpace[Any], params: ProfileParams, *, seed: int) -> Learned:
    """Measure kernels and networks of a space on a device and fit a predictor; what was measured before counts.

    Args:
        bench: The devices.
        device: Name of the one to learn.
        space: The search space.
        params: How much is measured.
        seed: Of what is drawn.

    Raises:
        DeviceError: The device is gone; the same call goes on from the rows.
    """
    with bench.opened(device) as backend:
        workloads = space_workloads(
            space,
            backend.facts().runtime,
            kernels=params.kernels,
            networks=params.networks,
            dtype="float32",
            rng=np.random.default_rng(seed),
        )
        title = f"measuring {len(workloads)} kernels and networks on {device}"
        protocol = replace(params.protocol, seed=seed, kernels_per_pack=backend.kernels_per_process)
        rows = measure_workloads(
            backend, workloads, protocol, bench.store, bench.observer, title=title, label=PROFILE_LABEL
        )
    # The rows of this campaign alone: others are of networks that the prediction is judged by.
    with bench.observer.progress(f"fitting the predictor of {device}"):
        return Learned(NetworkPredictor().fit(table_of(rows)), rows)


def given_device(bench: Bench, device: str, predictor: NetworkPredictor, *, force: bool = False) -> Learned:
    """Take a predictor that was fitted elsewhere for a device.

    Args:
        bench: The devices.
        device: Name of the one that the predictor is to be of.
        predictor: What was given.
        force: Whether a predictor of another device is taken.

    Raises:
        DeviceMismatchError: It is of another device, and that is not forced.
        ConfigError: It is of another runtime or number of threads.
        SearchError: It is not of float32 networks.
    """
    doubt = predictor.check_device(device, force=force)
    if doubt:
        bench.observer.warn(doubt)
    require_float32(predictor)
    facts = bench.facts(device)
    require_runtime(device, (predictor.runtime, predictor.threads), (facts.runtime, facts.threads))
    return Learned(predictor, given=predictor)


def by_device(
    predictors: Sequence[NetworkPredictor], devices: Sequence[Device], *, force: bool = False
) -> dict[str, NetworkPredictor]:
    """Return predictors by the device that they are for: their own, or with force the only one there is.

    Args:
        predictors: What was given.
        devices: Where will be measured; none where nothing is.
        force: Whether a predictor of another device is taken.

    Raises:
        ConfigError: Two are of one device, or one is of none of the devices.
    """
    if force and len(predictors) == len(devices) == 1:
        return {devices[0].name: predictors[0]}
    names = [device.name for device in devices]
    found: dict[str, NetworkPredictor] = {}
    for predictor in predictors:
        if predictor.device in found:
            raise ConfigError(f"two are of {predictor.device!r}", key="--predictor")
        if names and predictor.device not in names:
            raise ConfigError(f"one is of {predictor.device!r}, and that is no --device", key="--predictor")
        found[predictor.device] = predictor
    return found


def require_float32(predictor: NetworkPredictor) -> None:
    """Make sure that a predictor is of the networks that a search makes.

    Raises:
        SearchError: It is of others.
    """
    if predictor.dtype != "float32":
        raise SearchError(f"the predictor is of {predictor.dtype} networks; profile and fit float32 ones to search")


def require_runtime(device: str, wanted: tuple[str, int], found: tuple[str, int]) -> None:
    """Make sure that a device runs networks as its predictor knows it; each is runtime and threads.

    Raises:
        ConfigError: It does not.
    """
    if wanted != found:
        raise ConfigError(
            f"runs {found[0]} with {found[1]} thread(s), and the search was for {wanted[0]} with {wanted[1]}; "
            "change devices.yaml back, or profile and search again",
            key=device,
        )
