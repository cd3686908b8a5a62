"""Finalists are trained once for each setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pocketnas._observer import Advance, OnSearchStep
from pocketnas.finalists import CHECKPOINTS_FOLDER, ToTrain, Trainer, epochs_for
from search.engine import InProcess
from search.training import TrainedNetwork, TrainingParams
from tests.search._stripes import SPACE, stripes_data

GENOTYPE = SPACE.sample(np.random.default_rng(4))
ENTRY = ToTrain("cars-1", SPACE.lower(GENOTYPE), SPACE.input_parts(GENOTYPE))


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

    @contextmanager
    def search(self, title: str) -> Iterator[OnSearchStep]:
        yield lambda _progress: None


def trained(folder: Path, epochs: int, seed: int = 0) -> tuple[TrainedNetwork, int]:
    """Train the candidate; also return how many epochs that took."""
    counter = Counter()
    trainer = Trainer(stripes_data(), folder, counter, InProcess(), TrainingParams(epochs=epochs), seed=seed)
    found = trainer.train([ENTRY], "finalists")["cars-1"]
    assert isinstance(found, TrainedNetwork)
    assert trainer.train([ENTRY], "finalists")["cars-1"] is found, "known already"
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


def test_epochs_follow_from_the_work_and_not_from_the_clock() -> None:
    few, why = epochs_for([ENTRY.network], 100)
    many, _ = epochs_for([ENTRY.network] * 5, 6000)
    most, _ = epochs_for([ENTRY.network] * 5000, 100_000)
    assert few == 60 > many > most == 8
    assert epochs_for([ENTRY.network], 100) == (few, why)
    assert "100 images" in why and "at least 8, at most 60" in why
