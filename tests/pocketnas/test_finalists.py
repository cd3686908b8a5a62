"""Finalists are trained once for each setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pocketnas._observer import Advance
from pocketnas.finalists import CHECKPOINTS_FOLDER, Trained, train_finalists
from pocketnas.result import Candidate
from tests.search._stripes import SPACE, stripes_data

GENOTYPE = SPACE.sample(np.random.default_rng(4))
CANDIDATE = Candidate(
    name="cars-1",
    genotype=SPACE.encode(GENOTYPE),
    network_key=SPACE.lower(GENOTYPE).key,
    search_accuracy=0.5,
    predicted_ms=1.0,
    predicted_low_ms=0.9,
    predicted_high_ms=1.1,
)


class Counter:
    """Counts the epochs that it is told of."""

    def __init__(self) -> None:
        self.epochs = 0

    def note(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    @contextmanager
    def progress(self, title: str) -> Iterator[Advance]:
        def advance(done: int, total: int) -> None:
            self.epochs += 1

        yield advance


def trained(folder: Path, epochs: int, seed: int = 0) -> tuple[Trained, int]:
    """Train the candidate; also return how many epochs that took."""
    counter = Counter()
    (found,) = train_finalists([CANDIDATE], SPACE, stripes_data(), folder, counter, epochs=epochs, seed=seed)
    return found, counter.epochs


def test_other_settings_train_anew_beside_the_finished_training(tmp_path: Path) -> None:
    first, epochs = trained(tmp_path, epochs=1)
    assert epochs == 1
    assert trained(tmp_path, epochs=2)[1] == 2
    assert trained(tmp_path, epochs=1, seed=1)[1] == 1
    again, epochs = trained(tmp_path, epochs=1)
    assert epochs == 0
    assert again.network == first.network
    assert len(list((tmp_path / CHECKPOINTS_FOLDER).glob("cars-1-*.safetensors"))) == 3
