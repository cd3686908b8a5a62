"""From a genotype of the CARS space to the Network that it stands for.

Where this differs from the networks of DARTS: a strided skip, and the adapter after a reduction cell,
is one strided 1x1 convolution and not two with shifted grids; padding is TensorFlow's SAME; a ReLU that
several operations share is computed once; and what cannot reach the output is not there at all.

Each convolution with a bias carries a batch norm while it is trained, and its bias is what that folds to.
"""

from __future__ import annotations

from dataclasses import dataclass

from profiler.network import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    MaxPool2d,
    Network,
    Operator,
    Relu,
    TensorSpec,
)
from search.spaces.cars._genotype import CELL_INPUTS, OPERATIONS, CarsGenotype, Cell, Edge, Operation

STEM_WIDTH = 3
"""Channels of the stem for each channel of a node, as in DARTS."""

_WINDOWS = {"3x3": (3, 3), "5x5": (5, 5)}


@dataclass(frozen=True)
class CarsParams:
    """Settings of the space.

    Attributes:
        image_shape: Height, width and channels of the images.
        classes: Number of classes.
        cells: Cells in a row; the ones at a third and at two thirds are reduction cells.
        channels: Channels of a node before the first reduction; each reduction doubles them.
        nodes: Nodes of a cell.
        operations: The candidates of an edge; none may be there only if "none" is one of them.
    """

    image_shape: tuple[int, int, int]
    classes: int
    cells: int = 5
    channels: int = 8
    nodes: int = 4
    operations: tuple[Operation, ...] = OPERATIONS

    @property
    def reductions(self) -> tuple[int, int]:
        """Indices of the two reduction cells."""
        return self.cells // 3, 2 * self.cells // 3

    def cell_channels(self, index: int) -> int:
        """Return the channels of a cell's nodes."""
        return self.channels << sum(index >= reduction for reduction in self.reductions)

    def map_size(self, index: int) -> tuple[int, int]:
        """Return height and width of a cell's nodes, or of the stem before the first cell."""
        height, width, _ = self.image_shape
        for reduction in self.reductions:
            if index >= reduction:
                height, width = -(-height // 2), -(-width // 2)
        return height, width

    def adapter_stride(self, index: int, source: int) -> int:
        """Return the stride of the convolution that brings one of its two inputs to a cell's size."""
        return 2 if source == 0 and index - 1 in self.reductions else 1


def lower(params: CarsParams, genotype: CarsGenotype) -> Network:
    """Return the network of a genotype; its input is "image" and its output "logits"."""
    return _Lowering(params, genotype).network()


def input_parts(params: CarsParams, genotype: CarsGenotype) -> dict[str, tuple[str, ...]]:
    """Return, for each operator that may read a cell's output, the nodes whose channels make it up, in order."""
    parts: dict[str, tuple[str, ...]] = {}
    for index in range(params.cells):
        cell = genotype.reduction if index in params.reductions else genotype.normal
        nodes = tuple(f"node{node}" for node in cell.live_nodes)
        for reader in (f"cells.{index + 1}.in1", f"cells.{index + 2}.in0"):
            parts[reader] = nodes
        if index == params.cells - 1:
            parts["logits"] = nodes
    return parts


class Operators:
    """Operators of a network, in the order they are put; each method returns the tensor it made."""

    def __init__(self) -> None:
        self.put_so_far: list[Operator] = []
        self._relus: dict[str, str] = {}

    def edge(self, place: str, edge: Edge, tensor: str, channels: int, stride: int) -> str:
        """Put what an edge does; a skip that keeps its map does nothing."""
        operation, _, window = edge.operation.rpartition("_")
        name = f"{place}.{edge.operation}"
        if operation == "skip":
            return tensor if stride == 1 else self.pointwise(name, self.relu(tensor), channels, stride)
        kernel = _WINDOWS[window]
        if operation == "max_pool":
            return self.put(MaxPool2d(name, (tensor,), kernel, (stride, stride), "same"))
        if operation == "avg_pool":
            return self.put(AvgPool2d(name, (tensor,), kernel, (stride, stride), "same"))
        dilation = 2 if operation == "dil_conv" else 1
        first = self._depthwise_pair(f"{name}.0", tensor, channels, kernel, stride, dilation)
        return self._depthwise_pair(f"{name}.1", first, channels, kernel) if operation == "sep_conv" else first

    def _depthwise_pair(
        self, name: str, tensor: str, channels: int, kernel: tuple[int, int], stride: int = 1, dilation: int = 1
    ) -> str:
        depthwise = DepthwiseConv2d(
            f"{name}.depthwise", (self.relu(tensor),), kernel, (stride, stride), (dilation, dilation), use_bias=False
        )
        return self.pointwise(f"{name}.pointwise", self.put(depthwise), channels)

    def pointwise(self, name: str, tensor: str, channels: int, stride: int = 1) -> str:
        """Put a 1x1 convolution."""
        return self.put(Conv2d(name, (tensor,), channels, (1, 1), (stride, stride)))

    def relu(self, tensor: str) -> str:
        """Put a ReLU where the tensor has none yet."""
        if tensor not in self._relus:
            self._relus[tensor] = self.put(Relu(f"{tensor}.relu", (tensor,)))
        return self._relus[tensor]

    def stem(self, channels: int) -> str:
        """Put the convolution that reads the image."""
        return self.put(Conv2d("stem", ("image",), STEM_WIDTH * channels))

    def classifier(self, tensor: str, classes: int) -> str:
        """Put what makes logits of the last cell."""
        return self.put(Dense("logits", (self.put(GlobalAvgPool2d("pool", (tensor,))),), classes))

    def put(self, operator: Operator) -> str:
        """Put any operator of one output."""
        self.put_so_far.append(operator)
        return operator.name


class _Lowering:
    """Puts the operators of one network."""

    def __init__(self, params: CarsParams, genotype: CarsGenotype) -> None:
        self._params, self._genotype = params, genotype
        self._operators = Operators()

    def network(self) -> Network:
        params, operators = self._params, self._operators
        image = TensorSpec("image", (1, *params.image_shape))
        stem = operators.stem(params.channels)
        outputs = [stem, stem]
        needed = self._needed_cells()
        for index in range(params.cells):
            outputs.append(self._cell(index, outputs[-2], outputs[-1]) if index in needed else "")
        logits = operators.classifier(outputs[-1], params.classes)
        return Network(f"cars-{self._genotype.key}", [image], operators.put_so_far, [logits])

    def _cell_type(self, index: int) -> Cell:
        return self._genotype.reduction if index in self._params.reductions else self._genotype.normal

    def _needed_cells(self) -> set[int]:
        """Return the cells whose output reaches the logits: a cell may read only one of the two before it."""
        needed = {self._params.cells - 1}
        for index in range(self._params.cells - 1, -1, -1):
            if index in needed:
                cell = self._cell_type(index)
                needed |= {index - CELL_INPUTS + source for source in range(CELL_INPUTS) if cell.reads(source)}
        return needed

    def _cell(self, index: int, before_last: str, last: str) -> str:
        """Put the operators of a cell, and return the tensor that is its output."""
        cell, operators = self._cell_type(index), self._operators
        reducing = index in self._params.reductions
        channels = self._params.cell_channels(index)
        sources: list[str] = []
        for source, tensor in enumerate((before_last, last)):
            stride = self._params.adapter_stride(index, source)
            name = f"cells.{index}.in{source}"
            read = cell.reads(source)
            sources.append(operators.pointwise(name, operators.relu(tensor), channels, stride) if read else "")
        for node, edges in enumerate(cell.live_edges):
            place = f"cells.{index}.node{node}"
            stride_of = [2 if reducing and edge.source < CELL_INPUTS else 1 for edge in edges]
            terms = [
                operators.edge(f"{place}.from{edge.source}", edge, sources[edge.source], channels, stride)
                for edge, stride in zip(edges, stride_of, strict=True)
            ]
            sources.append(operators.put(Add(place, tuple(terms))) if len(terms) == 2 else "".join(terms))
        live = tuple(sources[CELL_INPUTS + node] for node in cell.live_nodes)
        return operators.put(Concat(f"cells.{index}", live)) if len(live) > 1 else live[0]
