"""Networks from .onnx files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnx import TensorProto

from profiler.formats._damage import damage_is_reported
from profiler.formats._onnx_file import OnnxFile
from profiler.formats._onnx_graph import PRODUCER
from profiler.formats._onnx_layers import add_node
from profiler.formats._source_graph import SourceGraph
from profiler.formats._source_network import lower
from profiler.network import Network, TensorSpec

_NETWORK_DTYPES = {TensorProto.INT32: "int32", TensorProto.INT64: "int32", TensorProto.BOOL: "int8"}


def read_onnx(
    data: bytes, *, folder: Path | None = None, input_shapes: Mapping[str, tuple[int, ...]] | None = None
) -> Network:
    """Return the network in an .onnx file, with its weights as float32.

    Tensors of rank 4 become NHWC: inputs and outputs that are NCHW in the file are NHWC in the network, and
    transpositions that only served to move channels are gone.  Batch norms are folded into the weights before
    them.  Operators that a Network has no kind for are opaque and keep the file's name, with inferred shapes; one
    that ONNX itself does not know and that states no shape is taken to keep its input's.

    Args:
        data: The file's bytes.
        folder: Folder in which external data may lie; None refuses external data.
        input_shapes: Shapes of inputs by name, with the file's own axes (NCHW as a rule), where the file leaves
            sizes open or others are wanted.

    Raises:
        ModelFileError: The data is no .onnx model, is damaged, or refers to data outside the folder.
        DynamicShapeError: An input has open sizes and no shape is given.
    """
    with damage_is_reported(".onnx"):
        return lower(_source_graph(OnnxFile(data, folder, input_shapes)))


def _source_graph(file: OnnxFile) -> SourceGraph:
    graph = SourceGraph(file.name or "model", channels_first=True, channels_last_ends=file.producer == PRODUCER)
    graph.shapes = file.shapes
    graph.dtypes = {name: _NETWORK_DTYPES.get(kind, "float32") for name, kind in file.element_types.items()}
    for name in file.inputs:
        graph.inputs.append(TensorSpec(name, file.shapes[name], graph.dtypes.get(name, "float32")))
    for node in file.nodes:
        add_node(node, file, graph)
    graph.finish(file.outputs)
    return graph
