"""Owns the training of finalists: each by itself, from random weights, resumable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketnas._observer import Observer
from pocketnas.result import Candidate
from profiler.network import Network
from search.images import ImageData
from search.spaces import CarsSpace
from search.training import TrainingParams, train_network, training_digest

CHECKPOINTS_FOLDER = "training"


@dataclass(frozen=True)
class Trained:
    """A candidate with its own weights.

    Attributes:
        candidate: As the search found it.
        network: With the trained weights, batch norm folded.
        validation_accuracy: Orders the finalists.
    """

    candidate: Candidate
    network: Network
    validation_accuracy: float


def train_finalists(
    candidates: Sequence[Candidate],
    space: CarsSpace,
    data: ImageData,
    folder: Path,
    observer: Observer,
    *,
    epochs: int,
    seed: int,
) -> list[Trained]:
    """Train each candidate by itself, or go on with its checkpoint; other settings train anew beside it.

    Args:
        candidates: What to train.
        space: Their search space.
        data: Images to learn from and to validate on.
        folder: Folder of the search; a checkpoint of each training goes beneath it.
        observer: Who is told how it goes.
        epochs: Epochs of each training.
        seed: Of initial weights and of the order of images.

    Raises:
        TrainingError: A training diverged.
    """
    checkpoints = folder / CHECKPOINTS_FOLDER
    checkpoints.mkdir(exist_ok=True)
    trained, params = [], TrainingParams(epochs=epochs)
    with observer.progress(f"training {len(candidates)} finalists, epochs") as advance:
        for place, candidate in enumerate(candidates):

            def on_epoch(epoch: int, _loss: float, before: int = place * epochs) -> None:
                advance(before + epoch + 1, epochs * len(candidates))

            genotype = space.decode(candidate.genotype)
            network, parts = space.lower(genotype), space.input_parts(genotype)
            digest = training_digest(network, data, params, input_parts=parts, seed=seed)
            done = train_network(
                network,
                data,
                params,
                input_parts=parts,
                seed=seed,
                checkpoint=checkpoints / f"{candidate.name}-{digest}.safetensors",
                on_epoch=on_epoch,
            )
            trained.append(Trained(candidate, done.network, done.validation_accuracy))
    return trained
