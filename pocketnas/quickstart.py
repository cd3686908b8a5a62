"""Owns the whole road in one call: profile, fit, search, verify, with settings that suit a first look."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import FiniteFloat, JsonValue

from pocketnas._json_file import JsonFile
from pocketnas._observer import Observer
from pocketnas.front import ImageChoice
from pocketnas.learning import ProfileParams
from pocketnas.result import SearchResult
from pocketnas.road import Question, RoadParams, search_on_devices
from pocketnas.searching import SearchParams
from pocketnas.targets import Wish
from pocketnas.verify import VerifyParams
from profiler.devices import Device
from profiler.errors import ConfigError
from profiler.measure import Protocol
from search.algorithms import EvolutionParams
from search.spaces.settings import CarsSettings, SpaceSettings


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes:
        name: Of the plan.
        space: The search space.
        road: Settings of each step.
    """

    name: str
    space: SpaceSettings
    road: RoadParams

    @property
    def key(self) -> str:
        """Name and digest of all settings: another version of pocketnas may have a plan of the same name."""
        return f"{self.name}-{hashlib.sha256(repr(self).encode()).hexdigest()[:8]}"


FAST = Plan(
    name="fast",
    space=CarsSettings(cells=3, channels=24, nodes=3),
    road=RoadParams(
        ProfileParams(kernels=120, networks=16, protocol=Protocol(rounds=6, max_rounds=8)),
        SearchParams(
            evolution=EvolutionParams(population=16, generations=4, warmup_epochs=20, generation_epochs=4),
            candidates=10,
        ),
        VerifyParams(finalists=3, epochs=20),
    ),
)
FULL = Plan(
    name="full",
    space=CarsSettings(cells=5, channels=24, nodes=4),
    road=RoadParams(
        ProfileParams(kernels=300, networks=32),
        SearchParams(
            evolution=EvolutionParams(population=24, generations=10, warmup_epochs=40, generation_epochs=5),
            candidates=16,
            rounds=2,
        ),
        VerifyParams(finalists=4, epochs=45),
    ),
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
    wish = Wish(budgets_ms=(budget_ms,) if budget_ms else ())
    question = Question(plan.space, ImageChoice(name=data_name), wish, seed)
    return search_on_devices(question, [device], folder, observer, plan.road)


def _claim(folder: Path, call: QuickstartCall) -> None:
    path = folder / call.file_name
    if not path.exists():
        call.save(folder)
    elif QuickstartCall.load(folder) != call:
        raise ConfigError("a quickstart with other settings was made here; choose another --out", path=folder)
