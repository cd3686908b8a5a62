"""A whole search whose workers are killed again and again finds the front of an undisturbed one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from search.algorithms import Cars, EvolutionParams
from search.constraints import LatencyBudget
from search.engine import Engine, InProcess, Processes
from search.outcome import SearchOutcome
from search.progress import SearchProgress
from search.run import run_search
from search.spaces import CarsGenotype
from search.supernet import Supernet, SupernetParams
from tests.search._stripes import SPACE, stripes_data
from tests.search._toy import ToyPredictor


def search(run_dir: Path, engine: Engine) -> SearchOutcome[CarsGenotype]:
    def lose_a_worker(progress: SearchProgress) -> None:
        if isinstance(engine, Processes) and engine.pids:
            os.kill(engine.pids[progress.step % len(engine.pids)], signal.SIGKILL)

    params = EvolutionParams(
        population=6, generations=3, warmup_epochs=1, generation_epochs=1, architectures_per_step=2
    )
    supernet = Supernet(SPACE, stripes_data(), SupernetParams(epochs=8, batch_size=32), engine=engine)
    predictors = {"toy": ToyPredictor()}
    return run_search(
        Cars(SPACE, params), supernet, predictors, LatencyBudget(200.0), seed=3, run_dir=run_dir, progress=lose_a_worker
    )


@pytest.mark.slow
def test_a_search_that_loses_a_worker_each_generation_finds_the_same_front(tmp_path: Path) -> None:
    lost: list[str] = []
    expected = search(tmp_path / "here", InProcess())
    with Processes(2, warn=lost.append) as engine:
        found = search(tmp_path / "there", engine)
    assert [(m.genotype, m.accuracy) for m in found.population] == [
        (m.genotype, m.accuracy) for m in expected.population
    ]
    assert found.history == expected.history and found.front.best.genotype == expected.front.best.genotype
    assert len(lost) >= 2
