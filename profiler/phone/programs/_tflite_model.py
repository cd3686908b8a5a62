"""Reads a pushed .tflite file as a runtime on the phone would: open sizes become 1, int8 is told from its tensors."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from profiler.errors import DynamicShapeError
from profiler.formats import read_tflite
from profiler.network import Network


def read_model(content: bytes) -> tuple[Network, bool]:
    """Return the network in a file, and whether it computes in int8.

    Raises:
        ModelFileError: The file is no model, or damaged.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    while True:
        try:
            network = read_tflite(content, input_shapes=shapes or None)
        except DynamicShapeError as err:
            if err.input_name in shapes:
                raise
            shapes[err.input_name] = tuple(size or 1 for size in err.shape)
        else:
            return network, _is_int8(content)


def _is_int8(content: bytes) -> bool:
    """Say whether a model, which could be read, has a tensor in int8 that is computed."""
    model = schema.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        if tensor.Type() == schema.TensorType.INT8:
            buffer = model.Buffers(tensor.Buffer()) if tensor.Buffer() < model.BuffersLength() else None
            if buffer is None or not (buffer.DataLength() or buffer.Offset() > 1):
                return True
    return False
