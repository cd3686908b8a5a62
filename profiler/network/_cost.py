"""What a network costs on paper: multiply-accumulates, parameters and bytes moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.network._operator import Operator
from profiler.network._tensor import TensorSpec

if TYPE_CHECKING:
    from profiler.network._network import Network


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """Cost of one run of one operator.

    Attributes:
        macs: Multiply-accumulates of convolutions and dense layers.
        parameters: Number of weights.
        input_bytes: Size of the activations it reads.
        output_bytes: Size of the activations it writes.
        weight_bytes: Size of the weights it reads.
    """

    macs: int
    parameters: int
    input_bytes: int
    output_bytes: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """Cost of one run of a network: the sums over its operators.

    Attributes:
        macs: Multiply-accumulates.
        parameters: Number of weights.
        bytes_moved: Activations read and written, and weights read, as if nothing were fused or cached.
    """

    macs: int
    parameters: int
    bytes_moved: int


def operator_cost(network: Network, operator: Operator) -> OperatorCost:
    """Return the cost of one operator of a network; an opaque operator counts its bytes and no work."""
    inputs, outputs = network.input_specs(operator), network.output_specs(operator)
    weights = [TensorSpec(role, shape) for role, shape in operator.weight_shapes(inputs).items()]
    return OperatorCost(
        macs=operator.macs(inputs, outputs),
        parameters=sum(spec.elements for spec in weights),
        input_bytes=sum(spec.size_bytes for spec in inputs),
        output_bytes=sum(spec.size_bytes for spec in outputs),
        weight_bytes=sum(spec.size_bytes for spec in weights),
    )
