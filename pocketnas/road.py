"""Owns the whole road on devices: learn them, search under what was learned, measure on the way, verify, compare.

Each step keeps what it did in the folder, so the same call goes on wherever it was stopped.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import JsonValue

from pocketnas._json_file import JsonFile
from pocketnas._observer import Observer, WarningsOnce
from pocketnas.effort import AskedSizes, evolution_for
from pocketnas.feedback import DeviceFeedback
from pocketnas.front import FoundFront, ImageChoice, space_for
from pocketnas.learning import Learned, ProfileParams, given_device, learn_device
from pocketnas.measuring import STORE_NAME, Bench
from pocketnas.result import SearchResult
from pocketnas.searching import SearchParams, SearchTask, search
from pocketnas.sizing import fitting_size
from pocketnas.targets import GIVEN, Wish
from pocketnas.verify import VerifyParams, verify
from predictor import NetworkPredictor
from profiler.devices import Device
from profiler.errors import ConfigError
from profiler.measure import Protocol
from profiler.network import Network
from profiler.store import Store
from search.engine import Engine
from search.images import ImageData
from search.run import CHECKPOINT_NAME
from search.spaces.settings import SpaceSettings

_SIZING = Protocol(name="sizes", rounds=2, max_rounds=2, runs_per_block=10)
"""Enough to tell a size from the next, which takes half as long again."""

_TYPICAL_NETWORKS = 32
"""Random networks by whose work it is decided how long a search learns."""


@dataclass(frozen=True)
class RoadParams:
    """How much of everything.

    Attributes:
        profile: What is measured of a space to learn a device.
        search: Settings of the search.
        verify: Settings of what follows it.
        sizes: Sizes of the search that were asked for, the others by the work there is; None to take those in
            `search` as they are.
    """

    profile: ProfileParams = field(default_factory=ProfileParams)
    search: SearchParams = field(default_factory=SearchParams)
    verify: VerifyParams = field(default_factory=VerifyParams)
    sizes: AskedSizes | None = None


@dataclass(frozen=True)
class Question:
    """What a user asks for.

    Attributes:
        settings: The search space.
        images: The images.
        wish: Budgets and other limits.
        seed: Fixes every random choice.
        fit_size: Whether the space is to be as large as fits the largest budget.
    """

    settings: SpaceSettings
    images: ImageChoice
    wish: Wish
    seed: int = 0
    fit_size: bool = False


class SearchCall(JsonFile):
    """All of search.json: what a folder was asked for, so that another call does not mix with it.

    Attributes:
        devices: Settings of the devices.
        question: Digest of what was asked, and of all settings.
    """

    file_name: ClassVar[str] = "search.json"
    made_by: ClassVar[str] = "pocketnas search"

    devices: tuple[dict[str, JsonValue], ...]
    question: str


def require_free(folder: Path, *, resume: bool) -> None:
    """Make sure that a folder holds no search, or one that is to be gone on with.

    Raises:
        ConfigError: It holds one that is not.
    """
    if not resume and (folder / CHECKPOINT_NAME).exists():
        raise ConfigError("holds a search already; go on with --resume, or choose another folder", path=folder)


def claim_folder(question: Question, devices: Sequence[Device], params: RoadParams, folder: Path) -> None:
    """Note what a folder is for; what was measured for another question may be used for this one.

    Raises:
        ConfigError: A search of other settings has begun in it.
    """
    digest = hashlib.sha256(f"{question!r} {params!r}".encode()).hexdigest()[:16]
    call = SearchCall(devices=tuple(device.model_dump(mode="json") for device in devices), question=digest)
    begun = (folder / CHECKPOINT_NAME).exists() and (folder / SearchCall.file_name).exists()
    if begun and SearchCall.load(folder) != call:
        raise ConfigError("a search with other settings was made here; choose another --out", path=folder)
    folder.mkdir(parents=True, exist_ok=True)
    call.save(folder)


def search_on_devices(
    question: Question,
    devices: Sequence[Device],
    folder: Path,
    observer: Observer,
    params: RoadParams,
    *,
    given: Mapping[str, NetworkPredictor] | None = None,
    engine: Engine | None = None,
) -> SearchResult:
    """Take the whole road.

    Args:
        question: What is wanted.
        devices: What to measure on, at least one.
        folder: Where everything goes; made when missing. An unfinished call of the same settings in it is gone on
            with.
        observer: Who is told how it goes.
        params: How much of everything.
        given: Predictors by device; the other devices are profiled and fitted here.
        engine: Where candidates are scored and networks are trained; in this process if None.

    Returns:
        The result, as it stands in result.json.

    Raises:
        InfeasibleError: Nothing keeps to a budget, as predicted or as measured.
        PocketnasError: A step failed; its type says which way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    observer = WarningsOnce(observer)
    data = question.images.load(question.seed)
    with Store(folder / STORE_NAME) as store:
        bench = Bench(devices, store, observer, replace(params.verify.protocol, seed=question.seed))
        started_s = time.monotonic()
        question = _sized(question, data, bench)
        learned = _learn(question, data, bench, params, given or {})
        _search(
            question,
            data,
            {device: known.predictor for device, known in learned.items()},
            folder,
            observer,
            params,
            feedback=DeviceFeedback(bench, learned),
            engine=engine,
            durations_s={"profile": time.monotonic() - started_s},
        )
    return verify(folder, devices, observer, params.verify, engine=engine)


def search_by_predictions(
    question: Question,
    predictors: Mapping[str, NetworkPredictor],
    folder: Path,
    observer: Observer,
    params: RoadParams,
    *,
    engine: Engine | None = None,
) -> FoundFront:
    """Search without a device: nothing is measured, and nothing is trained but shared weights.

    Takes and raises what `search_on_devices` does; returns what stands in front.json.
    """
    data = question.images.load(question.seed)
    sizes = params.sizes or AskedSizes()
    params = replace(params, search=replace(params.search, evolution=sizes.over(params.search.evolution)), sizes=None)
    return _search(question, data, predictors, folder, observer, params, engine=engine)


def _learn(
    question: Question, data: ImageData, bench: Bench, params: RoadParams, given: Mapping[str, NetworkPredictor]
) -> dict[str, Learned]:
    space = space_for(question.settings, data)
    learned: dict[str, Learned] = {}
    for device in bench.devices:
        if device in given:
            learned[device] = given_device(bench, device, given[device], force=params.verify.force)
        else:
            learned[device] = learn_device(bench, device, space, params.profile, seed=question.seed)
    return learned


def _sized(question: Question, data: ImageData, bench: Bench) -> Question:
    """Return the question with a space as large as fits the largest budget, where that was left open."""
    if not (question.fit_size and question.wish.budgets_ms):
        return question
    budget_ms = max(question.wish.budgets_ms)
    quick = bench.under(replace(_SIZING, seed=question.seed))

    def measure(networks: Mapping[str, Network]) -> dict[str, float]:
        title = f"measuring {len(networks)} random networks"
        found = [quick.measure(device, networks, title, label="sizes") for device in bench.devices]
        return {name: max(own[name].median_ms for own in found) for name in networks}

    settings = fitting_size(question.settings, data, budget_ms, measure, np.random.default_rng(question.seed))
    bench.observer.note(f"space of the size that {budget_ms:.4g} ms allow: {settings}")
    return replace(question, settings=settings)


def _search(
    question: Question,
    data: ImageData,
    predictors: Mapping[str, NetworkPredictor],
    folder: Path,
    observer: Observer,
    params: RoadParams,
    *,
    feedback: DeviceFeedback | None = None,
    engine: Engine | None = None,
    durations_s: Mapping[str, float] | None = None,
) -> FoundFront:
    space = space_for(question.settings, data)
    targets = question.wish.targets(predictors, space, np.random.default_rng(question.seed))
    for target in targets:
        if target.budget_reason != GIVEN:
            observer.note(f"budget {target.describe()}: {target.budget_reason}")
    settings = params.search
    if params.sizes is not None:
        rng = np.random.default_rng(question.seed)
        typical = [space.lower(space.sample(rng)) for _ in range(_TYPICAL_NETWORKS)]
        evolution, reason = evolution_for(typical, len(data.train_y))
        settings = replace(settings, evolution=params.sizes.over(evolution))
        if settings.evolution.epochs == evolution.epochs:
            observer.note(reason)
    return search(
        predictors,
        SearchTask(question.settings, question.images, data, question.wish, targets, question.seed),
        folder,
        observer,
        settings,
        feedback=feedback,
        engine=engine,
        durations_s=durations_s,
    )
