"""The engine that has no workers: everything is done here, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from search.engine._base import Engine, EvaluationJob, OnTrainingEpoch, TrainingJob
from search.engine._scoring import ScoringImages, own_weights, score
from search.errors import SearchError, TrainingError
from search.images import ImageData
from search.threads import torch_threads
from search.training import TrainedNetwork
from search.unfolded import UnfoldedNetwork, Weights


class InProcess(Engine):
    """Scores and trains in this process, with one thread."""

    def __init__(self) -> None:
        self._images: tuple[tuple[str, int], ScoringImages] | None = None

    def evaluate(
        self, jobs: Sequence[EvaluationJob], weights: Weights, data: ImageData, *, calibration_images: int
    ) -> npt.NDArray[np.float64]:
        """Score one network after the other; see `Engine.evaluate`."""
        images, own = self._scoring_images(data, calibration_images), own_weights(weights)
        with torch_threads(1):
            scores = [score(UnfoldedNetwork(job.network, job.input_parts), own, images) for job in jobs]
        return np.array(scores, dtype=np.float64)

    def train(
        self, jobs: Sequence[TrainingJob], data: ImageData, *, on_epoch: OnTrainingEpoch | None = None
    ) -> list[TrainedNetwork | SearchError]:
        """Train one network after the other; see `Engine.train`."""
        results: list[TrainedNetwork | SearchError] = []
        for place, job in enumerate(jobs):
            try:
                results.append(job.run(data, None if on_epoch is None else partial(on_epoch, place)))
            except TrainingError as err:
                results.append(err)
        return results

    def close(self) -> None:
        """Forget the images."""
        self._images = None

    def _scoring_images(self, data: ImageData, calibration_images: int) -> ScoringImages:
        key = data.digest, calibration_images
        if self._images is None or self._images[0] != key:
            self._images = key, ScoringImages.of(data.train_x[:calibration_images], data.val_x, data.val_y)
        return self._images[1]
