"""Which activations a .tflite operator can apply itself, so that they need no operator of their own."""

from __future__ import annotations

from collections.abc import Mapping

from profiler.network import Network, Relu, Relu6

FUSING_KINDS = frozenset({"conv2d", "depthwise_conv2d", "dense", "add", "mul", "max_pool2d", "avg_pool2d"})
"""Kinds whose TFLite operators have a field for a fused activation in every runtime that we write for."""


def fused_activations(network: Network) -> Mapping[str, Relu | Relu6]:
    """Return the activations that fuse into what they follow.

    An activation fuses when its input is read by nothing else and is no output of the network.

    Returns:
        The activation by the name of the tensor that it reads; that tensor need not exist in a file.
    """
    kept = frozenset(network.outputs)
    fused: dict[str, Relu | Relu6] = {}
    for operator in network.operators:
        if not isinstance(operator, Relu | Relu6):
            continue
        tensor = operator.inputs[0]
        producer = network.producer(tensor)
        if producer is None or producer.kind not in FUSING_KINDS or tensor in kept:
            continue
        if len(network.consumers(tensor)) == 1:
            fused[tensor] = operator
    return fused
