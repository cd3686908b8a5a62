"""The supernet: weights that all architectures of a space share, and the scores they give.

A step computes the operators of the architectures it trains and nothing else.  Weights are kept by the
names of the lowered network's operators, each as large as the largest architecture needs it; smaller ones use
a part.  What a step does not use does not move: no weight decay and no momentum touches it.  Batch norm
keeps no running statistics at all: training normalises by the batch, and scoring first records the statistics
of that very architecture on training images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Generic

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from profiler.network import Network
from search._shared_optimiser import SharedAdamW
from search._slices import Shape, parts_of
from search.accuracy import AccuracySource, DrawArchitectures
from search.augmentation import Augmentation, batches, labels_to_torch, to_torch
from search.engine import Engine, EvaluationJob, InProcess
from search.errors import SupernetError
from search.images import ImageData
from search.schedule import Schedule
from search.space import G, SearchSpace
from search.threads import torch_threads
from search.training import recorded_statistics
from search.unfolded import (
    SCORED_AT_ONCE,
    ChannelStatistics,
    FixedStatistics,
    UnfoldedNetwork,
    batch_statistics,
    initial_weights,
)

_COUNTED = "counted"
"""Name in the state of: epochs done, architectures left out, steps left out."""

_UNFOLDED_KEPT = 256
"""Architectures whose lowered form is remembered: a population and its offspring."""


@dataclass(frozen=True)
class SupernetParams:
    """Settings of the supernet's training.

    The optimiser is AdamW where CARS has SGD: an operation of a late node is drawn in one step of twenty,
    and only a step size of its own for each weight lets it learn in the few thousand steps there are.

    Attributes:
        epochs: Epochs that the schedule spans, >= 1; afterwards the learning rate stays at its least.
        batch_size: Images a step, >= 1.
        learning_rate: The highest, >= 0.
        schedule: How it moves; by default along half a cosine to a twentieth.
        weight_decay: On all weights that a step uses, >= 0.
        gradient_clip: Largest norm of a step's gradient, >= 0.
        calibration_images: Training images on which batch norm statistics are recorded before a scoring, >= 1.
        augmentation: Of the training images; none by default, since shared weights are far from learning them by heart.
        label_smoothing: Probability taken from the true class and spread over all, 0 to 1.
        mixup: Parameter alpha of mixup's Beta distribution; 0 for images that are not mixed.
        distil_from_largest: Share of the labels that is the answer of the space's largest architecture, 0 to 1;
            unless it is 0, that one is trained in each step beside those that are drawn (Yu et al. 2020, BigNAS).
        threads: Threads that torch trains with; results depend on it in the last bits.

    Raises:
        SupernetError: A setting is out of its range.
    """

    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 0.01
    schedule: Schedule = field(default_factory=lambda: Schedule(least=0.05))
    weight_decay: float = 3e-4
    gradient_clip: float = 5.0
    calibration_images: int = 256
    augmentation: Augmentation = field(default_factory=Augmentation)
    label_smoothing: float = 0.0
    mixup: float = 0.0
    distil_from_largest: float = 0.0
    threads: int = 1

    def __post_init__(self) -> None:
        for names, least, most in (
            (("epochs", "batch_size", "calibration_images", "threads"), 1, math.inf),
            (("learning_rate", "weight_decay", "gradient_clip", "mixup"), 0, math.inf),
            (("label_smoothing", "distil_from_largest"), 0, 1),
        ):
            for name in names:
                value = getattr(self, name)
                if not (math.isfinite(value) and least <= value <= most):
                    raise SupernetError(f"{name} must lie in {least} to {most}, not {value}")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a supernet's training passed over because a loss or a gradient was not finite.

    Attributes:
        architectures: Architectures that had no part in a step they were drawn for; each time counts.
        steps: Steps that changed nothing.
    """

    architectures: int = 0
    steps: int = 0


class Supernet(AccuracySource[G], Generic[G]):
    """Shared weights of a search space, trained and scored on one data set.

    Args:
        space: The search space.
        data: Training images to learn from, validation images to score on.
        params: Settings of the training.
        seed: Of the initial weights.
        engine: Where architectures are scored; in this process, one after the other, by default.

    Attributes:
        weights: The shared weights by name, each of the largest shape that any architecture has.
        left_out: What the training passed over so far.

    Raises:
        SupernetError: The space's networks do not fit the images.
    """

    def __init__(
        self,
        space: SearchSpace[G],
        data: ImageData,
        params: SupernetParams | None = None,
        *,
        seed: int = 0,
        engine: Engine | None = None,
    ) -> None:
        self.space = space
        self.params = params or SupernetParams()
        self.left_out = LeftOut()
        self.epochs_done = 0
        self._data, self._engine = data, engine or InProcess()
        self._identity = {"images": data.digest, "shared weights": f"{self.params} seed={seed}"}
        self._train = to_torch(data.train_x), labels_to_torch(data.train_y)
        self._unfolded = lru_cache(maxsize=_UNFOLDED_KEPT)(self._unfold)
        self.weights = self._initial_weights(seed)
        self._optimiser = SharedAdamW(self.weights, self.params.weight_decay)

    @property
    def identity(self) -> dict[str, str]:
        """Digest of the images, and settings and seed of the shared weights; see `AccuracySource.identity`."""
        return dict(self._identity)

    def learn(self, draw: DrawArchitectures[G], *, epochs: int, rng: np.random.Generator) -> float:
        """Train the shared weights; see `AccuracySource.learn`.

        The returned loss is the mean cross entropy of the steps that had a finite one; NaN if none had.
        """
        losses: list[float] = []
        with torch_threads(self.params.threads):
            for _ in range(epochs):
                losses += self._epoch(draw, rng)
        finite = [loss for loss in losses if math.isfinite(loss)]
        return float(np.mean(finite)) if finite else math.nan if losses else 0.0

    def step(self, genotypes: Sequence[G], images: Tensor, labels: Tensor) -> float:
        """Make one parameter step on one batch, with the mean of the architectures' gradients.

        An architecture whose loss is not finite is left out of the mean.  If none is left, or their gradient is
        not finite, the step changes nothing.  `left_out` counts both.

        Args:
            genotypes: The architectures, at least one.
            images: Shape: (n, channels, height, width).
            labels: Indices of shape (n,), or shares of the classes of shape (n, classes).

        Returns:
            Mean cross entropy of the architectures that count; NaN where the step changed nothing.

        Raises:
            SupernetError: There is no genotype.
        """
        drawn = self._drawn(genotypes)
        losses = self._accumulate(drawn, images, labels)
        norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), self.params.gradient_clip)
        if not losses or not norm.isfinite():
            self._optimiser.zero_grad()
            self.left_out = LeftOut(self.left_out.architectures + len(drawn), self.left_out.steps + 1)
            return math.nan
        self._optimiser.step(self._learning_rate, self._parts([drawn[place] for place in losses]))
        self.left_out = replace(self.left_out, architectures=self.left_out.architectures + len(drawn) - len(losses))
        return float(np.mean(list(losses.values())))

    def accumulate(self, genotypes: Sequence[G], images: Tensor, labels: Tensor) -> float:
        """Set the gradients of a step and leave the weights; what the architectures do not use has none (None).

        Takes, returns and raises what `step` does.
        """
        losses = self._accumulate(self._drawn(genotypes), images, labels)
        return float(np.mean(list(losses.values()))) if losses else math.nan

    def evaluate(self, genotypes: Sequence[G]) -> npt.NDArray[np.float64]:
        """Return validation accuracies under the shared weights; see `AccuracySource.evaluate`.

        NaN where an architecture's logits are not finite.
        """
        jobs = [EvaluationJob(unfolded.network, unfolded.input_parts) for unfolded in map(self._unfolded, genotypes)]
        images = self.params.calibration_images
        return self._engine.evaluate(jobs, self.weights, self._data, calibration_images=images)

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
        own = parts_of(self.weights, self._unfolded(genotype).weight_shapes)
        return {name: weight.detach().clone(memory_format=torch.preserve_format) for name, weight in own.items()}

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return weights, their moments and step counts, and the counters; see `AccuracySource.state`."""
        counted = (self.epochs_done, self.left_out.architectures, self.left_out.steps)
        weights = {f"weight/{name}": _array(weight) for name, weight in self.weights.items()}
        return {_COUNTED: np.array(counted, dtype=np.int64), **weights, **self._optimiser.state()}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take back what `state` returned; see `AccuracySource.restore`."""
        expected: dict[str, Shape] = {_COUNTED: (3,)}
        expected |= {f"weight/{name}": tuple(weight.shape) for name, weight in self.weights.items()}
        if not expected.keys() <= state.keys():
            raise SupernetError("the saved shared weights are not of this search space")
        for name, shape in expected.items():
            if state[name].shape != shape:
                raise SupernetError(f"saved {name!r} has shape {state[name].shape}, not {shape}")
        self._optimiser.restore({name: values for name, values in state.items() if name not in expected})
        self.epochs_done, *left_out = (int(count) for count in state[_COUNTED])
        self.left_out = LeftOut(*left_out)
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(torch.from_numpy(state[f"weight/{name}"]))

    def _epoch(self, draw: DrawArchitectures[G], rng: np.random.Generator) -> list[float]:
        """Make one pass over the training images and return the losses of its steps."""
        params, data = self.params, self._data
        augmentation = params.augmentation.fitting(data)
        passed = batches(*self._train, params.batch_size, augmentation, rng, mixup=params.mixup, classes=data.classes)
        losses = [self.step(draw(rng), images, labels) for images, labels in passed]
        self.epochs_done += 1
        return losses

    @property
    def _learning_rate(self) -> float:
        return self.params.learning_rate * self.params.schedule.factor(self.epochs_done, self.params.epochs)

    def _drawn(self, genotypes: Sequence[G]) -> list[G]:
        """Return the architectures that a step trains: the largest first, where the others learn from it."""
        if not genotypes:
            raise SupernetError("a parameter step needs at least one architecture")
        return [self.space.largest(), *genotypes] if self.params.distil_from_largest else list(genotypes)

    def _accumulate(self, drawn: Sequence[G], images: Tensor, labels: Tensor) -> dict[int, float]:
        """Set the gradients of a step; return the cross entropies that are finite, by the architecture's place."""
        self._optimiser.zero_grad()
        share = self.params.distil_from_largest
        losses: dict[int, float] = {}
        for place, genotype in enumerate(drawn):
            logits = self._unfolded(genotype).run(self.weights, images, batch_statistics)
            loss = functional.cross_entropy(logits, labels, label_smoothing=self.params.label_smoothing)
            if not loss.isfinite():
                continue
            (loss / len(drawn)).backward()  # type: ignore[no-untyped-call]
            losses[place] = loss.item()
            if share and place == 0:
                labels = _mixed_labels(labels, logits.detach(), share)
        if losses and len(losses) < len(drawn):
            for weight in self.weights.values():
                if weight.grad is not None:
                    weight.grad *= len(drawn) / len(losses)
        return losses

    def _parts(self, trained: Sequence[G]) -> dict[str, set[Shape]]:
        """Return the shapes of the parts that architectures use, of the weights that none of them uses whole."""
        used: dict[str, set[Shape]] = {}
        for genotype in trained:
            for name, shape in self._unfolded(genotype).weight_shapes.items():
                used.setdefault(name, set()).add(shape)
        return {name: shapes for name, shapes in used.items() if self.weights[name].shape not in shapes}

    def _initial_weights(self, seed: int) -> dict[str, Tensor]:
        shapes: dict[str, Shape] = {}
        zero: set[str] = set()
        for genotype in self.space.covering():
            unfolded = self._unfold(genotype)
            _check_fit(unfolded.network, self._data)
            zero |= unfolded.output_kernels
            for name, shape in unfolded.weight_shapes.items():
                largest = shapes.get(name, shape)
                shapes[name] = shape if shape == largest else tuple(map(max, shape, largest))
        return initial_weights(shapes, np.random.default_rng(seed), zero=zero)

    def _unfold(self, genotype: G) -> UnfoldedNetwork:
        return UnfoldedNetwork(self.space.lower(genotype), self.space.input_parts(genotype))

    def _statistics(self, genotype: G) -> dict[str, ChannelStatistics]:
        """Record batch norm statistics of one architecture on training images."""
        images = self._train[0][: self.params.calibration_images]
        return recorded_statistics(self._unfolded(genotype), self.weights, images)


def _mixed_labels(labels: Tensor, logits: Tensor, share: float) -> Tensor:
    """Return labels a share of which is another network's answer.  Shape: (n, classes)."""
    own = labels if labels.dim() == 2 else functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return own.lerp(logits.softmax(1), share)


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
