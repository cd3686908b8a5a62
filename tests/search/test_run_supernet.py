"""A search on the real supernet, small: stopped and resumed it gives the same front to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from search.algorithms import Cars, EvolutionParams
from search.constraints import LatencyBudget
from search.images import ImageData
from search.outcome import SearchOutcome
from search.run import SearchProgress, run_search
from search.spaces.cars import CarsGenotype, CarsParams, CarsSpace
from search.supernet import Supernet, SupernetParams
from tests.search._toy import ToyPredictor

SPACE = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=4, cells=3, channels=4, nodes=2))


def stripes(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images whose class is the pair of rows that is bright."""
    classes = rng.integers(4, size=count)
    images = rng.random((count, 8, 8, 1), dtype=np.float32) * 0.5
    for image, bright in zip(images, classes, strict=True):
        image[2 * bright : 2 * bright + 2] += 0.5
    return images, classes.astype(np.int64)


def supernet() -> Supernet[CarsGenotype]:
    rng = np.random.default_rng(0)
    parts = [array for count in (128, 64, 8) for array in stripes(count, rng)]
    data = ImageData("stripes", *parts, class_names=tuple("abcd"), source="made here", licence="none")
    return Supernet(SPACE, data, SupernetParams(epochs=4, batch_size=32), seed=0)


class StopError(Exception):
    """Raised in the place of a power cut."""


def search(run_dir: Path, *, stop_after: int | None = None) -> SearchOutcome[CarsGenotype]:
    def progress(event: SearchProgress) -> None:
        if event.step == stop_after:
            raise StopError

    params = EvolutionParams(
        population=6, generations=2, warmup_epochs=1, generation_epochs=1, architectures_per_step=2
    )
    return run_search(
        Cars(SPACE, params),
        supernet(),
        ToyPredictor(),
        LatencyBudget(200.0),
        seed=3,
        run_dir=run_dir,
        progress=progress,
    )


def test_resumed_supernet_gives_the_same_front(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = search(tmp_path / "whole")
        for step in (1, 2):
            with pytest.raises(StopError):
                search(tmp_path / "parts", stop_after=step)
        resumed = search(tmp_path / "parts")
    finally:
        torch.set_num_threads(threads)
    assert [(m.genotype, m.accuracy) for m in resumed.population] == [
        (m.genotype, m.accuracy) for m in whole.population
    ]
    assert resumed.history == whole.history
    assert whole.front.best.accuracy > 0.25
