"""A network as a model file or a torch program states it, before it becomes a Network.

All readers make this graph: its layers keep the source's axes (NHWC or NCHW) and may still hold what a Network
has no word for, such as an affine map left by a batch norm.  `_source_rewrites` removes what can be folded,
`_source_lowering` turns the rest into operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from profiler.errors import ModelFileError
from profiler.network import Operator, Relu, Relu6, TensorSpec, same_padding

Pair = tuple[int, int]
Shape = tuple[int, ...]
Array = NDArray[np.float32]
MAX_NODES = 200_000
"""Most operators of a model that is read; real ones have thousands, and a hostile one should end soon."""

MAX_WEIGHT_BYTES = 4 * 2**30
"""Most weights that are read: operators can share a constant in a file, but each has its own in a Network."""

Padding = Literal["same", "valid"] | tuple[Pair, Pair]
"""TensorFlow's "same" or "valid", or cells ((top, bottom), (left, right))."""


@dataclass(frozen=True, eq=False)
class Layer:
    """What a node does; the subclasses say it with the source's own axes."""


@dataclass(frozen=True, eq=False)
class Conv(Layer):
    """Convolution; weight (out, height, width, in / groups), bias (out,)."""

    weight: Array
    bias: Array | None
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    groups: int = 1
    padding: Padding = "valid"
    depthwise: bool = False


@dataclass(frozen=True, eq=False)
class TransposeConv(Layer):
    """Transposed convolution; weight (out, height, width, in); explicit padding is cut off the output."""

    weight: Array
    bias: Array | None
    stride: Pair = (1, 1)
    padding: Padding = "valid"


@dataclass(frozen=True, eq=False)
class Linear(Layer):
    """Matrix product along the last axis; weight (units, in), bias (units,)."""

    weight: Array
    bias: Array | None


@dataclass(frozen=True, eq=False)
class Affine(Layer):
    """scale * x + shift with one number, or with one number for each index of an axis.

    Attributes:
        scale: Shape (1,) or (size of the axis,).
        shift: The same shape as scale.
        axis: The axis, counted from the front; None when scale and shift are single numbers.
    """

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    axis: int | None = None

    def is_scalar(self, scale: float, shift: float) -> bool:
        """Whether this is the map x -> scale * x + shift; files may hold the numbers as float16."""
        return self.axis is None and bool(
            np.allclose(self.scale, scale, rtol=1e-3) and np.allclose(self.shift, shift, rtol=1e-3)
        )


@dataclass(frozen=True, eq=False)
class Activation(Layer):
    """An element-wise kind of Network without attributes."""

    kind: type[Operator]


@dataclass(frozen=True, eq=False)
class PRelu(Layer):
    """x where positive, alpha * x elsewhere; alpha (1,), or one number for each index of an axis."""

    alpha: Array
    axis: int | None


@dataclass(frozen=True, eq=False)
class Softmax(Layer):
    """Softmax over an axis."""

    axis: int


@dataclass(frozen=True, eq=False)
class Binary(Layer):
    """Sum or product of two tensors with numpy's broadcasting."""

    kind: type[Operator]


@dataclass(frozen=True, eq=False)
class Concat(Layer):
    """Tensors joined along an axis."""

    axis: int


@dataclass(frozen=True, eq=False)
class Split(Layer):
    """A tensor cut into equal parts, one for each output of the node."""

    axis: int


@dataclass(frozen=True, eq=False)
class Slice(Layer):
    """The indices from start to stop of an axis; several that share a tensor out become a Split."""

    axis: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Pool(Layer):
    """Window pooling; counts_padding says whether an average counts the padded cells."""

    kind: type[Operator]
    kernel: Pair
    stride: Pair
    padding: Padding
    counts_padding: bool = False


@dataclass(frozen=True, eq=False)
class GlobalPool(Layer):
    """Mean over height and width."""

    keep_dims: bool


@dataclass(frozen=True, eq=False)
class Mean(Layer):
    """Mean over axes."""

    axes: tuple[int, ...]
    keep_dims: bool


@dataclass(frozen=True, eq=False)
class Pad(Layer):
    """Zeros around a tensor: (before, after) for each axis."""

    paddings: tuple[Pair, ...]


@dataclass(frozen=True, eq=False)
class Resize(Layer):
    """Interpolation to (height, width); coordinates only matter for the bilinear kind."""

    kind: type[Operator]
    size: Pair
    coordinates: Literal["half_pixel", "align_corners", "asymmetric"] = "asymmetric"


@dataclass(frozen=True, eq=False)
class DepthToSpace(Layer):
    """Channels become pixels; order "DCR" is TFLite's, "CRD" is torch's pixel_shuffle."""

    block: int
    order: Literal["DCR", "CRD"] = "DCR"


@dataclass(frozen=True, eq=False)
class ChannelShuffle(Layer):
    """Channels mixed across groups."""

    groups: int


@dataclass(frozen=True, eq=False)
class Reshape(Layer):
    """The same elements in another shape; one size may be -1.  flattens: the source calls it a flattening."""

    shape: Shape
    flattens: bool = False


@dataclass(frozen=True, eq=False)
class Transpose(Layer):
    """Axes in another order: output axis i is input axis permutation[i]."""

    permutation: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Unknown(Layer):
    """An operator that a Network has no kind for; it becomes opaque under the node's op_type."""


@dataclass(frozen=True, eq=False)
class Node:
    """A layer with the names of the tensors it reads and writes.

    Attributes:
        layer: What it does.
        inputs: Tensors read; constants are in the layer.
        outputs: Tensors written.
        op_type: The source's own name of the operator.
    """

    layer: Layer
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    op_type: str


@dataclass
class SourceGraph:
    """Nodes in execution order, with what the source says about its tensors.

    Attributes:
        name: Name of the model.
        channels_first: Whether rank-4 tensors are NCHW rather than NHWC.
        inputs: Input tensors with the source's axes.
        outputs: Names of the output tensors.
        nodes: In execution order.
        shapes: Shapes of tensors as far as the source states them, with the source's axes.
        dtypes: Element types of tensors that are not float32.
        channels_last_ends: Whether this is an ONNX file that pocketnas wrote: rank-4 inputs and outputs are NHWC
            although nodes work on NCHW, and transpositions between the two are marked by their names.
    """

    name: str
    channels_first: bool
    inputs: list[TensorSpec] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    channels_last_ends: bool = False
    _aliases: dict[str, str] = field(default_factory=dict)
    _weight_bytes: int = 0

    def resolve(self, tensor: str) -> str:
        """Return the tensor that a name stands for, behind operators that do nothing."""
        return self._aliases.get(tensor, tensor)

    def alias(self, output: str, tensor: str) -> None:
        """Record that an operator passes a tensor on unchanged."""
        self._aliases[output] = self.resolve(tensor)

    def add(self, layer: Layer, inputs: Sequence[str], outputs: Sequence[str], op_type: str) -> None:
        """Append a node.

        Raises:
            ModelFileError: The nodes have more than MAX_WEIGHT_BYTES of weights.
        """
        self._weight_bytes += sum(value.nbytes for value in vars(layer).values() if isinstance(value, np.ndarray))
        if self._weight_bytes > MAX_WEIGHT_BYTES:
            raise ModelFileError(f"has weights of more than {MAX_WEIGHT_BYTES} bytes, more than is read")
        self.nodes.append(Node(layer, tuple(self.resolve(name) for name in inputs), tuple(outputs), op_type))

    def finish(self, outputs: Sequence[str]) -> None:
        """Set the outputs once all nodes are there."""
        self.outputs = [self.resolve(name) for name in outputs]

    def spatial_axes(self) -> Pair:
        """Return the axes of height and width in a rank-4 tensor."""
        return (2, 3) if self.channels_first else (1, 2)

    def channel_axis(self, rank: int) -> int:
        """Return the axis of the channels in a tensor of this rank."""
        return 1 if self.channels_first and rank > 1 else rank - 1


def affine_from_constant(
    operation: str, constant: NDArray[Any], rank: int, *, reversed_: bool = False
) -> Affine | None:
    """Return x (operation) constant as an affine map, or None where the constant varies along several axes.

    Args:
        operation: "add", "sub", "mul" or "div".
        constant: Broadcasts to x from the last axis.
        rank: Rank of x.
        reversed_: Whether the constant is the left operand.
    """
    varying = [axis for axis, size in enumerate(constant.shape) if size != 1]
    if len(varying) > 1 or constant.ndim > rank or constant.size == 0:
        return None
    values = constant.astype(np.float64).reshape(-1)
    axis = varying[0] + rank - constant.ndim if varying else None
    zero, one = np.zeros_like(values), np.ones_like(values)
    if operation == "add":
        return Affine(one, values, axis)
    if operation == "mul":
        return Affine(values, zero, axis)
    if operation == "sub":
        return Affine(-one, values, axis) if reversed_ else Affine(one, -values, axis)
    if reversed_ or not values.all():
        return None  # a constant divided by a tensor is not affine
    return Affine(one / values, zero, axis)


def affine_of_batch_norm(
    scale: NDArray[np.float64],
    shift: NDArray[np.float64],
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    epsilon: float,
) -> Affine:
    """Return scale * (x - mean) / sqrt(variance + epsilon) + shift, a batch norm that does not learn."""
    factor = scale / np.sqrt(variance + epsilon)
    return Affine(factor, shift - mean * factor, 1)


def same_padding_at_start(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """Return SAME's cells (before, after) along an axis where an odd cell is added at the start."""
    before, after = same_padding(size, kernel, stride, dilation)
    return after, before


def pool_layer(
    kind: type[Operator],
    sizes: Sequence[int],
    kernel: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    *,
    counts_padding: bool,
    rounds_up: bool,
) -> Layer | None:
    """Return a pooling of an image of these sizes; None where it counts some padded cells and not others."""
    if not rounds_up:
        return Pool(kind, kernel, stride, padding, counts_padding)
    widened = _rounded_up(sizes, kernel, stride, padding)
    # Cells that only rounding up adds are not counted.
    counts_padding = counts_padding and any(map(any, padding))
    return None if counts_padding and widened != padding else Pool(kind, kernel, stride, widened, counts_padding)


def _rounded_up(sizes: Sequence[int], kernel: Pair, stride: Pair, padding: tuple[Pair, Pair]) -> tuple[Pair, Pair]:
    """Return the padding with which a pooling rounds its output size up, as torch and ONNX do with ceil_mode."""
    widened: list[Pair] = []
    for size, window, step, (before, after) in zip(sizes, kernel, stride, padding, strict=True):
        left_over = (size + before + after - window) % step
        # A window that would begin in the padding at the end does not count.
        starts_inside = left_over and size + before + after - left_over - window + step < size + before
        widened.append((before, after + step - left_over if starts_inside else after))
    return widened[0], widened[1]


def clip_layer(low: float, high: float) -> Layer:
    """Return the layer that clips to [low, high]: an activation where a Network has it."""
    if low == 0 and high == np.inf:
        return Activation(Relu)
    if low == 0 and high == 6:
        return Activation(Relu6)
    return Unknown()


def normalised_axis(axis: int, rank: int) -> int:
    """Return an axis counted from the front.

    Raises:
        ModelFileError: There is no such axis.
    """
    if not -rank <= axis < rank:
        raise ModelFileError(f"not a valid model: axis {axis} of a tensor of rank {rank}")
    return axis % rank


def check_size(nodes: int) -> None:
    """Check the number of a model's operators.

    Raises:
        ModelFileError: It is beyond MAX_NODES.
    """
    if nodes > MAX_NODES:
        raise ModelFileError(f"has {nodes} operators; models of more than {MAX_NODES} are not read")


def checked_input_shapes(
    shapes: Mapping[str, tuple[int, ...]] | None, names: Sequence[str]
) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes that a caller fixes, once their names are known to be inputs.

    Raises:
        ModelFileError: One is not.
    """
    for name in shapes or {}:
        if name not in names:
            raise ModelFileError(f"the model has no input {name!r}; its inputs are {', '.join(map(repr, names))}")
    return shapes or {}
