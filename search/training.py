"""Training of one network by itself: from a Network without weights to one with them, and its accuracy.

The accuracy is that of the Network that is returned, batch norms folded, run on the test images: who runs the
files that are written from it finds the same figure.  Where weights are averaged (EMA), the average is what is
validated, tested and returned.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from profiler.formats import build_torch
from profiler.network import Network
from search._training_checkpoint import TrainingCheckpoint
from search._weight_average import WeightAverage
from search.augmentation import AUGMENTATIONS, Augmentation, batches, labels_to_torch, to_torch
from search.distillation import Teacher, distillation_loss
from search.errors import TrainingError
from search.images import ImageData, Images, Labels
from search.schedule import Schedule
from search.threads import torch_threads
from search.unfolded import (
    SCORED_AT_ONCE,
    ChannelStatistics,
    RecordingStatistics,
    UnfoldedNetwork,
    batch_statistics,
    initial_weights,
)

OnEpoch = Callable[[int, float], None]
"""Takes the number of an epoch, from 0, and its mean loss."""

InputParts = Mapping[str, tuple[str, ...]]
"""Names of the parts of operators' inputs; see `SearchSpace.input_parts`."""


@dataclass(frozen=True)
class TrainingParams:
    """Settings of a training.

    The defaults are for small networks and tens of epochs.  There mixup and RandAugment take accuracy away, and an
    average of weights adds none where the learning rate falls to 0; all three are for longer trainings.

    Attributes:
        epochs: Passes over the training images, >= 1.
        batch_size: Images a step, >= 1.
        learning_rate: The highest, > 0.
        schedule: How the learning rate moves; by default it falls to 0 along half a cosine.
        momentum: Nesterov's, of stochastic gradient descent, 0 to 1 (excluded).
        weight_decay: On kernels; batch norms and biases have none.  >= 0.
        label_smoothing: Probability taken from the true class and spread over all, 0 to 1.
        gradient_clip: Largest norm of a step's gradient, > 0.
        augmentation: Of the training images; they are mirrored only if the data set says that they may be.
        mixup: Parameter alpha of mixup's Beta distribution; 0 for images that are not mixed.
        average_decay: Share of the weights' average (EMA) that a step leaves, 0 to 1 (excluded); 0 for no average.
        distillation: Share of the loss that is the distance from the teacher's logits, 0 to 1; for trainings with a
            teacher only.
        temperature: Divides the logits of both before they are compared, > 0.
        threads: Threads that torch computes with; results depend on it in the last bits.

    Raises:
        TrainingError: A setting is out of its range.
    """

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 0.1
    schedule: Schedule = field(default_factory=Schedule)
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    gradient_clip: float = 5.0
    augmentation: Augmentation = AUGMENTATIONS["basic"]
    mixup: float = 0.0
    average_decay: float = 0.0
    distillation: float = 0.5
    temperature: float = 3.0
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "threads"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("learning_rate", "gradient_clip", "temperature"):
            _check(name, getattr(self, name), 0 < getattr(self, name) < math.inf, "above 0")
        for name in ("weight_decay", "mixup"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) < math.inf, "at least 0")
        for name in ("momentum", "average_decay"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name in ("label_smoothing", "distillation"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "from 0 to 1")

    def to_json(self) -> str:
        """Return the settings as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TrainingParams:
        """Return the settings that `to_json` wrote; what is left out has its default.

        Raises:
            TrainingError: The text holds anything else.
        """
        try:
            values = json.loads(text)
            parts = {"schedule": Schedule, "augmentation": Augmentation}
            return cls(**{name: parts[name](**value) if name in parts else value for name, value in values.items()})
        except (json.JSONDecodeError, AttributeError, TypeError) as err:
            raise TrainingError(f"no settings of a training: {err}") from err


def _check(name: str, value: float, right: bool, range_in_words: str) -> None:
    if not right:
        raise TrainingError(f"{name} must be {range_in_words}, not {value}")


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """What a training returns.

    Attributes:
        network: The Network with weights, batch norms folded in.
        accuracy: Share of test images that `network` classifies rightly, 0 to 1.
        validation_accuracy: The same on the validation images.
        losses: Mean training loss of each epoch.
    """

    network: Network
    accuracy: float
    validation_accuracy: float
    losses: tuple[float, ...]


def train_network(
    network: Network,
    data: ImageData,
    params: TrainingParams | None = None,
    *,
    input_parts: InputParts | None = None,
    seed: int = 0,
    initial: Mapping[str, Tensor] | None = None,
    teacher: Teacher | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainedNetwork:
    """Train one network.

    The same arguments give the same weights on the same machine, whether or not the training was interrupted
    in between.

    Args:
        network: A classifier: one image input, one output of logits.  Weights that it has do not matter.
        data: Images to train, validate and test on.
        params: Settings.
        input_parts: Kernels that are kept as several blocks, as `SearchSpace.input_parts` gives them for networks of a
            space; they are drawn block by block, and `initial` has them so.
        seed: Of the initial weights, and of the order and augmentation of the images.
        initial: Weights to start from, as `Supernet.weights_of` gives them; random ones if None.
        teacher: A network whose logits are learnt from beside the labels.
        checkpoint: File (safetensors) that is written after each epoch, and gone on from where it exists.
        on_epoch: Called after each epoch.

    Raises:
        TrainingError: The network does not fit the images, the loss stopped being finite, or the checkpoint is of
            another training or cannot be written.
        SupernetError: The network has an operator that cannot be trained.
    """
    params = params or TrainingParams()
    _check_fit(network, data)
    if teacher is not None:
        _check_fit(teacher.network, data)
    unfolded = UnfoldedNetwork(network, input_parts)
    weights = initial_weights(unfolded.weight_shapes, np.random.default_rng(seed), zero=unfolded.output_kernels)
    if initial is not None:
        _start_from(weights, initial)
    training = _Training(unfolded, weights, data, params, seed, teacher)
    identity = _identity(network, data, params, input_parts, seed, teacher, initial)
    saved = None if checkpoint is None else TrainingCheckpoint(checkpoint, identity)
    with torch_threads(params.threads):
        losses = training.run(saved, on_epoch)
        averages = training.average.weights
        trained = unfolded.fold(averages, recorded_statistics(unfolded, averages, to_torch(data.train_x)))
        return TrainedNetwork(
            network=trained,
            accuracy=network_accuracy(trained, data.test_x, data.test_y),
            validation_accuracy=network_accuracy(trained, data.val_x, data.val_y),
            losses=tuple(losses),
        )


def training_digest(
    network: Network,
    data: ImageData,
    params: TrainingParams | None = None,
    *,
    input_parts: InputParts | None = None,
    seed: int = 0,
    teacher: Teacher | None = None,
) -> str:
    """Return 8 hex digits that tell trainings from random weights apart, for the names of their checkpoints.

    Takes what `train_network` takes.
    """
    identity = _identity(network, data, params or TrainingParams(), input_parts, seed, teacher, None)
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def _identity(
    network: Network,
    data: ImageData,
    params: TrainingParams,
    input_parts: InputParts | None,
    seed: int,
    teacher: Teacher | None,
    initial: Mapping[str, Tensor] | None,
) -> str:
    """Return all that the weights depend on, in words."""
    # Names matter beside the key: weights are drawn in the order of operators.
    architecture = _digest(network.to_json(), json.dumps(dict(input_parts or {}), sort_keys=True))
    start = "random"
    if initial is not None:
        start = _digest(*(f"{name} {initial[name].detach().numpy().tobytes().hex()}" for name in sorted(initial)))
    taught = "none" if teacher is None else teacher.identity
    return f"{architecture} | images={data.digest} | {params} | seed={seed} initial={start} teacher={taught}"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]


def _check_fit(network: Network, data: ImageData) -> None:
    ends = f"{len(network.inputs)} input(s) and {len(network.outputs)} output(s)"
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise TrainingError(f"network {network.name!r} has {ends}; a classifier of images has one of each")
    shape, logits = network.inputs[0].shape[1:], network.tensors[network.outputs[0]].shape
    if shape != data.image_shape or logits != (1, data.classes):
        raise TrainingError(
            f"network {network.name!r} takes images of {shape} and returns {logits}, "
            f"but {data.name!r} has images of {data.image_shape} in {data.classes} classes"
        )


def network_accuracy(network: Network, images: Images, labels: Labels) -> float:
    """Return the share of images that a Network classifies rightly, as the torch module built from it does.

    Args:
        network: A classifier with weights: one image input, one output of logits.
        images: Pixels as the network takes them.  Shape: (n, height, width, channels), n >= 1.
        labels: Shape: (n,).
    """
    module = build_torch(network).eval()
    right = 0
    with torch.no_grad():
        for start in range(0, len(labels), SCORED_AT_ONCE):
            (logits,) = module(torch.from_numpy(images[start : start + SCORED_AT_ONCE]))
            right += int((logits.argmax(1).numpy() == labels[start : start + SCORED_AT_ONCE]).sum())
    return right / len(labels)


def recorded_statistics(
    unfolded: UnfoldedNetwork, weights: Mapping[str, Tensor], images: Tensor
) -> dict[str, ChannelStatistics]:
    """Return the batch norm statistics of a network on images.

    Args:
        unfolded: The network.
        weights: Its weights.
        images: Shape: (n, channels, height, width).
    """
    recording = RecordingStatistics()
    with torch.no_grad():
        # Parts of nearly equal size: statistics of a few left-over images would be far off.
        for part in torch.tensor_split(images, math.ceil(len(images) / SCORED_AT_ONCE)):
            unfolded.run(weights, part, recording)
    return recording.statistics()


class _Training:
    """The weights of a training, and all that changes with them.

    Attributes:
        average: The average of the weights.
    """

    def __init__(
        self,
        unfolded: UnfoldedNetwork,
        weights: Mapping[str, Tensor],
        data: ImageData,
        params: TrainingParams,
        seed: int,
        teacher: Teacher | None,
    ) -> None:
        self._unfolded, self._weights, self._params = unfolded, weights, params
        self._seed, self._teacher, self._classes = seed, teacher, data.classes
        self._images, self._labels = to_torch(data.train_x), labels_to_torch(data.train_y)
        self._augmentation = params.augmentation.fitting(data)
        self._optimiser = _optimiser(weights, params)
        self.average = WeightAverage(weights, params.average_decay)

    def run(self, saved: TrainingCheckpoint | None, on_epoch: OnEpoch | None) -> list[float]:
        """Train, from the checkpoint on if there is one, and return the mean loss of each epoch."""
        state = self._weights, self.average.weights, self._optimiser
        losses = [] if saved is None else saved.load(*state)
        for epoch in range(len(losses), self._params.epochs):
            losses.append(self._epoch(epoch))
            if saved is not None:
                saved.save(*state, losses)
            if on_epoch is not None:
                on_epoch(epoch, losses[-1])
        return losses

    def _epoch(self, epoch: int) -> float:
        params, rng = self._params, np.random.default_rng([self._seed, epoch])
        steps = max(1, len(self._labels) // params.batch_size)
        passed = batches(
            self._images,
            self._labels,
            params.batch_size,
            self._augmentation,
            rng,
            mixup=params.mixup,
            classes=self._classes,
        )
        total = 0.0
        for step, (images, labels) in enumerate(passed):
            factor = params.schedule.factor(epoch + (step + 0.5) / steps, params.epochs)
            for group in self._optimiser.param_groups:
                group["lr"] = params.learning_rate * factor
            loss = self._step(images, labels)
            if not math.isfinite(loss):
                raise TrainingError("the loss is not finite; lower the learning rate", epoch=epoch)
            self.average.update(epoch * steps + step)
            total += loss
        return total / steps

    def _step(self, images: Tensor, labels: Tensor) -> float:
        params = self._params
        self._optimiser.zero_grad(set_to_none=True)
        logits = self._unfolded.run(self._weights, images, batch_statistics)
        loss = functional.cross_entropy(logits, labels, label_smoothing=params.label_smoothing)
        if self._teacher is not None:
            distance = distillation_loss(logits, self._teacher.logits(images), params.temperature)
            loss = torch.lerp(loss, distance, params.distillation)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._weights.values(), params.gradient_clip, foreach=True)
        self._optimiser.step()
        return loss.item()


def _optimiser(weights: Mapping[str, Tensor], params: TrainingParams) -> torch.optim.SGD:
    kernels = [weight for weight in weights.values() if weight.dim() > 1]
    others = [weight for weight in weights.values() if weight.dim() == 1]
    return torch.optim.SGD(
        [{"params": kernels, "weight_decay": params.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=params.learning_rate,
        momentum=params.momentum,
        nesterov=params.momentum > 0,
        fused=True,
    )


def _start_from(weights: Mapping[str, Tensor], initial: Mapping[str, Tensor]) -> None:
    """Copy initial values into weights."""
    wrong = [name for name, weight in weights.items() if name not in initial or initial[name].shape != weight.shape]
    if wrong:
        raise TrainingError(f"the initial weights lack {wrong[0]!r}, or it has another shape")
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(initial[name])
