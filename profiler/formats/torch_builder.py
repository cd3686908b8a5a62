"""Networks as torch modules, to train them and to know what the files must compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from profiler.errors import NetworkError
from profiler.formats._torch_operators import BUILDERS
from profiler.formats._writable import check_writable
from profiler.network import Network, Operator


def build_torch(network: Network) -> NetworkModule:
    """Return a network as a trainable torch module with the same weights.

    Args:
        network: The network, with weights if any of its operators has some; `with_random_weights` starts a training.

    Raises:
        NetworkError: The network has no weights, is not float32, or holds an opaque operator.
    """
    check_writable(network)
    return NetworkModule(network)


@dataclass(frozen=True)
class _Step:
    """One operator's turn: what it reads and writes, and which tensors nobody reads after it."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    finished: tuple[str, ...]


class NetworkModule(nn.Module):
    """A network in torch; made by `build_torch`.

    It takes the network's inputs (float32, NHWC) in order and returns its outputs (NHWC) in order.  It can be
    trained, moved to a device, and passed to torch.export.

    Attributes:
        operators: One module an operator, in execution order; parameters are called "kernel", "bias" and "alpha".
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network.without_weights()
        self._steps = _steps(network)
        self.operators = nn.ModuleList([_build(network, operator) for operator in network.operators])

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the network.

        Args:
            inputs: One tensor for each input of the network, float32, NHWC where of rank 4.

        Returns:
            The outputs, in the network's order.
        """
        values = self._run(inputs, keep_all=False)
        return tuple([values[tensor] for tensor in self._network.outputs])

    @torch.no_grad()
    def run_all(self, inputs: Sequence[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Run the network and return every tensor of it, inputs included, by name.

        Args:
            inputs: One float32 array for each input of the network, of its shape.

        Raises:
            NetworkError: The inputs do not fit, or a value is not finite.
        """
        shapes = [np.shape(array) for array in inputs]
        if shapes != [spec.shape for spec in self._network.inputs]:
            wanted = ", ".join(f"{spec.name} {spec.shape}" for spec in self._network.inputs)
            raise NetworkError(f"inputs of shapes {shapes} do not fit; wanted {wanted}")
        tensors = [torch.from_numpy(np.ascontiguousarray(array, np.float32)) for array in inputs]
        arrays = {name: values.numpy(force=True) for name, values in self._run(tensors, keep_all=True).items()}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise NetworkError(f"tensor {name!r} has values that are not finite")
        return arrays

    def to_network(self) -> Network:
        """Return the network with the module's current weights, exactly.

        Raises:
            ShapeError: A weight is not finite.
        """
        weights = {
            f"{operator.name}/{role}": parameter.numpy(force=True)
            for operator, module in zip(self._network.operators, self.operators, strict=True)
            for role, parameter in module.named_parameters()
        }
        return self._network.with_weights(weights)

    def _run(self, inputs: Sequence[Tensor], *, keep_all: bool) -> dict[str, Tensor]:
        specs = self._network.inputs
        values = {spec.name: tensor for spec, tensor in zip(specs, inputs, strict=True)}
        for step, module in zip(self._steps, self.operators, strict=True):
            result = module(*[values[tensor] for tensor in step.inputs])
            values.update(zip(step.outputs, result if isinstance(result, tuple) else (result,), strict=True))
            if not keep_all:
                for tensor in step.finished:
                    del values[tensor]
        return values


def _build(network: Network, operator: Operator) -> nn.Module:
    weights = network.weights or {}
    roles = operator.weight_shapes(network.input_specs(operator))
    own = {role: weights[f"{operator.name}/{role}"] for role in roles}
    return BUILDERS[operator.kind](operator, network.tensors[operator.inputs[0]], own)


def _steps(network: Network) -> tuple[_Step, ...]:
    last_reader: dict[str, str] = {}
    for operator in network.operators:
        last_reader.update(dict.fromkeys((*operator.outputs, *operator.inputs), operator.name))
    kept = set(network.outputs)
    finished: dict[str, list[str]] = {}
    for tensor, reader in last_reader.items():
        if tensor not in kept:
            finished.setdefault(reader, []).append(tensor)
    return tuple(
        _Step(operator.inputs, operator.outputs, tuple(finished.get(operator.name, ())))
        for operator in network.operators
    )
