"""Networks as .tflite files, which LiteRT, tflite-runtime and the phones' benchmark_model run."""

from __future__ import annotations

from profiler.formats._tflite_lowering import TfliteLowering
from profiler.formats._tflite_operators import LOWERINGS
from profiler.formats._writable import check_writable
from profiler.formats.quantization import Quantization
from profiler.network import Network


def write_tflite(network: Network, *, quantization: Quantization | None = None) -> bytes:
    """Return a network as the bytes of a .tflite file.

    Inputs and outputs keep the network's tensor names, shapes (NHWC) and order.  A relu or relu6 becomes a
    part of the operator before it where TFLite has a field for it.  Equal networks give equal bytes.

    Args:
        network: The network, with weights if any of its operators has some.
        quantization: Ranges of its tensors, for an int8 model: kernels of convolutions with a scale for each
            output channel, dense kernels with one, and int8 inputs and outputs.  None writes float32.

    Raises:
        NetworkError: The network has no weights, is not float32, or holds an opaque operator, or the
            quantization lacks a tensor.
    """
    check_writable(network)
    lowering = TfliteLowering(network, quantization)
    inputs = {spec.name: lowering.index(spec.name) for spec in network.inputs}
    for operator in network.operators:
        LOWERINGS[operator.kind](operator, lowering)
    outputs = {tensor: lowering.index(tensor) for tensor in network.outputs}
    return lowering.graph.to_bytes(inputs, outputs, description=network.name)
