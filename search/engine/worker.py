"""A worker of an engine: `python -m search.engine.worker FOLDER`; scores and trains what its parent asks for.

Requests come on stdin and answers go to stdout, a JSON object a line.  What else is printed goes to stderr.
"""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
import traceback
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from torch import Tensor

from profiler.errors import PocketnasError
from search.engine._answers import READY, answer_line, epoch_fields, error_fields, score_fields, trained_fields
from search.engine._files import read_images, read_scoring_images, read_tensors, write_arrays
from search.engine._requests import EvaluationRequest, TrainingRequest, read_request
from search.engine._scoring import ScoringImages, own_weights, score
from search.images import ImageData
from search.threads import torch_threads
from search.unfolded import UnfoldedNetwork


def main(folder: str) -> None:
    """Serve until stdin ends: the parent has closed it, or is dead.

    Args:
        folder: The engine's private folder, removed at the end if the parent could not.
    """
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, folder), daemon=True).start()
    worker = _Worker(answers)
    try:
        with torch_threads(1):
            worker.say(READY)
            while True:
                worker.serve(requests.get())
    finally:
        # An ordinary end would wait for the thread that listens.
        traceback.print_exc()
        os._exit(1)


def _listen(requests: queue.SimpleQueue[bytes], folder: str) -> None:
    """Pass requests on; when there will be no more, end at once, whatever is being computed."""
    for line in sys.stdin.buffer:
        requests.put(line)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


class _Worker:
    """Does one job after the other, and remembers the images and shared weights of the last."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers = answers
        self._scoring_images = lru_cache(maxsize=1)(read_scoring_images)
        self._images = lru_cache(maxsize=1)(read_images)
        self._weights = lru_cache(maxsize=1)(_read_weights)

    def say(self, fields: Mapping[str, Any]) -> None:
        self._answers.write(answer_line(fields))

    def serve(self, line: bytes) -> None:
        try:
            request = read_request(line)
            if isinstance(request, EvaluationRequest):
                self.say(score_fields(self._score(request)))
            else:
                self._train(request)
        except PocketnasError as err:
            self.say(error_fields(err))

    def _score(self, request: EvaluationRequest) -> float:
        images: ScoringImages = self._scoring_images(request.images, request.calibration_images)
        unfolded = UnfoldedNetwork(request.job.network, request.job.input_parts)
        return score(unfolded, self._weights(request.weights), images)

    def _train(self, request: TrainingRequest) -> None:
        images: ImageData = self._images(request.images)
        trained = request.job.run(images, lambda epoch, loss: self.say(epoch_fields(epoch, loss)))
        write_arrays(request.trained, trained.network.weights or {})
        self.say(trained_fields(trained))


def _read_weights(path: Path) -> dict[str, Tensor]:
    return own_weights(read_tensors(path))


if __name__ == "__main__":
    main(sys.argv[1])
