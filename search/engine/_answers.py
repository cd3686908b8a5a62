"""What workers answer, as JSON objects, one line each; and what of it is believed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from profiler.errors import PocketnasError
from profiler.network import Network
from search.errors import EngineError, SearchError, SupernetError, TrainingError
from search.training import TrainedNetwork

READY = {"ready": True}
"""What a worker says before its first job."""


class WorkerLostError(Exception):
    """A worker ended, or says what no worker says; caught where jobs are handed out, and the worker is replaced.

    Args:
        how: What happened to it, in words.
    """

    def __init__(self, how: str) -> None:
        self.how = how
        super().__init__(how)


def nonsense(sent: object) -> WorkerLostError:
    """Return the error for a worker that sent what no worker sends."""
    return WorkerLostError(f"sent {str(sent)[:80]!r}, which no worker sends")


def answer_line(fields: Mapping[str, Any]) -> bytes:
    """Return an answer as a line."""
    return json.dumps(fields, allow_nan=False).encode() + b"\n"


def read_answer(line: bytes) -> dict[str, Any]:
    """Read an answer.

    Raises:
        WorkerLostError: The line is no JSON object.
    """
    try:
        answer = json.loads(line)
    except ValueError as err:
        raise nonsense(line.decode(errors="replace")) from err
    if not isinstance(answer, dict):
        raise nonsense(answer)
    return answer


def error_fields(error: PocketnasError) -> dict[str, Any]:
    """Return an error of ours as an answer; `error_in` makes it again."""
    if isinstance(error, TrainingError):
        return {"error": "training", "text": error.problem, "epoch": error.epoch}
    return {"error": "supernet" if isinstance(error, SupernetError) else "other", "text": str(error)}


def error_in(answer: Mapping[str, Any]) -> SearchError | None:
    """Return the error that an answer tells of; None if it tells of none.

    Raises:
        WorkerLostError: The answer is neither.
    """
    match answer:
        case {"error": "training", "text": str(text), "epoch": int() | None as epoch}:
            return TrainingError(text, epoch=epoch)
        case {"error": "supernet", "text": str(text)}:
            return SupernetError(text)
        case {"error": "other", "text": str(text)}:
            return EngineError(text)
        case {"error": _}:
            raise nonsense(answer)
    return None


def score_fields(score: float) -> dict[str, Any]:
    """Return an accuracy as an answer; JSON has no NaN."""
    return {"accuracy": None if math.isnan(score) else score}


def score_in(answer: Mapping[str, Any]) -> float:
    """Return the accuracy in an answer.

    Raises:
        WorkerLostError: There is none from 0 to 1.
    """
    match answer:
        case {"accuracy": None}:
            return math.nan
        case {"accuracy": float(score)} if 0 <= score <= 1:
            return score
    raise nonsense(answer)


def epoch_fields(epoch: int, loss: float) -> dict[str, Any]:
    """Return the end of an epoch as an answer; `epoch_in` reads it."""
    return {"epoch": epoch, "loss": loss}


def epoch_in(answer: Mapping[str, Any]) -> tuple[int, float] | None:
    """Return (epoch, loss) of an answer that tells of an epoch; None if it tells of something else."""
    match answer:
        case {"epoch": int(epoch), "loss": float(loss)}:
            return epoch, loss
    return None


def trained_fields(trained: TrainedNetwork) -> dict[str, Any]:
    """Return what came of a training, but for the weights, as an answer; `trained_in` reads it."""
    return {
        "accuracy": trained.accuracy,
        "validation_accuracy": trained.validation_accuracy,
        "losses": list(trained.losses),
    }


def trained_in(answer: Mapping[str, Any], network: Network) -> TrainedNetwork:
    """Return what came of a training.

    Args:
        answer: The answer.
        network: The network with its trained weights.

    Raises:
        WorkerLostError: The answer tells of no training.
    """
    match answer:
        case {"accuracy": float(test), "validation_accuracy": float(validation), "losses": [*losses]} if all(
            isinstance(value, float) for value in losses
        ):
            return TrainedNetwork(
                network=network, accuracy=test, validation_accuracy=validation, losses=tuple(map(float, losses))
            )
    raise nonsense(answer)
