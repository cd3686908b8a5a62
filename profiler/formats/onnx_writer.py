"""Networks as .onnx files, which ONNX Runtime runs on the host and on phones."""

from __future__ import annotations

from profiler.formats._onnx_graph import Layout, OnnxGraph
from profiler.formats._onnx_operators import LOWERINGS
from profiler.formats._writable import check_writable
from profiler.network import Network


def write_onnx(network: Network, *, channels_first: bool = False) -> bytes:
    """Return a network as the bytes of an .onnx file.

    Inputs and outputs keep the network's tensor names, shapes (NHWC) and order, so that a .tflite and an .onnx
    file of a network take the same arrays; inside, convolutions run on NCHW between as few transposes as will do.
    Equal networks give equal bytes.

    Args:
        network: The network, with weights if any of its operators has some.
        channels_first: Whether inputs and outputs of rank 4 are NCHW instead, which spares the transposes at
            both ends: how a kernel inside a network is met, and so how it should be measured alone.

    Raises:
        NetworkError: The network has no weights, is not float32, or holds an opaque operator.
    """
    check_writable(network)
    graph = OnnxGraph(network, Layout.CHANNELS_FIRST if channels_first else Layout.NETWORK)
    for operator in network.operators:
        LOWERINGS[operator.kind](operator, graph)
    serialized: bytes = graph.to_model().SerializeToString(deterministic=True)
    return serialized
