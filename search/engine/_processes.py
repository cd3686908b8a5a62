"""The engine whose workers are processes of this machine."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from profiler.errors import NetworkError
from search.engine._answers import epoch_in, error_in, nonsense, score_in, trained_in
from search.engine._base import Engine, EvaluationJob, OnTrainingEpoch, TrainingJob
from search.engine._files import SharedFiles, read_arrays, write_tensors
from search.engine._pool import Pool, Task
from search.engine._requests import EvaluationRequest, TrainingRequest
from search.errors import EngineError, JobLostError, SearchError, TrainingError
from search.images import ImageData
from search.training import TrainedNetwork
from search.unfolded import Weights


class Processes(Engine):
    """Scores and trains in worker processes, each with one thread.

    A worker that is killed, crashes, writes nonsense or is silent for too long is replaced, and its job is done again,
    3 times at most.  Workers are started when there is work for them and end with this process, however it ends.

    Memory grows with the number of workers: each has some 180 MiB for torch, its own copies of the shared weights and
    of the images that are scored on (float32), and the activations of 256 images.  A worker that trains holds all
    images.  The private folder, in TMPDIR, holds the images and one snapshot of the shared weights.

    Args:
        count: Workers, >= 1; more than there are processors gain nothing.
        evaluation_limit_s: Longest time that scoring one network may take.
        epoch_limit_s: Longest time that an epoch of a training may take.
        warn: Told in a line of each worker that is lost.

    Raises:
        EngineError: The count is not positive, or there is no place for the private folder.
    """

    def __init__(
        self,
        count: int,
        *,
        evaluation_limit_s: float = 600.0,
        epoch_limit_s: float = 3600.0,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        if count < 1:
            raise EngineError(f"an engine needs at least 1 worker, not {count}")
        self._evaluation_limit_s, self._epoch_limit_s = evaluation_limit_s, epoch_limit_s
        try:
            self._scratch = tempfile.TemporaryDirectory(prefix="pocketnas-engine-", ignore_cleanup_errors=True)
        except OSError as err:
            raise EngineError(f"there is no place for files of workers: {err}") from err
        self.folder = Path(self._scratch.name)
        self._files = SharedFiles(self.folder)
        self._pool = Pool(self.folder, count, warn or _say_nothing)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run now."""
        return self._pool.pids

    def evaluate(
        self, jobs: Sequence[EvaluationJob], weights: Weights, data: ImageData, *, calibration_images: int
    ) -> npt.NDArray[np.float64]:
        """Score networks beside one another; see `Engine.evaluate`."""
        if not jobs:
            return np.zeros(0)
        images, shared = self._files.images(data), self._files.weights(weights)
        requests = [EvaluationRequest(job, shared, images, calibration_images) for job in jobs]
        tasks = [_Evaluation(request, self._evaluation_limit_s) for request in requests]
        self._pool.run(tasks, until_error=True)
        for task in tasks:
            if task.error is not None:
                raise task.error
        return np.array([task.score for task in tasks], dtype=np.float64)

    def train(
        self, jobs: Sequence[TrainingJob], data: ImageData, *, on_epoch: OnTrainingEpoch | None = None
    ) -> list[TrainedNetwork | SearchError]:
        """Train networks beside one another; see `Engine.train`."""
        if not jobs:
            return []
        images = self._files.images(data)
        tasks = []
        for place, job in enumerate(jobs):
            initial = None
            if job.initial is not None:
                initial = self.folder / f"initial-{place}.safetensors"
                write_tensors(initial, job.initial)
            teacher = None if job.teacher is None else self._files.teacher(job.teacher)
            request = TrainingRequest(job, images, initial, teacher, self.folder / f"trained-{place}.safetensors")
            tasks.append(_Training(request, self._epoch_limit_s, place, on_epoch))
        self._pool.run(tasks, until_error=False)
        for task in tasks:
            if task.error is not None and not isinstance(task.error, (TrainingError, JobLostError)):
                raise task.error
        return [task.outcome() for task in tasks]

    def close(self) -> None:
        """End the workers, whatever they do, and remove the files that they shared."""
        self._pool.close()
        self._scratch.cleanup()


class _Evaluation(Task):
    """Scoring one network."""

    def __init__(self, request: EvaluationRequest, limit_s: float) -> None:
        super().__init__(str(request.job), limit_s)
        self._request = request
        self.score = math.nan

    def request(self) -> bytes:
        return self._request.to_line()

    def take(self, answer: Mapping[str, Any]) -> bool:
        self.error = error_in(answer)
        if self.error is None:
            self.score = score_in(answer)
        return True


class _Training(Task):
    """Training one network."""

    def __init__(self, request: TrainingRequest, limit_s: float, place: int, on_epoch: OnTrainingEpoch | None) -> None:
        super().__init__(str(request.job), limit_s)
        self._request, self._place, self._on_epoch = request, place, on_epoch
        self._trained: TrainedNetwork | None = None

    def request(self) -> bytes:
        return self._request.to_line()

    def take(self, answer: Mapping[str, Any]) -> bool:
        epoch = epoch_in(answer)
        if epoch is not None:
            if self._on_epoch is not None:
                self._on_epoch(self._place, *epoch)
            return False
        self.error = error_in(answer)
        if self.error is None:
            try:
                network = self._request.job.network.with_weights(read_arrays(self._request.trained))
                self._request.trained.unlink()
            except (NetworkError, SafetensorError, OSError) as err:
                raise nonsense(err) from err
            self._trained = trained_in(answer, network)
        return True

    def outcome(self) -> TrainedNetwork | SearchError:
        """Return what came of it."""
        return self._trained or self.error or EngineError(f"{self.name} was never done")


def _say_nothing(text: str) -> None:
    """Nobody listens."""
