"""What lowering an operator to ncnn needs at hand: graph, weights, and which operators share a layer."""

from __future__ import annotations

from collections.abc import Mapping

from profiler.formats._fused_activations import fused_activations
from profiler.formats._ncnn_graph import Layout, NcnnGraph, Parameter
from profiler.formats._ncnn_weights import NcnnWeights
from profiler.formats.quantization import Quantization
from profiler.network import Conv2d, DepthwiseConv2d, Network, Operator, Pad

Edges = tuple[tuple[int, int], tuple[int, int]]
"""Cells around a map: (top, bottom), (left, right)."""

CONVOLUTIONS = frozenset({"conv2d", "depthwise_conv2d"})
FUSING_KINDS = CONVOLUTIONS | {"transpose_conv2d", "dense"}
"""Kinds whose layers apply an activation themselves."""

ACTIVATIONS: Mapping[str, Mapping[int, Parameter]] = {
    "relu": {9: 1},
    "relu6": {9: 3, 10: (0.0, 6.0)},
    "sigmoid": {9: 4},
    "hard_swish": {9: 6, 10: (1 / 6, 0.5)},
}
"""Parameters of an activation that a layer applies itself (ncnn's src/layer/fused_activation.h)."""


class NcnnLowering:
    """A network on its way into an ncnn model.

    Args:
        network: The network.
        quantization: Ranges of its tensors for int8 convolutions and dense layers; None for float32.
        outside: Layout of the model's inputs and outputs of rank 4.

    Raises:
        NetworkError: An input has more axes than ncnn has.
    """

    def __init__(self, network: Network, quantization: Quantization | None, outside: Layout) -> None:
        self.network = network
        self.weights = NcnnWeights(network, quantization)
        self.graph = NcnnGraph(network, outside)
        self._fused = fused_activations(network, FUSING_KINDS, ACTIVATIONS)
        self._absorbed = _absorbed_pads(network)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor of the network."""
        return self.graph.shape(tensor)

    def is_fused(self, operator: Operator) -> bool:
        """Whether an activation is applied by the operator before it and needs no layer."""
        return self._fused.get(operator.inputs[0]) is operator

    def activation(self, operator: Operator) -> Mapping[int, Parameter]:
        """Return the parameters of the activation that an operator's layer applies to its result."""
        fused = self._fused.get(operator.name)
        return {} if fused is None else ACTIVATIONS[fused.kind]

    def result(self, operator: Operator) -> str:
        """Return the tensor that the layer of an operator with one output writes, after its fused activation."""
        fused = self._fused.get(operator.name)
        return operator.name if fused is None else fused.name

    def write(self, operator: Operator, layout: Layout) -> str:
        """Return the blob for what `result` names."""
        return self.graph.write(self.result(operator), layout)

    def is_absorbed(self, operator: Operator) -> bool:
        """Whether the convolution after a pad pads by itself."""
        return operator.name in self._absorbed

    def padded_source(self, operator: Operator) -> tuple[str, Edges]:
        """Return the tensor that a convolution reads, and the cells around it that a pad before it asks for."""
        pad = self._absorbed.get(operator.inputs[0])
        if pad is None:
            return operator.inputs[0], ((0, 0), (0, 0))
        return pad.inputs[0], (pad.paddings[1], pad.paddings[2])

    def computes_int8(self, operator: Operator) -> bool:
        """Whether an operator's layer reads int8: plain and depthwise convolutions and dense layers of an int8 model.

        Convolutions of several groups stay float32: ncnn 1.0.20261020 writes garbage for them on x86.
        """
        if not self.weights.is_int8:
            return False
        match operator:
            case Conv2d():
                return operator.groups == 1
            case DepthwiseConv2d():
                return operator.multiplier == 1
        return operator.kind == "dense"

    def int8_output(self, operator: Operator) -> str | None:
        """Return the tensor that an int8 convolution writes in int8: one that only such convolutions read.

        So does ncnn's own tool (tools/quantize/ncnn2int8.cpp, fuse_requantize).
        """
        tensor = self.result(operator)
        if not self.computes_int8(operator) or tensor in self.network.outputs:
            return None
        readers: list[Operator] = []
        for reader in self.network.consumers(tensor):
            readers += self.network.consumers(reader.name) if self.is_absorbed(reader) else (reader,)
        reads_int8 = [reader.kind in CONVOLUTIONS and self.computes_int8(reader) for reader in readers]
        return tensor if readers and all(reads_int8) else None


def _absorbed_pads(network: Network) -> Mapping[str, Pad]:
    """Return the pads of rows and columns, by their tensors, that only one convolution reads."""
    absorbed = {}
    for operator in network.operators:
        if not isinstance(operator, Pad) or operator.name in network.outputs or len(operator.paddings) != 4:
            continue
        readers = network.consumers(operator.name)
        around_maps = operator.paddings[0] == operator.paddings[3] == (0, 0)
        if around_maps and len(readers) == 1 and readers[0].kind in CONVOLUTIONS:
            absorbed[operator.name] = operator
    return absorbed
