"""The ONNX side of a model file: nodes, constants, and in which layout each tensor is to be had.

ONNX convolutions want NCHW and networks are NHWC.  A tensor of rank 4 can exist in both layouts; it is
transposed when a node first asks for the one that is missing, so that transposes stand only where the
layout really changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from profiler.network import Network

OPSET = 17
"""Old enough for the ONNX Runtime of phones (1.12 and later), new enough for every kind we write."""

PRODUCER = "pocketnas"
"""Name that files with NHWC inputs and outputs carry; the reader knows the layout by it."""

_CHANNELS_FIRST_PRODUCER = "pocketnas-nchw"  # such files read like anybody's

CHANNELS_FIRST_SUFFIX = "/nchw"
"""Ends the name of a value that holds a tensor of the network channels first."""

_IR_VERSION = 8  # the one that opset 17 came with
_ELEMENT_TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


class Layout(Enum):
    """Order of a tensor's axes: the network's own, or channels first where it has rank 4."""

    NETWORK = "NHWC"
    CHANNELS_FIRST = "NCHW"


_SUFFIXES = {Layout.NETWORK: "/nhwc", Layout.CHANNELS_FIRST: CHANNELS_FIRST_SUFFIX}


class OnnxGraph:
    """An ONNX model under construction for a network.

    Args:
        network: The network whose tensors the nodes read and write.
        outside: Layout of the model's inputs and outputs of rank 4.
    """

    def __init__(self, network: Network, outside: Layout) -> None:
        self.network = network
        self._outside = outside
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._values = {(spec.name, self._possible(spec.name, outside)): spec.name for spec in network.inputs}
        self._names = set(network.tensors)

    def shape(self, tensor: str, layout: Layout = Layout.NETWORK) -> tuple[int, ...]:
        """Return the shape of a tensor in a layout."""
        shape = self.network.tensors[tensor].shape
        if layout is Layout.CHANNELS_FIRST and len(shape) == 4:
            return tuple(shape[axis] for axis in _TO_NCHW)
        return shape

    def layout_at_hand(self, tensors: Sequence[str]) -> Layout:
        """Return the layout in which a node that does not mind should read tensors.

        Channels first when one of them is already so; all must have rank 4 for that.
        """
        if any(len(self.shape(tensor)) != 4 for tensor in tensors):
            return Layout.NETWORK
        if any((tensor, Layout.CHANNELS_FIRST) in self._values for tensor in tensors):
            return Layout.CHANNELS_FIRST
        return Layout.NETWORK

    def read(self, tensor: str, layout: Layout) -> str:
        """Return the name of a value that holds a tensor in a layout; a transpose is added when it is missing."""
        layout = self._possible(tensor, layout)
        if (tensor, layout) not in self._values:
            other = Layout.NETWORK if layout is Layout.CHANNELS_FIRST else Layout.CHANNELS_FIRST
            source = self._values[tensor, other]
            permutation = _TO_NHWC if layout is Layout.NETWORK else _TO_NCHW
            self.node("Transpose", [source], [self.write(tensor, layout)], perm=permutation)
        return self._values[tensor, layout]

    def write(self, tensor: str, layout: Layout) -> str:
        """Return the name of the new value that will hold a tensor in a layout."""
        layout = self._possible(tensor, layout)
        is_outside = layout is self._possible(tensor, self._outside)
        self._values[tensor, layout] = tensor if is_outside else self.new_name(f"{tensor}{_SUFFIXES[layout]}")
        return self._values[tensor, layout]

    def _possible(self, tensor: str, layout: Layout) -> Layout:
        return layout if len(self.network.tensors[tensor].shape) == 4 else Layout.NETWORK

    def new_name(self, wish: str) -> str:
        """Return a value name that nothing else has, the wished one if possible."""
        while wish in self._names:
            wish += "'"
        self._names.add(wish)
        return wish

    def node(self, op_type: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Add a node; it is named after its first output."""
        self._nodes.append(helper.make_node(op_type, inputs, outputs, name=outputs[0], **attributes))

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant and return the name of its value."""
        name = self.new_name(name)
        tensor = TensorProto(name=name, data_type=_ELEMENT_TYPES[values.dtype], dims=values.shape)
        tensor.raw_data = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        self._constants[name] = tensor
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Return the name of a constant vector of int64; equal ones are shared."""
        return self._shared(f"integers/{'x'.join(map(str, values))}", np.array(values, np.int64))

    def number(self, value: float) -> str:
        """Return the name of a constant scalar of float32; equal ones are shared."""
        return self._shared(f"number/{value:g}", np.array(value, np.float32))

    def _shared(self, name: str, values: NDArray[Any]) -> str:
        return name if name in self._constants else self.constant(name, values)

    def to_model(self) -> ModelProto:
        """Return the model."""
        for tensor in self.network.outputs:
            self.read(tensor, self._outside)
        graph = helper.make_graph(
            self._nodes,
            self.network.name or "network",
            [self._value_info(spec.name) for spec in self.network.inputs],
            [self._value_info(tensor) for tensor in self.network.outputs],
            initializer=list(self._constants.values()),
        )
        opset = helper.make_opsetid("", OPSET)
        producer = PRODUCER if self._outside is Layout.NETWORK else _CHANNELS_FIRST_PRODUCER
        return helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name=producer)

    def _value_info(self, tensor: str) -> ValueInfoProto:
        return helper.make_tensor_value_info(tensor, TensorProto.FLOAT, self.shape(tensor, self._outside))
