"""A node of an .onnx file with what the file says of its tensors and attributes."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from onnx import NodeProto

from profiler.formats._onnx_file import OnnxFile, attributes_of


class NotSaid(Exception):  # noqa: N818  # control flow inside the package: the node becomes unknown
    """A shape or number is not in the file."""


class OnnxNode:
    """A node with what the file says of its tensors.

    Args:
        node: The node.
        file: Its file.
    """

    def __init__(self, node: NodeProto, file: OnnxFile) -> None:
        self.file = file
        self.op_type: str = node.op_type
        self.inputs: list[str] = list(node.input)
        self.outputs: list[str] = [name for name in node.output if name]
        self.attributes = attributes_of(node)

    def constant(self, position: int) -> NDArray[Any] | None:
        """Return the values of a constant input; None where it is left out or computed."""
        return self.file.constant(self.inputs[position]) if self.has(position) else None

    def has(self, position: int) -> bool:
        """Whether an optional input is there."""
        return len(self.inputs) > position and bool(self.inputs[position])

    def shape(self, position: int) -> tuple[int, ...]:
        """Return the shape of an input.

        Raises:
            NotSaid: The file does not state it.
        """
        return self._shape(self.inputs[position])

    def output_shape(self) -> tuple[int, ...]:
        """Return the shape of the first output.

        Raises:
            NotSaid: The file does not state it.
        """
        return self._shape(self.outputs[0])

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self.file.shapes.get(name)
        if shape is None:
            raise NotSaid
        return shape

    def integers(self, name: str, position: int) -> tuple[int, ...] | None:
        """Return whole numbers that are an attribute in old opsets and a constant input in new ones.

        Raises:
            NotSaid: They are computed when the model runs.
        """
        if name in self.attributes:
            return tuple(int(value) for value in self.attributes[name])
        if not self.has(position):
            return None
        values = self.constant(position)
        if values is None:
            raise NotSaid
        return tuple(int(value) for value in values.reshape(-1))

    def number(self, name: str, position: int, default: float) -> float:
        """Return a number that is an attribute in old opsets and a constant input in new ones.

        Raises:
            NotSaid: It is computed when the model runs.
        """
        if name in self.attributes:
            return float(self.attributes[name])
        if not self.has(position):
            return default
        values = self.constant(position)
        if values is None or values.size != 1:
            raise NotSaid
        return float(values.reshape(()))
