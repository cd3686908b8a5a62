"""Networks as ncnn models (.param and .bin), which ncnn runs on the host and in our agent on phones."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

from profiler.formats._ncnn_graph import Layout, encoded_name
from profiler.formats._ncnn_layers import INNER_LAYER_TYPES, LAYER_TYPES
from profiler.formats._ncnn_lowering import NcnnLowering
from profiler.formats._ncnn_operators import LOWERINGS
from profiler.formats._ncnn_weights import Literal, Random, Segment, to_bytes
from profiler.formats._writable import check_writable
from profiler.formats.quantization import Quantization
from profiler.network import Network

__all__ = [
    "INNER_LAYER_TYPES",
    "LAYER_TYPES",
    "Literal",
    "NcnnModel",
    "NcnnTensor",
    "Random",
    "Segment",
    "write_ncnn",
]


@dataclass(frozen=True)
class NcnnTensor:
    """An input or output of an ncnn model.

    Attributes:
        name: The tensor's name in the network.
        blob: Its name in the model: the same where ncnn can read it.
        shape: Its shape as callers see it, a batch of 1 included.
        sizes: The sizes of the blob, outermost first.
    """

    name: str
    blob: str
    shape: tuple[int, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class NcnnModel:
    """A network for ncnn.

    Attributes:
        param: Text of the .param file: layers and blobs.
        segments: The .bin file in parts; those that only have to be there are random numbers.
        inputs: The model's inputs, in the network's order.
        outputs: The model's outputs, in the network's order.
    """

    param: str
    segments: tuple[Segment, ...]
    inputs: tuple[NcnnTensor, ...]
    outputs: tuple[NcnnTensor, ...]

    @property
    def bin(self) -> bytes:
        """The .bin file; random parts follow from a fixed seed."""
        return to_bytes(self.segments)

    def to_bytes(self) -> bytes:
        """Return it as one file of ours: u32 length of a JSON object with what the .bin file after it is not."""
        tensors = {
            key: [[tensor.name, tensor.blob, tensor.shape, tensor.sizes] for tensor in tensors]
            for key, tensors in (("inputs", self.inputs), ("outputs", self.outputs))
        }
        weights = self.bin
        header = json.dumps({"param": self.param, **tensors, "bin_bytes": len(weights)}).encode()
        return struct.pack("<I", len(header)) + header + weights


def write_ncnn(
    network: Network, *, quantization: Quantization | None = None, channels_first: bool = False
) -> NcnnModel:
    """Return a network as an ncnn model.

    Inputs and outputs keep the network's tensor names and order.  ncnn computes on maps channels first, so a model's
    ends are permuted; activations become a part of the convolution or dense layer before them where ncnn has a
    parameter for it, as do zeros around maps.  A network without weights gets random ones by number only, for latency:
    such a model is a few hundred bytes.  Equal networks give equal models.  Whether layers compute in fp16 is said
    where the model is run.

    Args:
        network: The network; one with a batch of more than 1 only where its operators need no maps.
        quantization: Ranges of its tensors for an int8 model: convolutions and dense layers have int8 kernels, with a
            scale for each output channel (for each group in grouped convolutions), and read int8; they write int8
            where only convolutions read it.  Inputs, outputs and all other layers stay float32, as in models of
            ncnn's own quantiser.  None writes float32.
        channels_first: Whether inputs and outputs of rank 4 are NCHW instead, which spares the permutes at both ends:
            how a kernel inside a network is met, and so how it should be measured alone.

    Raises:
        NetworkError: The network is not float32, holds an opaque operator or one that ncnn cannot compute exactly, has
            a tensor with too many axes, or the quantization lacks a tensor.
    """
    check_writable(network, needs_weights=False)
    lowering = NcnnLowering(network, quantization, Layout.CHANNELS_FIRST if channels_first else Layout.NETWORK)
    for operator in network.operators:
        LOWERINGS[operator.kind](operator, lowering)
    graph = lowering.graph
    return NcnnModel(
        graph.to_text(),
        tuple(lowering.weights.segments),
        tuple(_tensor(lowering, spec.name, encoded_name(spec.name), channels_first) for spec in network.inputs),
        tuple(_tensor(lowering, name, graph.output_blob(name), channels_first) for name in network.outputs),
    )


def _tensor(lowering: NcnnLowering, name: str, blob: str, channels_first: bool) -> NcnnTensor:
    shape = lowering.shape(name)
    if channels_first and len(shape) == 4:
        shape = (shape[0], shape[3], shape[1], shape[2])
    return NcnnTensor(name, blob, shape, lowering.graph.outside_sizes(name))
