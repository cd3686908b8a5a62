"""The supernet: weights that all architectures of a space share, and the scores they give.

A step computes the operators of the architectures it trains and nothing else.  Weights are kept by the
names of the lowered network's operators; what a step does not use has no gradient, so neither weight
decay nor momentum moves it.  Batch norm keeps no running statistics at all: training normalises by the
batch, and scoring first records the statistics of that very architecture on training images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from profiler.network import Network
from search.accuracy import AccuracySource, DrawArchitectures
from search.augmentation import Augmentation, batches, labels_to_torch, to_torch
from search.errors import SupernetError
from search.images import ImageData
from search.schedule import cosine
from search.space import G, SearchSpace
from search.threads import torch_threads
from search.unfolded import (
    SCORED_AT_ONCE,
    ChannelStatistics,
    FixedStatistics,
    RecordingStatistics,
    UnfoldedNetwork,
    batch_statistics,
    initial_weights,
)

_UNFOLDED_KEPT = 256
"""Architectures whose lowered form is remembered: a population and its offspring."""

_MOMENTS = ("exp_avg", "exp_avg_sq")
"""What torch's AdamW keeps for each weight beside its count of steps."""


@dataclass(frozen=True)
class SupernetParams:
    """Settings of the supernet's training.

    The optimiser is AdamW where CARS has SGD: an operation of a late node is drawn in one step of twenty,
    and only a step size of its own for each weight lets it learn in the few thousand steps there are.

    Attributes:
        epochs: Epochs over which the learning rate falls to its least value; it stays there afterwards.
        batch_size: Images a step.
        learning_rate: Of the first epoch.
        least_learning_rate: Of the last epoch; between them it follows half a cosine.
        weight_decay: On all weights that a step uses.
        gradient_clip: Largest norm of a step's gradient.
        calibration_images: Training images on which batch norm statistics are recorded before a scoring.
        augmentation: Of the training images; none by default, since shared weights are far from learning them by heart.
        threads: Threads that torch computes with; results depend on it in the last bits.
    """

    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 0.01
    least_learning_rate: float = 0.0005
    weight_decay: float = 3e-4
    gradient_clip: float = 5.0
    calibration_images: int = 256
    augmentation: Augmentation = field(default_factory=Augmentation)
    threads: int = 1


class Supernet(AccuracySource[G], Generic[G]):
    """Shared weights of a search space, trained and scored on one data set.

    Args:
        space: The search space.
        data: Training images to learn from, validation images to score on.
        params: Settings of the training.
        seed: Of the initial weights.

    Raises:
        SupernetError: The space's networks do not fit the images.
    """

    def __init__(
        self, space: SearchSpace[G], data: ImageData, params: SupernetParams | None = None, *, seed: int = 0
    ) -> None:
        self.space = space
        self.params = params or SupernetParams()
        self._identity = {"images": data.digest, "shared weights": f"{self.params} seed={seed}"}
        self._train = to_torch(data.train_x), labels_to_torch(data.train_y)
        self._validation = to_torch(data.val_x), labels_to_torch(data.val_y)
        self._unfolded = lru_cache(maxsize=_UNFOLDED_KEPT)(self._unfold)
        shapes: dict[str, tuple[int, ...]] = {}
        zero: set[str] = set()
        for genotype in space.covering():
            unfolded = self._unfold(genotype)
            _check_fit(unfolded.network, data)
            zero |= unfolded.output_kernels
            for name, shape in unfolded.weight_shapes.items():
                largest = shapes.get(name, shape)
                shapes[name] = shape if shape == largest else tuple(map(max, shape, largest))
        self.weights = initial_weights(shapes, np.random.default_rng(seed), zero=zero)
        self._optimiser = torch.optim.AdamW(
            self.weights.values(),
            lr=self.params.learning_rate,
            weight_decay=self.params.weight_decay,
            fused=True,
        )
        self.epochs_done = 0

    @property
    def identity(self) -> dict[str, str]:
        """Digest of the images, and settings and seed of the shared weights; see `AccuracySource.identity`."""
        return dict(self._identity)

    def learn(self, draw: DrawArchitectures[G], *, epochs: int, rng: np.random.Generator) -> float:
        """Train the shared weights; see `AccuracySource.learn`.  The returned loss is the cross entropy."""
        losses: list[float] = []
        with torch_threads(self.params.threads):
            for _ in range(epochs):
                losses += self._epoch(draw, rng)
        return float(np.mean(losses)) if losses else 0.0

    def step(self, genotypes: Sequence[G], images: Tensor, labels: Tensor) -> float:
        """Make one parameter step on one batch, with the mean of the architectures' gradients.

        Args:
            genotypes: The architectures, at least one.
            images: Shape: (n, channels, height, width).
            labels: Shape: (n,).

        Returns:
            Mean cross entropy of the architectures.

        Raises:
            SupernetError: There is no genotype, or the loss is no longer finite.
        """
        total = self.accumulate(genotypes, images, labels)
        if not math.isfinite(total):
            raise SupernetError("the supernet's loss is not finite; lower the learning rate")
        torch.nn.utils.clip_grad_norm_(self.weights.values(), self.params.gradient_clip)
        self._optimiser.step()
        return total

    def accumulate(self, genotypes: Sequence[G], images: Tensor, labels: Tensor) -> float:
        """Set the gradients of a step and leave the weights; what the architectures do not use has none (None).

        Takes, returns and raises what `step` does.
        """
        if not genotypes:
            raise SupernetError("a parameter step needs at least one architecture")
        self._optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for genotype in genotypes:
            logits = self._unfolded(genotype).run(self.weights, images, batch_statistics)
            loss = functional.cross_entropy(logits, labels) / len(genotypes)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    def evaluate(self, genotypes: Sequence[G]) -> npt.NDArray[np.float64]:
        """Return validation accuracies under the shared weights; see `AccuracySource.evaluate`."""
        images, labels = self._validation
        with torch_threads(self.params.threads):
            return np.array([float((self.logits(g, images).argmax(1) == labels).double().mean()) for g in genotypes])

    def logits(self, genotype: G, images: Tensor) -> Tensor:
        """Return an architecture's logits under the shared weights and its own recorded statistics.

        Args:
            genotype: The architecture.
            images: Shape: (n, channels, height, width).

        Returns:
            Shape: (n, classes).
        """
        unfolded, statistics = self._unfolded(genotype), FixedStatistics(self._statistics(genotype))
        with torch.no_grad():
            # All at once, the 10,000 validation images of CIFAR-10 would take gigabytes for each layer.
            parts = [unfolded.run(self.weights, part, statistics) for part in torch.split(images, SCORED_AT_ONCE)]
        return torch.cat(parts)

    def inherit(self, genotype: G) -> Network:
        """Return an architecture's Network with the shared weights, batch norms folded in.

        Its outputs are those of `logits`, up to rounding.
        """
        return self._unfolded(genotype).fold(self.weights, self._statistics(genotype))

    def weights_of(self, genotype: G) -> dict[str, Tensor]:
        """Return a copy of the shared weights that an architecture uses, to train it further by itself."""
        return {name: self.weights[name].detach().clone() for name in self._unfolded(genotype).weight_shapes}

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return weights, their moments and step counts, and the number of epochs; see `AccuracySource.state`."""
        state: dict[str, npt.NDArray[np.generic]] = {"epochs": np.array([self.epochs_done], dtype=np.int64)}
        for name, weight in self.weights.items():
            state[f"weight/{name}"] = _array(weight)
            for role, value in self._optimiser.state[weight].items():
                state[f"{role}/{name}"] = _array(value)
        return state

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take back what `state` returned; see `AccuracySource.restore`."""
        self._check_state(state)
        self.epochs_done = int(state["epochs"][0])
        self._optimiser.state.clear()
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(torch.from_numpy(state[f"weight/{name}"]))
                if f"step/{name}" in state:
                    moments = {
                        role: torch.empty_like(weight).copy_(torch.from_numpy(state[f"{role}/{name}"]))
                        for role in _MOMENTS
                    }
                    step = torch.from_numpy(state[f"step/{name}"]).clone()
                    self._optimiser.state[weight] = {"step": step, **moments}

    def _check_state(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        expected: dict[str, tuple[int, ...]] = {"epochs": (1,)}
        for name, weight in self.weights.items():
            expected[f"weight/{name}"] = tuple(weight.shape)
            if f"step/{name}" in state:
                expected |= {f"step/{name}": (), **{f"{role}/{name}": tuple(weight.shape) for role in _MOMENTS}}
        if state.keys() != expected.keys():
            raise SupernetError("the saved shared weights are not of this search space")
        for name, shape in expected.items():
            if state[name].shape != shape:
                raise SupernetError(f"saved {name!r} has shape {state[name].shape}, not {shape}")

    def _epoch(self, draw: DrawArchitectures[G], rng: np.random.Generator) -> list[float]:
        """Make one pass over the training images and return the losses of its steps."""
        params = self.params
        for group in self._optimiser.param_groups:
            group["lr"] = cosine(params.learning_rate, params.least_learning_rate, self.epochs_done, params.epochs)
        passed = batches(*self._train, params.batch_size, params.augmentation, rng)
        losses = [self.step(draw(rng), images, labels) for images, labels in passed]
        self.epochs_done += 1
        return losses

    def _unfold(self, genotype: G) -> UnfoldedNetwork:
        return UnfoldedNetwork(self.space.lower(genotype), self.space.input_parts(genotype))

    def _statistics(self, genotype: G) -> dict[str, ChannelStatistics]:
        """Record batch norm statistics of one architecture on training images."""
        recording = RecordingStatistics()
        with torch.no_grad():
            images = self._train[0][: self.params.calibration_images]
            self._unfolded(genotype).run(self.weights, images, recording)
        return recording.statistics()


def _check_fit(network: Network, data: ImageData) -> None:
    shape, classes = network.inputs[0].shape[1:], network.tensors[network.outputs[0]].shape[-1]
    if shape != data.image_shape or classes != data.classes:
        raise SupernetError(
            f"the space makes networks for images of {shape} in {classes} classes, "
            f"but {data.name!r} has {data.image_shape} in {data.classes}"
        )


def _array(values: Tensor) -> npt.NDArray[np.generic]:
    copied: npt.NDArray[np.generic] = np.array(values.detach().numpy(), order="C")
    return copied
