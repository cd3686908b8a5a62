"""The whole road once, at its smallest, on the host's real processor; all tests here look at what it made."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pocketnas.learning import ProfileParams
from pocketnas.quickstart import Plan, quickstart
from pocketnas.result import SearchResult
from pocketnas.road import RoadParams
from pocketnas.searching import SearchParams
from pocketnas.verify import VerifyParams
from profiler.devices import HostDevice
from profiler.measure import Protocol
from search.algorithms import EvolutionParams
from search.spaces.settings import CarsSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pocketnas._observer import Advance, OnSearchStep
    from search.progress import SearchProgress

PLAN = Plan(
    name="smallest",
    space=CarsSettings(cells=3, channels=4, nodes=1),
    road=RoadParams(
        ProfileParams(kernels=60, networks=6, protocol=Protocol(rounds=6, max_rounds=6, runs_per_block=10)),
        SearchParams(
            evolution=EvolutionParams(population=4, generations=2, warmup_epochs=1, generation_epochs=1), candidates=4
        ),
        VerifyParams(finalists=2, epochs=4, protocol=Protocol(name="finalists", rounds=6, max_rounds=6)),
    ),
)
# A generous budget: what is tested is the road, and not how quiet the tests' machine is.
BUDGET_MS = 5.0


class Nobody:
    """An observer that does not look."""

    def note(self, text: str) -> None:
        """Take a line."""

    def warn(self, text: str) -> None:
        """Take a line."""

    @contextmanager
    def progress(self, title: str) -> Iterator[Advance]:
        yield _ignore

    @contextmanager
    def search(self, title: str) -> Iterator[OnSearchStep]:
        yield _ignore_step


def _ignore_step(progress: SearchProgress) -> None:
    """Take a step of a search."""


def _ignore(done: int, total: int) -> None:
    """Take the progress of a step."""


@dataclass(frozen=True)
class Road:
    """A finished road."""

    folder: Path
    result: SearchResult


@pytest.fixture(scope="session")
def device() -> HostDevice:
    return HostDevice(name="host")


@pytest.fixture(scope="session")
def road(device: HostDevice, tmp_path_factory: pytest.TempPathFactory) -> Road:
    folder = tmp_path_factory.mktemp("road")
    return Road(folder, quickstart(device, "digits", folder, Nobody(), PLAN, budget_ms=BUDGET_MS, seed=3))
