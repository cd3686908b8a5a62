"""The seam between a search and where its networks are scored and trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from profiler.network import Network
from search.distillation import Teacher
from search.errors import SearchError
from search.images import ImageData
from search.training import OnEpoch, TrainedNetwork, TrainingParams, train_network
from search.unfolded import Weights

OnTrainingEpoch = Callable[[int, int, float], None]
"""Takes the place of a job among those given, the number of its epoch from 0, and the epoch's mean loss."""


@dataclass(frozen=True, eq=False)
class EvaluationJob:
    """A network to score under shared weights.

    Attributes:
        network: A classifier; its operators' names are those of the shared weights.
        input_parts: See `SearchSpace.input_parts`.
    """

    network: Network
    input_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"evaluation of network {self.network.name!r} ({self.network.key[:8]})"


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A network to train by itself; the attributes are what `train_network` takes.

    Attributes:
        network: A classifier.
        params: Settings.
        seed: Of the initial weights, and of the order and augmentation of the images.
        input_parts: See `SearchSpace.input_parts`.
        initial: Weights to start from; random ones if None.
        teacher: A network whose logits are learnt from; None for labels alone.
        checkpoint: File that is written after each epoch; whoever takes the job over goes on from there.
    """

    network: Network
    params: TrainingParams
    seed: int = 0
    input_parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    initial: Mapping[str, Tensor] | None = None
    teacher: Teacher | None = None
    checkpoint: Path | None = None

    def __str__(self) -> str:
        return f"training of network {self.network.name!r} ({self.network.key[:8]})"

    def run(self, data: ImageData, on_epoch: OnEpoch | None = None) -> TrainedNetwork:
        """Train here and now; see `train_network`."""
        return train_network(
            self.network,
            data,
            self.params,
            input_parts=self.input_parts,
            seed=self.seed,
            initial=self.initial,
            teacher=self.teacher,
            checkpoint=self.checkpoint,
            on_epoch=on_epoch,
        )


class Engine(ABC):
    """Scores and trains networks somewhere: in this process, in others, on other machines.

    Use it in a `with` block, or close it.  What it returns does not depend on which engine it is, nor on how many
    workers there are and which of them did what: a search may go on with another engine than it began with.

    An engine for several machines implements `evaluate`, `train` and `close`.  A job is a value that JSON and
    safetensors hold (`Network.to_json`, `TrainingParams.to_json`, tensors by name), so nothing needs to be pickled.
    Such an engine hands images over once for each `ImageData.digest` and shared weights once for each call; gives a
    job whose worker was lost to another one, a limited number of times; puts answers into the order of the jobs; and
    reaches checkpoints by a path that all machines see.  Results are the same to the last bit only on processors of
    one kind with one version of torch; on others, accuracies may differ by single images.
    """

    @abstractmethod
    def evaluate(
        self, jobs: Sequence[EvaluationJob], weights: Weights, data: ImageData, *, calibration_images: int
    ) -> npt.NDArray[np.float64]:
        """Return the validation accuracy of each network under shared weights.

        Batch norms take the statistics that the very network has on the first training images.

        Args:
            jobs: The networks.
            weights: The shared weights by name, those of all the networks at least; a tensor may be larger than a
                network's shape, which then takes its part (see `UnfoldedNetwork`).
            data: The images.
            calibration_images: How many training images batch norm statistics are recorded on, >= 1.

        Returns:
            Shares from 0 to 1; NaN where logits are not finite.  Shape: (len(jobs),).

        Raises:
            SupernetError: A network cannot run on these weights.
            JobLostError: Workers were lost with one of the networks again and again.
            EngineError: Workers do not start, or there is no room for what they share.
        """

    @abstractmethod
    def train(
        self, jobs: Sequence[TrainingJob], data: ImageData, *, on_epoch: OnTrainingEpoch | None = None
    ) -> list[TrainedNetwork | SearchError]:
        """Train each network by itself.

        Args:
            jobs: The networks and how they are trained.
            data: The images.
            on_epoch: Called after each epoch of each network.

        Returns:
            For each job, in their order, what came of it; or the error (a `TrainingError` or a `JobLostError`) that
            ended it, so that one network whose loss diverges costs none of the others.

        Raises:
            EngineError: Workers do not start, or there is no room for what they share.
        """

    @abstractmethod
    def close(self) -> None:
        """End all workers and free what they shared; may be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
