"""What must hold of a network before it is written to a file or built as a module."""

from __future__ import annotations

from profiler.errors import NetworkError
from profiler.network import Network, Opaque


def check_writable(network: Network) -> None:
    """Check that every operator is known, has its weights, and works on float32.

    Raises:
        NetworkError: It does not hold.
    """
    for operator in network.operators:
        if isinstance(operator, Opaque):
            problem = f"is of type {operator.op_type!r}, which pocketnas does not know and cannot write"
            raise NetworkError(problem, operator=operator.name)
    if network.weights is None and network.weight_specs:
        raise NetworkError("has no weights; give it some, such as with_random_weights() when only latency matters")
    for spec in network.inputs:
        if spec.dtype != "float32":
            raise NetworkError(f"input {spec.name!r} is {spec.dtype}; only float32 networks can be written")
