"""Training of one architecture by itself: from a genotype to a Network with weights and its accuracy.

The accuracy is that of the Network that is returned, batch norms folded, run on the test images: who runs the
files that are written from it finds the same figure.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from profiler.formats import build_torch
from profiler.network import Network
from search._training_checkpoint import TrainingCheckpoint
from search.augmentation import Augmentation, batches, labels_to_torch, to_torch
from search.errors import TrainingError
from search.images import ImageData, Images, Labels
from search.schedule import cosine
from search.space import G, SearchSpace
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


@dataclass(frozen=True)
class TrainingParams:
    """Settings of a training.

    Attributes:
        epochs: Passes over the training images, >= 1.
        batch_size: Images a step, >= 1.
        learning_rate: Of the first epoch; it falls to 0 along half a cosine.
        momentum: Nesterov's, of stochastic gradient descent.
        weight_decay: On kernels; batch norms and biases have none.
        label_smoothing: Probability taken from the true class and spread over all.
        gradient_clip: Largest norm of a step's gradient.
        augmentation: Of the training images; they are mirrored only if the data set says that they may be.
        threads: Threads that torch computes with; results depend on it in the last bits.
    """

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    gradient_clip: float = 5.0
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(shift=0.125, mirror=True))
    threads: int = 1


@dataclass(frozen=True, eq=False)
class TrainedNetwork(Generic[G]):
    """What a training returns.

    Attributes:
        genotype: What was trained.
        network: Its Network with weights, batch norms folded in.
        accuracy: Share of test images that `network` classifies rightly, 0 to 1.
        validation_accuracy: The same on the validation images.
        losses: Mean training loss of each epoch.
    """

    genotype: G
    network: Network
    accuracy: float
    validation_accuracy: float
    losses: tuple[float, ...]


def train_network(
    space: SearchSpace[G],
    genotype: G,
    data: ImageData,
    params: TrainingParams | None = None,
    *,
    seed: int = 0,
    initial: Mapping[str, Tensor] | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainedNetwork[G]:
    """Train one architecture.

    The same arguments give the same weights on the same machine, whether or not the training was interrupted
    in between.

    Args:
        space: The space of the genotype.
        genotype: The architecture.
        data: Images to train, validate and test on.
        params: Settings.
        seed: Of the initial weights, and of the order and augmentation of the images.
        initial: Weights to start from, as `Supernet.weights_of` gives them; random ones if None.
        checkpoint: File (safetensors) that is written after each epoch, and gone on from where it exists.
        on_epoch: Called after each epoch.

    Raises:
        TrainingError: The loss stopped being finite, or the checkpoint is of another training.
    """
    params = params or TrainingParams()
    unfolded = UnfoldedNetwork(space.lower(genotype), space.input_parts(genotype))
    weights = initial_weights(unfolded.weight_shapes, np.random.default_rng(seed))
    if initial is not None:
        _start_from(weights, initial)
    identity = _identity(space, genotype, data, params, seed, initial)
    saved = None if checkpoint is None else TrainingCheckpoint(checkpoint, identity)
    with torch_threads(params.threads):
        losses = _train(unfolded, weights, data, params, seed, saved, on_epoch)
        network = unfolded.fold(weights, recorded_statistics(unfolded, weights, to_torch(data.train_x)))
        return TrainedNetwork(
            genotype=genotype,
            network=network,
            accuracy=network_accuracy(network, data.test_x, data.test_y),
            validation_accuracy=network_accuracy(network, data.val_x, data.val_y),
            losses=tuple(losses),
        )


def training_digest(
    space: SearchSpace[G], genotype: G, data: ImageData, params: TrainingParams | None = None, *, seed: int = 0
) -> str:
    """Return 8 hex digits that tell trainings from random weights apart, for the names of their checkpoints.

    Takes what `train_network` takes.
    """
    identity = _identity(space, genotype, data, params or TrainingParams(), seed, None)
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def _identity(
    space: SearchSpace[G],
    genotype: G,
    data: ImageData,
    params: TrainingParams,
    seed: int,
    initial: Mapping[str, Tensor] | None,
) -> str:
    """Return all that the weights depend on, in words."""
    images = f"images={data.digest}"
    return f"{space.identity} | {genotype.key} | {images} | {params} | seed={seed} initial={initial is not None}"


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


def _train(
    unfolded: UnfoldedNetwork,
    weights: Mapping[str, Tensor],
    data: ImageData,
    params: TrainingParams,
    seed: int,
    saved: TrainingCheckpoint | None,
    on_epoch: OnEpoch | None,
) -> list[float]:
    """Train weights in place, from the checkpoint on if there is one, and return the mean loss of each epoch."""
    optimiser = _optimiser(weights, params)
    losses = [] if saved is None else saved.load(weights, optimiser)
    for epoch in range(len(losses), params.epochs):
        for group in optimiser.param_groups:
            group["lr"] = cosine(params.learning_rate, 0.0, epoch, params.epochs)
        losses.append(_train_epoch(unfolded, weights, optimiser, data, params, np.random.default_rng([seed, epoch])))
        if not math.isfinite(losses[-1]):
            raise TrainingError("the loss is not finite; lower the learning rate", epoch=epoch)
        if saved is not None:
            saved.save(weights, optimiser, losses)
        if on_epoch is not None:
            on_epoch(epoch, losses[-1])
    return losses


def _train_epoch(
    unfolded: UnfoldedNetwork,
    weights: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
    data: ImageData,
    params: TrainingParams,
    rng: np.random.Generator,
) -> float:
    losses: list[float] = []
    images, labels = to_torch(data.train_x), labels_to_torch(data.train_y)
    augmentation = replace(params.augmentation, mirror=params.augmentation.mirror and data.mirrored)
    for some, classes in batches(images, labels, params.batch_size, augmentation, rng):
        optimiser.zero_grad(set_to_none=True)
        logits = unfolded.run(weights, some, batch_statistics)
        loss = functional.cross_entropy(logits, classes, label_smoothing=params.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights.values(), params.gradient_clip)
        optimiser.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _optimiser(weights: Mapping[str, Tensor], params: TrainingParams) -> torch.optim.SGD:
    kernels = [weight for name, weight in weights.items() if "/kernel" in name]
    others = [weight for name, weight in weights.items() if "/kernel" not in name]
    return torch.optim.SGD(
        [{"params": kernels, "weight_decay": params.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=params.learning_rate,
        momentum=params.momentum,
        nesterov=True,
    )


def _start_from(weights: Mapping[str, Tensor], initial: Mapping[str, Tensor]) -> None:
    """Copy initial values into weights."""
    wrong = [name for name, weight in weights.items() if name not in initial or initial[name].shape != weight.shape]
    if wrong:
        raise TrainingError(f"the initial weights lack {wrong[0]!r}, or it has another shape")
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(initial[name])
