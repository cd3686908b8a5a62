"""Owns the whole road in one call: profile, fit, search, verify, with settings that suit a first look."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import FiniteFloat, JsonValue

from pocketnas._json_file import JsonFile
from pocketnas._observer import Observer
from pocketnas.front import PREDICTOR_NAME, SpaceSettings
from pocketnas.profiling import measure_workloads, space_workloads
from pocketnas.result import SearchResult
from pocketnas.searching import Budget, SearchParams, search, typical_budget
from pocketnas.verify import LOCK_WAIT_S, STORE_NAME, VerifyParams, verify
from predictor import NetworkPredictor
from profiler.backends import open_backend
from profiler.devices import Device
from profiler.errors import ConfigError
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
        name: Of the plan.
        space: The search space.
        kernels: Most kernels to measure.
        networks: Whole networks to measure.
        protocol: How kernels and networks are measured; kernels share processes as the device asks for.
        search: Settings of the search.
        verify: Settings of what follows it.
    """

    name: str
    space: SpaceSettings
    kernels: int
    networks: int
    protocol: Protocol
    search: SearchParams
    verify: VerifyParams

    @property
    def key(self) -> str:
        """Name and digest of all settings: another version of pocketnas may have a plan of the same name."""
        return f"{self.name}-{hashlib.sha256(repr(self).encode()).hexdigest()[:8]}"


FAST = Plan(
    name="fast",
    space=SpaceSettings(cells=3, channels=24, nodes=3),
    kernels=120,
    networks=16,
    protocol=Protocol(rounds=6, max_rounds=8),
    search=SearchParams(
        EvolutionParams(population=16, generations=4, warmup_epochs=20, generation_epochs=4), candidates=10
    ),
    verify=VerifyParams(finalists=3, epochs=20),
)
FULL = Plan(
    name="full",
    space=SpaceSettings(cells=5, channels=24, nodes=4),
    kernels=300,
    networks=32,
    protocol=Protocol(),
    search=SearchParams(
        EvolutionParams(population=24, generations=10, warmup_epochs=40, generation_epochs=5), candidates=16
    ),
    verify=VerifyParams(finalists=4, epochs=45),
)


class QuickstartCall(JsonFile):
    """All of quickstart.json: what a folder was asked for, so that another call does not mix with it.

    Attributes:
        device: The device's settings.
        data: Name or path of the images.
        plan: Key of the plan.
        budget_ms: The budget that was given; None for the default.
        seed: Fixes every random choice.
    """

    file_name: ClassVar[str] = "quickstart.json"
    made_by: ClassVar[str] = "pocketnas quickstart"

    device: dict[str, JsonValue]
    data: str
    plan: str
    budget_ms: FiniteFloat | None
    seed: int


def quickstart(
    device: Device,
    data_name: str,
    folder: Path,
    observer: Observer,
    plan: Plan,
    *,
    budget_ms: float | None = None,
    seed: int = 0,
) -> SearchResult:
    """Take the whole road on one device.

    Args:
        device: What to measure on.
        data_name: Images, as load_images takes them.
        folder: Where everything goes; made when missing. An unfinished call of the same settings in it is
            gone on with.
        observer: Who is told how it goes.
        plan: How much of everything.
        budget_ms: The budget; None for one that 40 % of random networks are predicted to keep to.
        seed: Fixes every random choice.

    Returns:
        The result, as it stands in result.json.

    Raises:
        ConfigError: The folder is of a call with other settings.
        PocketnasError: A step failed; its type says which way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = device.model_dump(mode="json")
    _claim(folder, QuickstartCall(device=settings, data=data_name, plan=plan.key, budget_ms=budget_ms, seed=seed))
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


def _claim(folder: Path, call: QuickstartCall) -> None:
    path = folder / call.file_name
    if not path.exists():
        call.save(folder)
    elif QuickstartCall.load(folder) != call:
        raise ConfigError("a quickstart with other settings was made here; choose another --out", path=folder)


def _learn(
    device: Device, space: CarsSpace, folder: Path, observer: Observer, plan: Plan, seed: int
) -> tuple[NetworkPredictor, dict[str, float]]:
    """Measure kernels and networks of the space and fit a predictor; also return how long both took.

    The predictor of an earlier call is kept: it is what the search in the folder went by.
    """
    fitted = folder / PREDICTOR_NAME
    if fitted.exists():
        return NetworkPredictor.load(fitted), {}
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
        protocol = replace(plan.protocol, seed=seed, kernels_per_pack=backend.kernels_per_process)
        measured = measure_workloads(backend, workloads, protocol, store, observer, title=title, label="profile")
    measured_s = time.monotonic()
    # The rows of this campaign alone: later ones are of networks that the prediction is judged by.
    with observer.progress("fitting the predictor"):
        predictor = NetworkPredictor().fit(table_of(measured))
    predictor.save(fitted)
    return predictor, {"profile": measured_s - started_s, "fit": time.monotonic() - measured_s}
