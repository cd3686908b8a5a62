"""Knowledge distillation: a trained network whose logits another one learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor
from torch.nn import functional

from profiler.errors import NetworkError
from profiler.formats import NetworkModule, build_torch
from profiler.network import Network
from profiler.whole_file import write_whole_file
from search.errors import TrainingError
from search.space import G, SearchSpace

if TYPE_CHECKING:
    from search.supernet import Supernet  # which scores through an engine, which trains, which may need a teacher

_FORMAT = "pocketnas-teacher-1"


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained classifier whose logits another network learns from.

    Its batch norms are folded into its weights, so that its answer to an image depends on that image alone.

    Attributes:
        network: One image input, one output of logits; with weights.

    Raises:
        TrainingError: The network has no weights.
    """

    network: Network

    def __post_init__(self) -> None:
        if self.network.weights is None:
            raise TrainingError("a teacher needs weights")

    @cached_property
    def identity(self) -> str:
        """SHA-256 (32 hex digits) of the network and its weights; trainings are resumed only under the same teacher."""
        digest = hashlib.sha256(self.network.to_json().encode())
        for name, weight in sorted((self.network.weights or {}).items()):
            digest.update(f"{name} {weight.shape}".encode())
            digest.update(np.ascontiguousarray(weight).data)
        return digest.hexdigest()[:32]

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of images.

        Args:
            images: Shape: (n, channels, height, width), best in channels-last memory.

        Returns:
            Shape: (n, classes), without a gradient.
        """
        with torch.no_grad():
            logits: Tensor = self._module(images.permute(0, 2, 3, 1))[0]
        return logits

    def save(self, path: Path) -> None:
        """Write the teacher to a safetensors file, which is replaced at once or not at all."""
        metadata = {"format": _FORMAT, "network": self.network.to_json()}
        weights = {name: np.ascontiguousarray(weight) for name, weight in (self.network.weights or {}).items()}
        write_whole_file(path, save(weights, metadata))

    @classmethod
    def load(cls, path: Path) -> Teacher:
        """Return the teacher that `save` wrote; it has the same identity.

        Raises:
            TrainingError: The file is not one of a teacher.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                metadata: Mapping[str, str] = file.metadata() or {}
                if metadata.get("format") != _FORMAT:
                    raise TrainingError(f"{str(path)!r} does not hold a teacher")
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return cls(Network.from_json(metadata["network"]).with_weights(weights))
        except (SafetensorError, OSError, KeyError, NetworkError) as err:
            raise TrainingError(f"{str(path)!r} does not hold a teacher ({err})") from err

    @cached_property
    def _module(self) -> NetworkModule:
        return build_torch(self.network).eval()


def largest_teacher(supernet: Supernet[G], space: SearchSpace[G]) -> Teacher:
    """Return the largest network of a space with the supernet's weights, and the statistics recorded for it."""
    return Teacher(supernet.inherit(space.largest()))


def distillation_loss(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Return how far logits are from the teacher's: KL divergence of the softened classes, times temperature squared.

    The square keeps the gradient's scale whatever the temperature.

    Args:
        logits: Of the network that learns.  Shape: (n, classes).
        taught: Of the teacher.  Shape: (n, classes).
        temperature: Both are divided by it, > 0.

    Source: Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network".
    """
    own, other = (functional.log_softmax(values / temperature, dim=1) for values in (logits, taught))
    return functional.kl_div(own, other, reduction="batchmean", log_target=True) * temperature**2
