"""What must hold of a network before it is written to a file or built as a module."""

from __future__ import annotations

from profiler.errors import NetworkError
from profiler.network import Network, Opaque

MAX_WEIGHT_BYTES = 2_000_000_000
"""FlatBuffers and Protocol Buffers end at 2 GiB; this leaves room for what is not weights."""


def check_writable(network: Network, *, needs_weights: bool = True) -> None:
    """Check that every operator is known and has its weights, and that all of it is float32 and fits a file.

    Args:
        network: The network.
        needs_weights: Whether a network without weights is refused.

    Raises:
        NetworkError: It does not hold.
    """
    for operator in network.operators:
        if isinstance(operator, Opaque):
            problem = f"is of type {operator.op_type!r}, which pocketnas does not know and cannot write"
            raise NetworkError(problem, operator=operator.name)
    for spec in network.inputs:
        if spec.dtype != "float32":
            raise NetworkError(f"input {spec.name!r} is {spec.dtype}; only float32 networks can be written")
    if network.weights is None:
        if needs_weights and network.weight_specs:
            raise NetworkError("has no weights; give it some, such as with_random_weights() where only latency matters")
        return
    weight_bytes = sum(values.nbytes for values in network.weights.values())
    if weight_bytes > MAX_WEIGHT_BYTES:
        raise NetworkError(f"has {weight_bytes} bytes of weights; a file holds at most {MAX_WEIGHT_BYTES}")
