"""Which activations the operators of a file can apply themselves, so that they need no operator of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from profiler.network import Network, Operator

FUSING_KINDS = frozenset({"conv2d", "depthwise_conv2d", "dense", "add", "mul", "max_pool2d", "avg_pool2d"})
"""Kinds whose TFLite operators have a field for a fused activation in every runtime that we write for."""

_CLAMPS = frozenset({"relu", "relu6"})


def fused_activations(
    network: Network, kinds: Collection[str] = FUSING_KINDS, activations: Collection[str] = _CLAMPS
) -> Mapping[str, Operator]:
    """Return the activations that fuse into what they follow.

    An activation fuses when its input is read by nothing else and is no output of the network.

    Args:
        network: The network.
        kinds: Kinds of operators that apply activations themselves; TFLite's unless given.
        activations: Kinds of the activations that they can apply; TFLite's unless given.

    Returns:
        The activation by the name of the tensor that it reads; that tensor need not exist in a file.
    """
    kept = frozenset(network.outputs)
    fused: dict[str, Operator] = {}
    for operator in network.operators:
        if operator.kind not in activations:
            continue
        tensor = operator.inputs[0]
        producer = network.producer(tensor)
        if producer is None or producer.kind not in kinds or tensor in kept:
            continue
        if len(network.consumers(tensor)) == 1:
            fused[tensor] = operator
    return fused
