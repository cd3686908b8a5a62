"""The checkpoint of a training: weights, their averages, momenta and losses in one safetensors file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from profiler.whole_file import write_whole_file
from search.errors import TrainingError

_FORMAT = "pocketnas-training-2"


class TrainingCheckpoint:
    """A file from which an interrupted training goes on.

    What is drawn at random in an epoch follows from the seed and the epoch's number, so no generator is kept.

    Args:
        path: The file; it need not exist.
        identity: Of the training; only a checkpoint with the same one is taken.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path, self._identity = path, identity

    def save(
        self,
        weights: Mapping[str, Tensor],
        averages: Mapping[str, Tensor],
        optimiser: torch.optim.SGD,
        losses: list[float],
    ) -> None:
        """Write the state after an epoch; the file is replaced at once or not at all.

        Args:
            weights: By name.
            averages: Of the weights, by the same names; `weights` itself where no average is kept.
            optimiser: Has the momenta.
            losses: Of the epochs that are done.

        Raises:
            TrainingError: The file cannot be written.
        """
        tensors: dict[str, Tensor] = {}
        for name, weight in weights.items():
            tensors[f"weight/{name}"] = weight.detach().contiguous()
            if averages is not weights:
                tensors[f"average/{name}"] = averages[name].contiguous()
            tensors[f"momentum/{name}"] = optimiser.state[weight]["momentum_buffer"].contiguous()
        metadata = {"format": _FORMAT, "identity": self._identity, "losses": json.dumps(losses)}
        try:
            write_whole_file(self._path, save(tensors, metadata))
        except OSError as err:
            raise TrainingError(f"checkpoint {str(self._path)!r} cannot be written: {err.strerror}") from err

    def load(
        self, weights: Mapping[str, Tensor], averages: Mapping[str, Tensor], optimiser: torch.optim.SGD
    ) -> list[float]:
        """Copy the saved state into weights, averages and optimiser, which are those that `save` takes.

        Returns:
            The losses of the epochs that are done; empty, and nothing is copied, when there is no file.

        Raises:
            TrainingError: The file is not a checkpoint of this training.
        """
        if not self._path.exists():
            return []
        try:
            with safe_open(self._path, framework="pt") as file:
                losses = self._losses(file.metadata() or {})
                saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (SafetensorError, OSError) as err:
            raise self._error(f"cannot be read ({err})") from err
        roles = ("weight", "momentum") if averages is weights else ("weight", "momentum", "average")
        for name, weight in weights.items():
            for role in roles:
                tensor = saved.get(f"{role}/{name}")
                if tensor is None or tensor.shape != weight.shape:
                    raise self._error(f"lacks {role} of {name!r}")
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(saved[f"weight/{name}"])
                if averages is not weights:
                    averages[name].copy_(saved[f"average/{name}"])
                momentum = torch.empty_like(weight).copy_(saved[f"momentum/{name}"])
                optimiser.state[weight] = {"momentum_buffer": momentum}
        return losses

    def _losses(self, metadata: Mapping[str, str]) -> list[float]:
        if metadata.get("format") != _FORMAT or metadata.get("identity") != self._identity:
            raise self._error("belongs to another training")
        try:
            losses = json.loads(metadata.get("losses", ""))
        except json.JSONDecodeError as err:
            raise self._error("has no list of losses") from err
        if not isinstance(losses, list) or not all(isinstance(loss, float) and math.isfinite(loss) for loss in losses):
            raise self._error("has no list of losses")
        return losses

    def _error(self, problem: str) -> TrainingError:
        return TrainingError(f"checkpoint {str(self._path)!r} {problem}; remove it to start anew")
