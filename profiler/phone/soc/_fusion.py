"""Which operators of a network one node of a runtime executes; the law's own reading of what delegates join."""

from __future__ import annotations

from collections.abc import Mapping

from profiler.network import Conv2d, DepthwiseConv2d, Network, Operator, Pad
from profiler.phone.soc._placement import Delegate

_CLAMPED = frozenset({"conv2d", "depthwise_conv2d", "dense", "add", "mul", "max_pool2d", "avg_pool2d"})
_CLAMPS = frozenset({"relu", "relu6"})

# The node kinds that end with an activation, and the activations: operators of a .tflite file have a field for
# clamps; XNNPACK adds it to deconvolutions; GPU delegates append any elementwise code to the kernel before.
_ENDINGS: Mapping[Delegate, tuple[frozenset[str], frozenset[str]]] = {
    "builtin": (_CLAMPED, _CLAMPS),
    "xnnpack": (_CLAMPED | {"transpose_conv2d"}, _CLAMPS),
    "gpu": (_CLAMPED | {"transpose_conv2d"}, _CLAMPS | {"hard_swish", "hard_sigmoid", "sigmoid", "prelu"}),
    "nnapi": (_CLAMPED, _CLAMPS),
}
_PADS_IN_CONVOLUTIONS = frozenset({"xnnpack", "gpu"})


def nodes_of(network: Network, delegate: Delegate) -> tuple[tuple[Operator, ...], ...]:
    """Return the operators of each node in execution order: at most a pad, the one that works, an activation."""
    endings = dict(_pairs(network, *_ENDINGS[delegate]))
    pads = dict(_padded(network)) if delegate in _PADS_IN_CONVOLUTIONS else {}
    absorbed = {operator.name for operator in endings.values()} | {pad.name for pad in pads.values()}
    nodes = []
    for operator in network.operators:
        if operator.name not in absorbed:
            around = (pads.get(operator.name), operator, endings.get(operator.name))
            nodes.append(tuple(member for member in around if member is not None))
    return tuple(nodes)


def _pairs(network: Network, anchors: frozenset[str], followers: frozenset[str]) -> list[tuple[str, Operator]]:
    found = []
    for operator in network.operators:
        following = network.sole_consumer(operator)
        if operator.kind in anchors and following is not None and following.kind in followers:
            found.append((operator.name, following))
    return found


def _padded(network: Network) -> list[tuple[str, Operator]]:
    found: list[tuple[str, Operator]] = []
    for operator in network.operators:
        following = network.sole_consumer(operator) if isinstance(operator, Pad) else None
        if isinstance(operator, Pad) and isinstance(following, Conv2d | DepthwiseConv2d):
            spatial = len(operator.paddings) == 4 and operator.paddings[0] == operator.paddings[3] == (0, 0)
            if spatial and following.padding == "valid":
                found.append((following.name, operator))
    return found
