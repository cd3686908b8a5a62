"""What workers are asked, as JSON objects: one line each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from profiler.network import Network
from search.distillation import Teacher
from search.engine._base import EvaluationJob, TrainingJob
from search.engine._files import read_tensors
from search.training import TrainingParams


@dataclass(frozen=True, eq=False)
class EvaluationRequest:
    """Score a network.

    Attributes:
        job: The network.
        weights: File of the shared weights.
        images: File of the data set.
        calibration_images: How many training images batch norm statistics are recorded on.
    """

    job: EvaluationJob
    weights: Path
    images: Path
    calibration_images: int

    def to_line(self) -> bytes:
        """Return the request as a worker reads it."""
        return _line(
            {
                "request": "evaluate",
                "network": self.job.network.to_json(),
                "input_parts": dict(self.job.input_parts),
                "weights": str(self.weights),
                "images": str(self.images),
                "calibration_images": self.calibration_images,
            }
        )


@dataclass(frozen=True, eq=False)
class TrainingRequest:
    """Train a network.

    Attributes:
        job: The network and how it is trained.
        images: File of the data set.
        initial: File of the weights to start from; random ones if None.
        teacher: File of the teacher; None for labels alone.
        trained: File to write the trained weights to.
    """

    job: TrainingJob
    images: Path
    initial: Path | None
    teacher: Path | None
    trained: Path

    def to_line(self) -> bytes:
        """Return the request as a worker reads it."""
        job = self.job
        return _line(
            {
                "request": "train",
                "network": job.network.without_weights().to_json(),
                "input_parts": dict(job.input_parts),
                "params": job.params.to_json(),
                "seed": job.seed,
                "images": str(self.images),
                "initial": self.initial and str(self.initial),
                "teacher": self.teacher and str(self.teacher),
                "checkpoint": job.checkpoint and str(job.checkpoint.absolute()),
                "trained": str(self.trained),
            }
        )


def read_request(line: bytes) -> EvaluationRequest | TrainingRequest:
    """Read a request in the worker; it comes from our own parent and is trusted."""
    fields: Mapping[str, Any] = json.loads(line)
    network = Network.from_json(fields["network"])
    parts = {name: tuple(found) for name, found in fields["input_parts"].items()}
    images = Path(fields["images"])
    if fields["request"] == "evaluate":
        job = EvaluationJob(network, parts)
        return EvaluationRequest(job, Path(fields["weights"]), images, fields["calibration_images"])
    initial, teacher, checkpoint = (
        None if fields[name] is None else Path(fields[name]) for name in ("initial", "teacher", "checkpoint")
    )
    training = TrainingJob(
        network,
        TrainingParams.from_json(fields["params"]),
        seed=fields["seed"],
        input_parts=parts,
        initial=None if initial is None else read_tensors(initial),
        teacher=None if teacher is None else Teacher.load(teacher),
        checkpoint=checkpoint,
    )
    return TrainingRequest(training, images, initial, teacher, Path(fields["trained"]))


def _line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, allow_nan=False).encode() + b"\n"
