"""Owns the training of networks to be compared: all alike, each by itself from random weights, resumable.

How long is said by the work there is and not by a clock, so the same search trains the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pocketnas._observer import Observer
from pocketnas.settings_texts import with_settings
from profiler.errors import ConfigError
from profiler.near_names import require_known
from profiler.network import Network
from search.augmentation import AUGMENTATIONS
from search.distillation import Teacher
from search.engine import Engine, TrainingJob
from search.errors import SearchError, TrainingError
from search.images import ImageData
from search.training import TrainedNetwork, TrainingParams, training_digest

CHECKPOINTS_FOLDER = "training"

TEACHER_NAME = "teacher.safetensors"
"""The largest network of a search's shared weights, in its folder."""

_WORK_MACS = 3e12
"""Multiply-accumulates forward in all trainings of a search together: some 13 minutes on two cores."""

_LEAST_MACS = 4e6
"""A network with fewer takes as long as one of so many, since what surrounds the sums then takes most."""

_LEAST_EPOCHS, _MOST_EPOCHS = 8, 60


@dataclass(frozen=True)
class ToTrain:
    """A network to train.

    Attributes:
        name: Names its checkpoint.
        network: The network; weights do not matter.
        input_parts: As its search space tells them; none for a network of no space.
    """

    name: str
    network: Network
    input_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def training_settings(augmentation: str, changes: Sequence[str] = ()) -> TrainingParams:
    """Return the settings of a final training with an augmentation by its name and other changes, as in "mixup=0.2".

    Raises:
        ConfigError: There is no augmentation or setting of this name; the nearest one is told.
    """
    chosen = AUGMENTATIONS[require_known(augmentation, AUGMENTATIONS, what="augmentation", key="--augmentation")]
    return with_settings(TrainingParams(augmentation=chosen), changes, "--train-set")


def epochs_for(networks: Iterable[Network], images: int) -> tuple[int, str]:
    """Return how many epochs a search trains its finalists and what is compared with them, and why.

    Args:
        networks: All that will be trained, or stand for it.
        images: Number of training images.
    """
    macs = [max(network.cost().macs, _LEAST_MACS) for network in networks]
    epoch_macs = images * math.fsum(macs)
    epochs = min(max(int(_WORK_MACS / epoch_macs), _LEAST_EPOCHS), _MOST_EPOCHS)
    return epochs, (
        f"follows from the work: an epoch of {len(macs)} networks over {images} images is {epoch_macs / 1e9:.3g} G "
        f"MACs, of {_WORK_MACS / 1e9:.3g} G in all; at least {_LEAST_EPOCHS}, at most {_MOST_EPOCHS}"
    )


def load_teacher(folder: Path) -> Teacher:
    """Return the largest network of the shared weights of a search, which finalists may learn from.

    Raises:
        ConfigError: The search was made by a version that kept none.
    """
    path = folder / TEACHER_NAME
    if not path.exists():
        raise ConfigError("has no teacher to distil from; search again", path=folder)
    return Teacher.load(path)


class Trainer:
    """Trains networks with the same settings, images and seed.

    Args:
        data: Images to learn from and to validate on.
        folder: Folder of the search; a checkpoint of each training goes beneath it.
        observer: Who is told how it goes.
        engine: Where trainings run.
        params: Settings of all of them.
        seed: Of initial weights and of the order of images.
        teacher: A network whose answers all of them learn from; None for labels alone.
    """

    def __init__(
        self,
        data: ImageData,
        folder: Path,
        observer: Observer,
        engine: Engine,
        params: TrainingParams,
        *,
        seed: int,
        teacher: Teacher | None = None,
    ) -> None:
        self.params = params
        self._teacher = teacher
        self._data, self._folder, self._observer = data, folder / CHECKPOINTS_FOLDER, observer
        self._engine, self._seed = engine, seed
        self._done: dict[str, TrainedNetwork | SearchError] = {}

    def train(self, networks: Sequence[ToTrain], title: str) -> dict[str, TrainedNetwork | TrainingError]:
        """Train networks, or go on with their checkpoints; what this trainer has trained before is only returned.

        Args:
            networks: What to train; each name stands for one structure.
            title: What they are, for the observer.

        Returns:
            By name: the trained network, or why its training went astray.

        Raises:
            SearchError: A training could not be run at all.
        """
        new = [entry for entry in networks if entry.name not in self._done]
        if new:
            self._folder.mkdir(exist_ok=True)
            self._done |= zip((entry.name for entry in new), self._train(new, title), strict=True)
        return {entry.name: _usable(self._done[entry.name]) for entry in networks}

    def _train(self, networks: Sequence[ToTrain], title: str) -> list[TrainedNetwork | SearchError]:
        jobs = [self._job(entry) for entry in networks]
        epochs = [0] * len(jobs)
        with self._observer.progress(f"training {len(jobs)} {title}, epochs") as advance:

            def on_epoch(place: int, epoch: int, _loss: float) -> None:
                epochs[place] = epoch + 1
                advance(sum(epochs), self.params.epochs * len(jobs))

            return self._engine.train(jobs, self._data, on_epoch=on_epoch)

    def _job(self, entry: ToTrain) -> TrainingJob:
        teacher = self._teacher
        digest = training_digest(
            entry.network, self._data, self.params, input_parts=entry.input_parts, seed=self._seed, teacher=teacher
        )
        return TrainingJob(
            entry.network,
            self.params,
            self._seed,
            entry.input_parts,
            teacher=teacher,
            checkpoint=self._folder / f"{entry.name}-{digest}.safetensors",
        )


def _usable(found: TrainedNetwork | SearchError) -> TrainedNetwork | TrainingError:
    if isinstance(found, SearchError) and not isinstance(found, TrainingError):
        raise found
    return found
