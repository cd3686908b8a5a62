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


PICOJOULES_PER_MAC = 4.6
"""A 32-bit floating-point product (3.7 pJ) and sum (0.9 pJ).

Source: Horowitz, "Computing's energy problem", ISSCC 2014, fig. 1.1.9: 45 nm, 0.9 V.
"""

PICOJOULES_PER_BYTE = 162.5
"""The lower end of 1.3 to 2.6 nJ for 64 bits to or from DRAM; source as above."""


def energy_uj(network: Network) -> float:
    """Return a stand-in for the energy of one run, in microjoules: arithmetic and traffic at published prices.

    It puts networks in an order and is no measurement: all bytes are priced as if they went to DRAM, and nothing that
    a processor spends on control, leakage or waiting is in it.
    """
    cost = network.cost()
    return (PICOJOULES_PER_MAC * cost.macs + PICOJOULES_PER_BYTE * cost.bytes_moved) / 1e6


def peak_memory_bytes(network: Network) -> int:
    """Return what one run needs at most: all weights, and the tensors that are alive at once where they are largest.

    Operators run in the order of `network.operators`. A tensor is alive from the operator that makes it to the last
    one that reads it, the network's inputs from the start and its outputs to the end; inputs and outputs of an
    operator are alive together.
    """
    last_read = {name: place for place, operator in enumerate(network.operators) for name in operator.inputs}
    last_read |= dict.fromkeys(network.outputs, len(network.operators))
    size = {name: spec.size_bytes for name, spec in network.tensors.items()}
    alive = sum(size[spec.name] for spec in network.inputs)
    peak = alive
    for place, operator in enumerate(network.operators):
        alive += sum(size[name] for name in operator.outputs)
        peak = max(peak, alive)
        done = {*operator.inputs, *operator.outputs}
        alive -= sum(size[name] for name in done if last_read.get(name, place) <= place)
    return peak + sum(operator_cost(network, operator).weight_bytes for operator in network.operators)
