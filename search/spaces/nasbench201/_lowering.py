"""From a genotype of the NAS-Bench-201 space to the Network that it stands for.

Where this differs from the benchmark's networks: a ReLU that several convolutions share is computed once, the short
cut of a reduction has a batch norm, the one behind the last cell is missing (no convolution could take it in), and what
cannot reach the output is not there at all.

Each convolution carries a batch norm while it is trained, and its bias is what that folds to.
"""

from __future__ import annotations

from dataclasses import dataclass

from profiler.layers import IMAGE, Layers
from profiler.network import Add, AvgPool2d, Network, Relu
from profiler.scaling import scaled_strides
from search.spaces.nasbench201._genotype import EDGES, NODES, OPERATIONS, NasBench201Genotype, Operation

_KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


@dataclass(frozen=True)
class NasBench201Params:
    """Settings of the space; the benchmark's own are the defaults.

    Attributes:
        image_shape: Height, width and channels of the images.
        classes: Number of classes.
        channels: Channels of the first stage; each later one has twice those of the one before.
        cells: Cells of a stage.
        stages: Stages; a reduction halves the map between two of them, the first reductions not on small images
            (see `scaled_strides`).
        operations: The candidates of an edge.
    """

    image_shape: tuple[int, int, int]
    classes: int
    channels: int = 16
    cells: int = 5
    stages: int = 3
    operations: tuple[Operation, ...] = OPERATIONS

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of the reduction before each stage but the first."""
        return scaled_strides((2,) * (self.stages - 1), self.image_shape[:2])


def lower(params: NasBench201Params, genotype: NasBench201Genotype) -> Network:
    """Return the network of a genotype; its input is "image" and its output "logits"."""
    return _Lowering(params, genotype).network()


class _Lowering:
    """Puts the operators of one network."""

    def __init__(self, params: NasBench201Params, genotype: NasBench201Genotype) -> None:
        self._params, self._genotype = params, genotype
        self._layers = Layers()
        self._relus: dict[str, str] = {}

    def network(self) -> Network:
        params, layers = self._params, self._layers
        tensor = layers.conv("stem", IMAGE, params.channels, 3)
        for stage, stride in enumerate((1, *params.strides)):
            channels = params.channels << stage
            if stage:
                tensor = self._reduction(f"stages.{stage}.reduction", tensor, channels, stride)
            for cell in range(params.cells):
                tensor = self._cell(f"stages.{stage}.cells.{cell}", tensor, channels)
        logits = layers.logits(self._relu(tensor), params.classes)
        return layers.network(f"nasbench201-{self._genotype.key}", params.image_shape, logits)

    def _cell(self, name: str, source: str, channels: int) -> str:
        """Put the live edges of a cell, and return the tensor that is its output."""
        tensors = {0: source}
        for target in range(1, NODES):
            terms = [
                self._edge(f"{name}.edge{start}{end}.{operation}", tensors[start], operation, channels)
                for operation, (start, end) in zip(self._genotype.live, EDGES, strict=True)
                if end == target and operation != "none"
            ]
            if terms:
                tensors[target] = self._sum(f"{name}.node{target}", terms)
        return tensors[NODES - 1]

    def _edge(self, name: str, tensor: str, operation: Operation, channels: int) -> str:
        if operation == "skip_connect":
            return tensor
        if operation == "avg_pool_3x3":
            return self._layers.add(AvgPool2d(name, (tensor,), (3, 3), (1, 1), "same"))
        return self._layers.conv(name, self._relu(tensor), channels, _KERNELS[operation])

    def _reduction(self, name: str, tensor: str, channels: int, stride: int) -> str:
        """Put a residual block that halves the map, where the images are large enough, and doubles the channels."""
        layers = self._layers
        inner = layers.conv(f"{name}.first", self._relu(tensor), channels, 3, stride)
        inner = layers.conv(f"{name}.second", self._relu(inner), channels, 3)
        if stride > 1:
            tensor = layers.add(AvgPool2d(f"{name}.pool", (tensor,), (stride, stride), (stride, stride), "same"))
        return self._sum(name, [inner, layers.conv(f"{name}.short", tensor, channels, 1)])

    def _sum(self, name: str, terms: list[str]) -> str:
        """Add tensors up, two at a time; one alone is its own sum."""
        total = terms[0]
        for place, term in enumerate(terms[1:], start=1):
            total = self._layers.add(Add(f"{name}.add{place}", (total, term)))
        return total

    def _relu(self, tensor: str) -> str:
        """Put a ReLU where the tensor has none yet."""
        if tensor not in self._relus:
            self._relus[tensor] = self._layers.add(Relu(f"{tensor}.relu", (tensor,)))
        return self._relus[tensor]
