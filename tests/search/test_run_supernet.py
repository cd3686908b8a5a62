"""A search on the real supernet, small: stopped and resumed it gives the same front to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from search.algorithms import Cars, EvolutionParams
from search.constraints import LatencyBudget
from search.errors import CheckpointError
from search.outcome import SearchOutcome
from search.progress import SearchProgress
from search.run import run_search
from search.spaces import CarsGenotype
from search.supernet import Supernet, SupernetParams
from tests.search._stripes import SPACE, stripes_data, stripes_supernet
from tests.search._toy import ToyPredictor


class StopError(Exception):
    """Raised in the place of a power cut."""


def search(
    run_dir: Path, *, stop_after: int | None = None, supernet: Supernet[CarsGenotype] | None = None
) -> SearchOutcome[CarsGenotype]:
    def progress(event: SearchProgress) -> None:
        if event.step == stop_after:
            raise StopError

    params = EvolutionParams(
        population=6, generations=2, warmup_epochs=1, generation_epochs=1, architectures_per_step=2
    )
    return run_search(
        Cars(SPACE, params),
        supernet or stripes_supernet(),
        {"toy": ToyPredictor()},
        LatencyBudget(200.0),
        seed=3,
        run_dir=run_dir,
        progress=progress,
    )


def test_resumed_supernet_gives_the_same_front(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole")
    for step in (1, 2):
        with pytest.raises(StopError):
            search(tmp_path / "parts", stop_after=step)
    resumed = search(tmp_path / "parts")
    assert [(m.genotype, m.accuracy) for m in resumed.population] == [
        (m.genotype, m.accuracy) for m in whole.population
    ]
    assert resumed.history == whole.history
    assert whole.front.best.accuracy > 0.25


def test_other_images_of_the_same_name_or_other_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        search(tmp_path, stop_after=1)
    data = stripes_data()
    other = replace(data, val_x=data.val_x[::-1].copy())
    params = SupernetParams(epochs=8, batch_size=32)
    for supernet, named in (
        (Supernet(SPACE, other, params), "images"),
        (Supernet(SPACE, data, replace(params, batch_size=16)), "shared weights"),
        (Supernet(SPACE, data, params, seed=1), "shared weights"),
    ):
        with pytest.raises(CheckpointError, match=f"with {named} "):
            search(tmp_path, supernet=supernet)
    # A file that was moved holds the same images.
    search(tmp_path, supernet=Supernet(SPACE, replace(data, name="elsewhere"), params))
