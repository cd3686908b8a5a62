"""Rewrites of a source graph: maths that exporters spell out becomes the one layer it stands for.

Affine maps (batch norms) go into the weights before them, the sums and products of a hard swish become one
activation, reshape-transpose-reshape becomes a channel shuffle.  A rewrite only happens where the tensors between
are used nowhere else, and it never changes a number beyond rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiler.formats import _source_graph as source
from profiler.formats._source_graph import Node, SourceGraph
from profiler.network import HardSigmoid, HardSwish, Mul, Relu6, ResizeNearest

_Rule = Callable[["_Rewriting", Node], Node | None]


def simplify(graph: SourceGraph) -> None:
    """Rewrite a graph in place."""
    _join_slices(graph)
    rewriting = _Rewriting(graph)
    for rules in (_ACTIVATION_RULES, _FOLDING_RULES):
        rewriting.run(rules)
    graph.nodes = [node for node in rewriting.nodes if node is not None]


def _join_slices(graph: SourceGraph) -> None:
    """Replace slices that together cut a tensor into equal parts by one Split, in the place of the first."""
    families: dict[tuple[str, int], list[Node]] = {}
    for node in graph.nodes:
        if isinstance(node.layer, source.Slice):
            families.setdefault((node.inputs[0], node.layer.axis), []).append(node)
    splits: dict[Node, Node | None] = {}
    for (tensor, axis), family in families.items():
        parts = sorted(family, key=lambda node: node.layer.start if isinstance(node.layer, source.Slice) else 0)
        if _share_out(parts, graph.shapes.get(tensor, ())[axis : axis + 1]):
            splits |= dict.fromkeys(family)
            outputs = tuple(part.outputs[0] for part in parts)
            splits[family[0]] = Node(source.Split(axis), (tensor,), outputs, family[0].op_type)
    replaced = [splits.get(node, node) for node in graph.nodes]
    graph.nodes = [node for node in replaced if node is not None]


def _share_out(parts: list[Node], size: tuple[int, ...]) -> bool:
    """Whether slices in order are equal parts that cover an axis of this size."""
    bounds = [(part.layer.start, part.layer.stop) for part in parts if isinstance(part.layer, source.Slice)]
    step = bounds[0][1]
    return len(bounds) > 1 and bounds == [(start, start + step) for start in range(0, sum(size), max(step, 1))]


class _Rewriting:
    """The nodes while rules are applied; a rule returns the node that replaces its node and what it took up."""

    def __init__(self, graph: SourceGraph) -> None:
        self.graph = graph
        self.nodes: list[Node | None] = list(graph.nodes)
        self._producers = {tensor: index for index, node in enumerate(graph.nodes) for tensor in node.outputs}
        self._uses = Counter(tensor for node in graph.nodes for tensor in node.inputs)
        self._uses.update(graph.outputs)

    def run(self, rules: dict[type[source.Layer], tuple[_Rule, ...]]) -> None:
        """Apply rules to each node in order, each until none fits."""
        for index in range(len(self.nodes)):
            node = self.nodes[index]
            while node is not None:
                node = self._apply(rules, index, node)

    def _apply(self, rules: dict[type[source.Layer], tuple[_Rule, ...]], index: int, node: Node) -> Node | None:
        for rule in rules.get(type(node.layer), ()):
            new = rule(self, node)
            if new is not None:
                self._replace(index, new)
                return new
        return None

    def _replace(self, index: int, new: Node) -> None:
        """Put a node in place of another, and remove what nothing reads any more because of it."""
        old = self.nodes[index]
        self.nodes[index] = new
        self._uses.update(new.inputs)
        released = list(old.inputs) if old is not None else []
        while released:
            tensor = released.pop()
            self._uses[tensor] -= 1
            position = self._producers.get(tensor)
            producer = None if position is None else self.nodes[position]
            if position is not None and producer is not None and position != index and not self._read(producer):
                self.nodes[position] = None
                released += producer.inputs

    def _read(self, node: Node) -> bool:
        return any(self._uses[tensor] for tensor in node.outputs)

    def producer(self, tensor: str) -> Node | None:
        """Return the node that writes a tensor; None for an input of the graph."""
        index = self._producers.get(tensor)
        return None if index is None else self.nodes[index]

    def set_layer(self, node: Node, layer: source.Layer) -> None:
        """Change what a node does, with the same inputs and outputs."""
        self.nodes[self._producers[node.outputs[0]]] = replace(node, layer=layer)

    def sole_producer(self, tensor: str) -> Node | None:
        """Return the node that writes a tensor, if one reader is all that the tensor has."""
        return self.producer(tensor) if self._uses[tensor] == 1 else None


def _relu6_of_shifted(rewriting: _Rewriting, tensor: str) -> str | None:
    """Return x where the tensor is relu6(x + 3)."""
    relu6 = rewriting.sole_producer(tensor)
    if relu6 is None or not _is_activation(relu6, Relu6):
        return None
    shifted = rewriting.sole_producer(relu6.inputs[0])
    if shifted is None or not isinstance(shifted.layer, source.Affine) or not shifted.layer.is_scalar(1, 3):
        return None
    return shifted.inputs[0]


def _hard_sigmoid(rewriting: _Rewriting, node: Node) -> Node | None:
    """Fold relu6(x + 3) / 6."""
    if not _is_sixth(node):
        return None
    tensor = _relu6_of_shifted(rewriting, node.inputs[0])
    return None if tensor is None else replace(node, layer=source.Activation(HardSigmoid), inputs=(tensor,))


def _hard_swish_scaled_last(rewriting: _Rewriting, node: Node) -> Node | None:
    """Fold (x * relu6(x + 3)) / 6."""
    product = rewriting.sole_producer(node.inputs[0]) if _is_sixth(node) else None
    if product is None or not _is_product(product):
        return None
    for x, other in (product.inputs, product.inputs[::-1]):
        if _relu6_of_shifted(rewriting, other) == x:
            return replace(node, layer=source.Activation(HardSwish), inputs=(x,))
    return None


def _hard_swish(rewriting: _Rewriting, node: Node) -> Node | None:
    """Fold x * hard_sigmoid(x), or (x / 6) * relu6(x + 3)."""
    if not _is_product(node):
        return None
    for x, other in (node.inputs, node.inputs[::-1]):
        gate = rewriting.sole_producer(other)
        if gate is not None and _is_activation(gate, HardSigmoid) and gate.inputs == (x,):
            return replace(node, layer=source.Activation(HardSwish), inputs=(x,))
        scaled = rewriting.sole_producer(x)
        if scaled is not None and _is_sixth(scaled) and _relu6_of_shifted(rewriting, other) == scaled.inputs[0]:
            return replace(node, layer=source.Activation(HardSwish), inputs=scaled.inputs)
    return None


def _channel_shuffle(rewriting: _Rewriting, node: Node) -> Node | None:
    """(…, C) read as (…, groups, C / groups), the two swapped, and read as (…, C) again."""
    transpose = rewriting.sole_producer(node.inputs[0])
    opened = rewriting.sole_producer(transpose.inputs[0]) if transpose is not None else None
    if transpose is None or opened is None or not isinstance(transpose.layer, source.Transpose):
        return None
    if not isinstance(opened.layer, source.Reshape) or not isinstance(node.layer, source.Reshape):
        return None
    shape, wide = rewriting.graph.shapes.get(opened.inputs[0]), opened.layer.shape
    if shape is None or len(shape) != 4 or len(wide) != 5 or node.layer.shape != shape or -1 in wide:
        return None
    axis = rewriting.graph.channel_axis(4)
    swapped = [0, 1, 2, 3, 4]
    swapped[axis], swapped[axis + 1] = axis + 1, axis
    same = (*wide[:axis], wide[axis] * wide[axis + 1], *wide[axis + 2 :]) == shape
    if not same or transpose.layer.permutation != tuple(swapped):
        return None
    return replace(node, layer=source.ChannelShuffle(wide[axis]), inputs=opened.inputs)


def _flattened_global_pool(rewriting: _Rewriting, node: Node) -> Node | None:
    """A global pooling that keeps dimensions, flattened: the pooling that does not keep them."""
    pool = rewriting.sole_producer(node.inputs[0])
    if pool is None or not isinstance(pool.layer, source.GlobalPool) or not pool.layer.keep_dims:
        return None
    if not isinstance(node.layer, source.Reshape) or not node.layer.flattens or len(node.layer.shape) != 2:
        return None
    return replace(node, layer=source.GlobalPool(keep_dims=False), inputs=pool.inputs)


def _folded_affine(rewriting: _Rewriting, node: Node) -> Node | None:
    """An affine map after a layer that has weights, or after another affine map."""
    before, affine = rewriting.sole_producer(node.inputs[0]), node.layer
    if before is None or not isinstance(affine, source.Affine):
        return None
    if isinstance(before.layer, source.Affine):
        merged = _merged(before.layer, affine)
        return None if merged is None else replace(node, layer=merged, inputs=before.inputs)
    # What a .tflite file spells out runs as it is spelled; ONNX Runtime folds, and a torch module is only a recipe.
    if not rewriting.graph.channels_first:
        return None
    if not isinstance(before.layer, source.Conv | source.TransposeConv | source.Linear):
        return None
    if affine.axis is not None and affine.axis != _output_axis(rewriting, before):
        return None
    return Node(_scaled(before.layer, affine), before.inputs, node.outputs, before.op_type)


def _output_axis(rewriting: _Rewriting, node: Node) -> int:
    """Return the axis that a layer's output channels are on."""
    if isinstance(node.layer, source.Linear):
        return len(rewriting.graph.shapes.get(node.outputs[0], (0, 0))) - 1
    return rewriting.graph.channel_axis(4)


def _nearest_along_both_axes(rewriting: _Rewriting, node: Node) -> Node | None:
    """Join a nearest interpolation of rows with one of columns: it picks the same cells at once."""
    before = rewriting.sole_producer(node.inputs[0])
    if before is None or not isinstance(before.layer, source.Resize) or not isinstance(node.layer, source.Resize):
        return None
    shape = rewriting.graph.shapes.get(before.inputs[0])
    if before.layer.kind is not ResizeNearest or node.layer.kind is not ResizeNearest or shape is None:
        return None
    columns = shape[rewriting.graph.spatial_axes()[1]]
    picks_rows, picks_columns = before.layer.size[1] == columns, node.layer.size[0] == before.layer.size[0]
    return replace(node, inputs=before.inputs) if picks_rows and picks_columns and before.op_type == "Gather" else None


def _merged(first: source.Affine, second: source.Affine) -> source.Affine | None:
    if first.axis is not None and second.axis is not None and first.axis != second.axis:
        return None
    scale, shift = first.scale * second.scale, first.shift * second.scale + second.shift
    return source.Affine(scale, shift, first.axis if second.axis is None else second.axis)


def _scaled(
    layer: source.Conv | source.TransposeConv | source.Linear, affine: source.Affine
) -> source.Conv | source.TransposeConv | source.Linear:
    outputs = layer.weight.shape[0]
    scale, shift = np.broadcast_to(affine.scale, (outputs,)), np.broadcast_to(affine.shift, (outputs,))
    weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    bias = shift if layer.bias is None else layer.bias * scale + shift
    return replace(layer, weight=weight.astype(np.float32), bias=bias.astype(np.float32))


def _pixel_shuffled_conv(rewriting: _Rewriting, node: Node) -> Node | None:
    """A convolution before torch's pixel_shuffle: its output channels sorted into TFLite's order."""
    conv = rewriting.sole_producer(node.inputs[0])
    layer = node.layer
    if conv is None or not isinstance(layer, source.DepthToSpace) or layer.order != "CRD":
        return None
    if not isinstance(conv.layer, source.Conv) or conv.layer.groups != 1:
        return None
    cells = layer.block**2
    if conv.layer.weight.shape[0] % cells:
        return None
    order = np.arange(conv.layer.weight.shape[0]).reshape(-1, cells).T.reshape(-1)
    rewriting.set_layer(conv, _reordered(conv.layer, order))
    return replace(node, layer=source.DepthToSpace(layer.block, "DCR"))


def _reordered(conv: source.Conv, order: NDArray[np.intp]) -> source.Conv:
    return replace(conv, weight=conv.weight[order], bias=None if conv.bias is None else conv.bias[order])


def _is_activation(node: Node, kind: type[Any]) -> bool:
    return isinstance(node.layer, source.Activation) and node.layer.kind is kind


def _is_product(node: Node) -> bool:
    return isinstance(node.layer, source.Binary) and node.layer.kind is Mul


def _is_sixth(node: Node) -> bool:
    return isinstance(node.layer, source.Affine) and node.layer.is_scalar(1 / 6, 0)


_ACTIVATION_RULES: dict[type[source.Layer], tuple[_Rule, ...]] = {
    source.Affine: (_hard_sigmoid, _hard_swish_scaled_last),
    source.Binary: (_hard_swish,),
}
_FOLDING_RULES: dict[type[source.Layer], tuple[_Rule, ...]] = {
    source.Affine: (_folded_affine,),
    source.Reshape: (_channel_shuffle, _flattened_global_pool),
    source.DepthToSpace: (_pixel_shuffled_conv,),
    source.Resize: (_nearest_along_both_axes,),
}
