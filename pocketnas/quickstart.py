"""Owns the whole road in one call: profile, fit, search, verify, with settings that suit a first look."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pocketnas._observer import Observer
from pocketnas.front import SpaceSettings
from pocketnas.profiling import measure_workloads, space_workloads
from pocketnas.result import SearchResult
from pocketnas.searching import Budget, SearchParams, search, typical_budget
from pocketnas.verify import LOCK_WAIT_S, STORE_NAME, VerifyParams, verify
from predictor import NetworkPredictor
from profiler.backends import open_backend
from profiler.devices import Device
from profiler.measure import Protocol
from profiler.store import Store
from profiler.table import table_of
from search.algorithms import EvolutionParams
from search.images import load_images
from search.spaces import CarsSpace


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        space: The search space.
        kernels: Most kernels to measure.
        networks: Whole networks to measure.
        protocol: How kernels and networks are measured.
        search: Settings of the search.
        verify: Settings of what follows it.
    """

    space: SpaceSettings
    kernels: int
    networks: int
    protocol: Protocol
    search: SearchParams
    verify: VerifyParams


FAST = Plan(
    space=SpaceSettings(cells=3, channels=6, nodes=3),
    kernels=120,
    networks=16,
    protocol=Protocol(rounds=6, max_rounds=8),
    search=SearchParams(
        EvolutionParams(population=16, generations=6, warmup_epochs=10, generation_epochs=2), candidates=10
    ),
    verify=VerifyParams(finalists=3, epochs=30),
)
FULL = Plan(
    space=SpaceSettings(cells=5, channels=8, nodes=4),
    kernels=300,
    networks=32,
    protocol=Protocol(),
    search=SearchParams(
        EvolutionParams(population=32, generations=15, warmup_epochs=20, generation_epochs=3), candidates=16
    ),
    verify=VerifyParams(finalists=5, epochs=80),
)


def quickstart(
    device: Device,
    data_name: str,
    folder: Path,
    observer: Observer,
    plan: Plan,
    *,
    budget_ms: float | None,
    seed: int,
) -> SearchResult:
    """Take the whole road on one device.

    Args:
        device: What to measure on.
        data_name: Images, as load_images takes them.
        folder: Where everything goes; made when missing. What is there of the same call is used again.
        observer: Who is told how it goes.
        plan: How much of everything.
        budget_ms: The budget; None for one that 40 % of random networks are predicted to keep to.
        seed: Fixes every random choice.

    Returns:
        The result, as it stands in result.json.

    Raises:
        PocketnasError: A step failed; its type says which way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = load_images(data_name, seed=seed)
    space = plan.space.space_for(images)
    predictor, durations_s = _learn(device, space, folder, observer, plan, seed)
    budget = Budget(budget_ms) if budget_ms else typical_budget(predictor, space, np.random.default_rng(seed))
    observer.note(f"budget {budget.budget_ms:.4g} ms: {budget.reason}")
    search(
        predictor,
        plan.space,
        images,
        data_name,
        budget,
        folder,
        observer,
        plan.search,
        seed=seed,
        durations_s=durations_s,
    )
    return verify(folder, device, observer, plan.verify)


def _learn(
    device: Device, space: CarsSpace, folder: Path, observer: Observer, plan: Plan, seed: int
) -> tuple[NetworkPredictor, dict[str, float]]:
    """Measure kernels and networks of the space and fit a predictor; also return how long both took."""
    started_s = time.monotonic()
    with open_backend(device, wait_s=LOCK_WAIT_S) as backend, Store(folder / STORE_NAME) as store:
        workloads = space_workloads(
            space,
            backend.facts().runtime,
            kernels=plan.kernels,
            networks=plan.networks,
            dtype="float32",
            rng=np.random.default_rng(seed),
        )
        title = f"measuring {len(workloads)} kernels and networks on {device.name}"
        protocol = replace(plan.protocol, seed=seed)
        measured = measure_workloads(backend, workloads, protocol, store, observer, title=title, label="profile")
    measured_s = time.monotonic()
    # The rows of this campaign alone: later ones are of networks that the prediction is judged by.
    with observer.progress("fitting the predictor"):
        predictor = NetworkPredictor().fit(table_of(measured))
    return predictor, {"profile": measured_s - started_s, "fit": time.monotonic() - measured_s}
