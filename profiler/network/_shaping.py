"""Operators that move, join, resize or reduce data without weights, and the operator we do not know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from profiler.errors import NetworkError
from profiler.network._operator import Operator, Shape
from profiler.network._tensor import TensorSpec


@dataclass(frozen=True)
class Concat(Operator):
    """Tensors joined along an axis.

    Attributes:
        axis: The axis; negative counts from the end.
    """

    kind: ClassVar[str] = "concat"
    arity: ClassVar[tuple[int, int | None]] = (1, None)

    axis: int = -1

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the shape with the sizes along the axis added up."""
        axis = self.resolve_axis(self.axis, inputs[0])
        shape = inputs[0].shape
        for spec in inputs[1:]:
            if (
                len(spec.shape) != len(shape)
                or spec.shape[:axis] != shape[:axis]
                or spec.shape[axis + 1 :] != shape[axis + 1 :]
            ):
                raise self.shape_error(f"shapes {shape} and {spec.shape} differ outside axis {axis}")
        return ((*shape[:axis], sum(spec.shape[axis] for spec in inputs), *shape[axis + 1 :]),)

    def signature(self, inputs: tuple[TensorSpec, ...]) -> tuple[object, ...]:
        """Return the axis counted from the front."""
        return (self.resolve_axis(self.axis, inputs[0]),)


@dataclass(frozen=True)
class Split(Operator):
    """A tensor cut into equal parts; the outputs are "name:0", "name:1", ….

    Attributes:
        parts: Number of parts, >= 2.
        axis: The axis; negative counts from the end.
    """

    kind: ClassVar[str] = "split"

    parts: int
    axis: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive(parts=self.parts)
        if self.parts < 2:
            raise NetworkError("parts must be at least 2", operator=self.name)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(f"{self.name}:{index}" for index in range(self.parts))

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the shape of each part."""
        axis = self.resolve_axis(self.axis, inputs[0])
        shape = inputs[0].shape
        if shape[axis] % self.parts:
            raise self.shape_error(f"size {shape[axis]} does not divide into {self.parts} parts")
        return ((*shape[:axis], shape[axis] // self.parts, *shape[axis + 1 :]),) * self.parts

    def signature(self, inputs: tuple[TensorSpec, ...]) -> tuple[object, ...]:
        """Return parts and the axis counted from the front."""
        return (self.parts, self.resolve_axis(self.axis, inputs[0]))


@dataclass(frozen=True)
class ChannelShuffle(Operator):
    """Channels read as (groups, C / groups) and written as (C / groups, groups): ShuffleNet's mixing.

    Attributes:
        groups: Number of groups; divides the channels.
    """

    kind: ClassVar[str] = "channel_shuffle"

    groups: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive(groups=self.groups)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the input's shape."""
        self.require_rank(inputs[0], 4)
        if inputs[0].shape[3] % self.groups:
            raise self.shape_error(f"{inputs[0].shape[3]} channels do not divide into {self.groups} groups")
        return (inputs[0].shape,)


@dataclass(frozen=True)
class GlobalAvgPool2d(Operator):
    """Mean over height and width.

    Attributes:
        keep_dims: Whether the output is (N, 1, 1, C) instead of (N, C).
    """

    kind: ClassVar[str] = "global_avg_pool2d"

    keep_dims: bool = False

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return (N, C), or (N, 1, 1, C) with keep_dims."""
        self.require_rank(inputs[0], 4)
        batch, _, _, channels = inputs[0].shape
        return ((batch, 1, 1, channels) if self.keep_dims else (batch, channels),)


@dataclass(frozen=True)
class Mean(Operator):
    """Mean over axes.

    Attributes:
        axes: The axes; negative count from the end.
        keep_dims: Whether reduced axes stay with size 1.
    """

    kind: ClassVar[str] = "mean"

    axes: tuple[int, ...]
    keep_dims: bool = False

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the shape without the reduced axes (with size 1 when kept)."""
        reduced = self._resolved(inputs[0])
        kept = [1 if axis in reduced else size for axis, size in enumerate(inputs[0].shape)]
        if self.keep_dims:
            return (tuple(kept),)
        return (tuple(size for axis, size in enumerate(inputs[0].shape) if axis not in reduced),)

    def signature(self, inputs: tuple[TensorSpec, ...]) -> tuple[object, ...]:
        """Return the axes sorted and counted from the front, and keep_dims."""
        return (tuple(sorted(self._resolved(inputs[0]))), self.keep_dims)

    def _resolved(self, spec: TensorSpec) -> frozenset[int]:
        resolved = frozenset(self.resolve_axis(axis, spec) for axis in self.axes)
        if not resolved or len(resolved) != len(self.axes):
            raise self.shape_error(f"axes {self.axes} must be at least one and without repetition")
        return resolved


@dataclass(frozen=True)
class Pad(Operator):
    """Zeros added around a tensor.

    Attributes:
        paddings: Cells (before, after) for each axis, all >= 0.
    """

    kind: ClassVar[str] = "pad"

    paddings: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(
            len(pair) == 2 and all(type(cells) is int and cells >= 0 for cells in pair) for pair in self.paddings
        ):
            raise NetworkError(f"paddings must be pairs of numbers >= 0, not {self.paddings!r}", operator=self.name)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the shape with the paddings added."""
        shape = inputs[0].shape
        if len(self.paddings) != len(shape):
            raise self.shape_error(f"{len(self.paddings)} paddings for shape {shape}")
        return (tuple(size + before + after for size, (before, after) in zip(shape, self.paddings, strict=True)),)


@dataclass(frozen=True)
class _Resize(Operator):
    size: tuple[int, int]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive(size=self.size)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return (N, *size, C)."""
        self.require_rank(inputs[0], 4)
        return ((inputs[0].shape[0], *self.size, inputs[0].shape[3]),)


@dataclass(frozen=True)
class ResizeBilinear(_Resize):
    """Bilinear interpolation to a size.

    Attributes:
        size: Output (height, width).
        coordinates: How output cells map to input positions: "half_pixel" (x + 0.5) * scale - 0.5,
            "align_corners" (corner cells coincide), or "asymmetric" x * scale.
    """

    kind: ClassVar[str] = "resize_bilinear"

    coordinates: Literal["half_pixel", "align_corners", "asymmetric"] = "half_pixel"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coordinates not in ("half_pixel", "align_corners", "asymmetric"):
            raise NetworkError(f"unknown coordinates {self.coordinates!r}", operator=self.name)


@dataclass(frozen=True)
class ResizeNearest(_Resize):
    """Nearest cell: output x takes input floor(x * scale).

    Attributes:
        size: Output (height, width).
    """

    kind: ClassVar[str] = "resize_nearest"


@dataclass(frozen=True)
class DepthToSpace(Operator):
    """Channels read as (block, block, C') become a block of pixels: TFLite's order, ONNX's DCR.

    Attributes:
        block: Side of the block; its square divides the channels.
    """

    kind: ClassVar[str] = "depth_to_space"

    block: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive(block=self.block)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return (N, H * block, W * block, C / block^2)."""
        self.require_rank(inputs[0], 4)
        batch, height, width, channels = inputs[0].shape
        if channels % self.block**2:
            raise self.shape_error(f"{channels} channels do not divide by {self.block}^2")
        return ((batch, height * self.block, width * self.block, channels // self.block**2),)


@dataclass(frozen=True)
class Reshape(Operator):
    """The same elements in another shape.

    Attributes:
        shape: The whole new shape, all sizes given.
    """

    kind: ClassVar[str] = "reshape"

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive(shape=self.shape)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the new shape."""
        if math.prod(self.shape) != inputs[0].elements:
            raise self.shape_error(f"{inputs[0].shape} has not as many elements as {self.shape}")
        return (self.shape,)


@dataclass(frozen=True)
class Transpose(Operator):
    """Axes in another order.

    Attributes:
        permutation: Output axis i is input axis permutation[i].
    """

    kind: ClassVar[str] = "transpose"

    permutation: tuple[int, ...]

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the permuted shape."""
        shape = inputs[0].shape
        if sorted(self.permutation) != list(range(len(shape))):
            raise self.shape_error(f"{self.permutation} is no permutation of the axes of {shape}")
        return (tuple(shape[axis] for axis in self.permutation),)


@dataclass(frozen=True)
class Opaque(Operator):
    """An operator that a model file holds and pocketnas does not know.

    It keeps the graph whole and names what is unknown.  It has no cost, is never written to a file, and
    no predictor gives a number for it unless asked.

    Attributes:
        op_type: The file's own name of the operator.
        output_specs: Its outputs as the file declares them; their names are the outputs' names.
    """

    kind: ClassVar[str] = "opaque"
    arity: ClassVar[tuple[int, int | None]] = (0, None)

    op_type: str
    output_specs: tuple[TensorSpec, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the declared outputs."""
        return tuple(spec.name for spec in self.output_specs)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the declared shapes."""
        return tuple(spec.shape for spec in self.output_specs)

    def signature(self, inputs: tuple[TensorSpec, ...]) -> tuple[object, ...]:
        """Return the type and the declared shapes."""
        return (self.op_type, tuple((spec.shape, spec.dtype) for spec in self.output_specs))
