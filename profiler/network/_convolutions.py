"""Operators with weights that multiply and accumulate: convolutions and the dense layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from profiler.errors import NetworkError
from profiler.network._operator import Operator, Shape, attribute_names
from profiler.network._tensor import TensorSpec

Padding = Literal["same", "valid"]
Pair = tuple[int, int]


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Return the cells that SAME padding adds (before, after) along one axis.

    SAME is TensorFlow's: the output has ceil(size / stride) cells, and an odd cell is added at the end.

    Example:
        >>> same_padding(224, 3, 2)
        (0, 1)
    """
    reach = (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1
    total = max(reach - size, 0)
    return total // 2, total - total // 2


def window_output(size: int, kernel: int, stride: int, padding: Padding, dilation: int = 1) -> int:
    """Return the number of window positions along one axis; below 1 when the window does not fit."""
    if padding == "same":
        return -(-size // stride)
    return -(-(size - (kernel - 1) * dilation) // stride)


class _Window:
    """Checks and shapes that all sliding windows share."""

    @staticmethod
    def check(operator: Operator, kernel: Pair, stride: Pair, dilation: Pair, padding: str) -> None:
        for attribute, pair in (("kernel", kernel), ("stride", stride), ("dilation", dilation)):
            if not (isinstance(pair, tuple) and len(pair) == 2):
                raise NetworkError(f"{attribute} must be a pair (height, width), not {pair!r}", operator=operator.name)
        operator.require_positive(kernel=kernel, stride=stride, dilation=dilation)
        if padding not in ("same", "valid"):
            raise NetworkError(f"padding must be 'same' or 'valid', not {padding!r}", operator=operator.name)

    @staticmethod
    def spatial(
        operator: Operator, spec: TensorSpec, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding
    ) -> Pair:
        operator.require_rank(spec, 4)
        height = window_output(spec.shape[1], kernel[0], stride[0], padding, dilation[0])
        width = window_output(spec.shape[2], kernel[1], stride[1], padding, dilation[1])
        if height < 1 or width < 1:
            raise operator.shape_error(f"a {kernel[0]}x{kernel[1]} window does not fit into {spec.shape}")
        return height, width

    @staticmethod
    def signature(operator: Operator, padding: Padding, *, adds_nothing: bool) -> tuple[object, ...]:
        """Return the attributes with "same" called "valid" where it adds nothing and the two are the same work."""
        named = {name: getattr(operator, name) for name in attribute_names(type(operator))}
        return tuple((named | {"padding": "valid" if adds_nothing else padding}).values())

    @staticmethod
    def adds_nothing(spec: TensorSpec, kernel: Pair, stride: Pair, dilation: Pair) -> bool:
        """Whether SAME padding of an NHWC tensor adds no cell."""
        axes = zip(spec.shape[1:3], kernel, stride, dilation, strict=True)
        return all(same_padding(*axis) == (0, 0) for axis in axes)


@dataclass(frozen=True)
class Conv2d(Operator):
    """Two-dimensional convolution; kernel weights (out_channels, height, width, in_channels / groups).

    Attributes:
        out_channels: Channels of the output; divisible by groups.
        kernel: Window (height, width).
        stride: Step (height, width).
        dilation: Spacing of the window's cells (height, width).
        groups: Number of independent channel groups; divides the input's channels.
        padding: "same" (TensorFlow's) or "valid".
        use_bias: Whether a bias of shape (out_channels,) is added.
    """

    kind: ClassVar[str] = "conv2d"

    out_channels: int
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    groups: int = 1
    padding: Padding = "same"
    use_bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _Window.check(self, self.kernel, self.stride, self.dilation, self.padding)
        self.require_positive(out_channels=self.out_channels, groups=self.groups)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return (N, H', W', out_channels)."""
        height, width = _Window.spatial(self, inputs[0], self.kernel, self.stride, self.dilation, self.padding)
        channels = inputs[0].shape[3]
        if channels % self.groups or self.out_channels % self.groups:
            raise self.shape_error(
                f"{channels} -> {self.out_channels} channels do not divide into {self.groups} groups"
            )
        return ((inputs[0].shape[0], height, width, self.out_channels),)

    def signature(self, inputs: tuple[TensorSpec, ...]) -> tuple[object, ...]:
        """Return the attributes, with one name for paddings that are the same work."""
        adds_nothing = _Window.adds_nothing(inputs[0], self.kernel, self.stride, self.dilation)
        return _Window.signature(self, self.padding, adds_nothing=adds_nothing)

    def weight_shapes(self, inputs: tuple[TensorSpec, ...]) -> dict[str, Shape]:
        """Return kernel (O, kh, kw, I / groups) and bias (O,)."""
        shapes: dict[str, Shape] = {"kernel": (self.out_channels, *self.kernel, inputs[0].shape[3] // self.groups)}
        return shapes | ({"bias": (self.out_channels,)} if self.use_bias else {})

    def macs(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> int:
        """Return output elements times window cells times input channels a group."""
        return outputs[0].elements * math.prod(self.kernel) * (inputs[0].shape[3] // self.groups)


@dataclass(frozen=True)
class DepthwiseConv2d(Operator):
    """Depthwise convolution; kernel weights (1, height, width, channels * multiplier).

    Attributes:
        kernel: Window (height, width).
        stride: Step (height, width).
        dilation: Spacing of the window's cells (height, width).
        multiplier: Output channels for each input channel.
        padding: "same" (TensorFlow's) or "valid".
        use_bias: Whether a bias is added.
    """

    kind: ClassVar[str] = "depthwise_conv2d"

    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    multiplier: int = 1
    padding: Padding = "same"
    use_bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _Window.check(self, self.kernel, self.stride, self.dilation, self.padding)
        self.require_positive(multiplier=self.multiplier)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return (N, H', W', C * multiplier)."""
        height, width = _Window.spatial(self, inputs[0], self.kernel, self.stride, self.dilation, self.padding)
        return ((inputs[0].shape[0], height, width, inputs[0].shape[3] * self.multiplier),)

    def signature(self, inputs: tuple[TensorSpec, ...]) -> tuple[object, ...]:
        """Return the attributes, with one name for paddings that are the same work."""
        adds_nothing = _Window.adds_nothing(inputs[0], self.kernel, self.stride, self.dilation)
        return _Window.signature(self, self.padding, adds_nothing=adds_nothing)

    def weight_shapes(self, inputs: tuple[TensorSpec, ...]) -> dict[str, Shape]:
        """Return kernel (1, kh, kw, C * multiplier) and bias (C * multiplier,)."""
        channels = inputs[0].shape[3] * self.multiplier
        shapes: dict[str, Shape] = {"kernel": (1, *self.kernel, channels)}
        return shapes | ({"bias": (channels,)} if self.use_bias else {})

    def macs(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> int:
        """Return output elements times window cells."""
        return outputs[0].elements * math.prod(self.kernel)


@dataclass(frozen=True)
class TransposeConv2d(Operator):
    """Transposed convolution; kernel weights (out_channels, height, width, in_channels).

    Attributes:
        out_channels: Channels of the output.
        kernel: Window (height, width), at least the stride.
        stride: Upsampling (height, width).
        padding: "same": output = input * stride; "valid": output = (input - 1) * stride + kernel.
        use_bias: Whether a bias of shape (out_channels,) is added.
    """

    kind: ClassVar[str] = "transpose_conv2d"

    out_channels: int
    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Padding = "same"
    use_bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _Window.check(self, self.kernel, self.stride, (1, 1), self.padding)
        self.require_positive(out_channels=self.out_channels)
        if self.kernel[0] < self.stride[0] or self.kernel[1] < self.stride[1]:
            raise NetworkError(f"kernel {self.kernel} must be at least the stride {self.stride}", operator=self.name)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return (N, H', W', out_channels)."""
        self.require_rank(inputs[0], 4)
        batch, height, width, _ = inputs[0].shape
        sizes = [
            size * stride if self.padding == "same" else (size - 1) * stride + kernel
            for size, stride, kernel in zip((height, width), self.stride, self.kernel, strict=True)
        ]
        return ((batch, *sizes, self.out_channels),)

    def signature(self, inputs: tuple[TensorSpec, ...]) -> tuple[object, ...]:
        """Return the attributes, with one name for paddings that are the same work."""
        return _Window.signature(self, self.padding, adds_nothing=self.kernel == self.stride)

    def weight_shapes(self, inputs: tuple[TensorSpec, ...]) -> dict[str, Shape]:
        """Return kernel (O, kh, kw, I) and bias (O,)."""
        shapes: dict[str, Shape] = {"kernel": (self.out_channels, *self.kernel, inputs[0].shape[3])}
        return shapes | ({"bias": (self.out_channels,)} if self.use_bias else {})

    def macs(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> int:
        """Return input elements times window cells times output channels."""
        return inputs[0].elements * math.prod(self.kernel) * self.out_channels


@dataclass(frozen=True)
class Dense(Operator):
    """Fully connected layer on a matrix (N, C); kernel weights (units, C).

    Attributes:
        units: Columns of the output.
        use_bias: Whether a bias of shape (units,) is added.
    """

    kind: ClassVar[str] = "dense"

    units: int
    use_bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive(units=self.units)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return (N, units)."""
        self.require_rank(inputs[0], 2)
        return ((inputs[0].shape[0], self.units),)

    def weight_shapes(self, inputs: tuple[TensorSpec, ...]) -> dict[str, Shape]:
        """Return kernel (units, C) and bias (units,)."""
        shapes: dict[str, Shape] = {"kernel": (self.units, inputs[0].shape[1])}
        return shapes | ({"bias": (self.units,)} if self.use_bias else {})

    def macs(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> int:
        """Return N * C * units."""
        return inputs[0].elements * self.units


@dataclass(frozen=True)
class _Pool2d(Operator):
    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Padding = "valid"

    def __post_init__(self) -> None:
        super().__post_init__()
        _Window.check(self, self.kernel, self.stride, (1, 1), self.padding)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return (N, H', W', C)."""
        height, width = _Window.spatial(self, inputs[0], self.kernel, self.stride, (1, 1), self.padding)
        return ((inputs[0].shape[0], height, width, inputs[0].shape[3]),)

    def signature(self, inputs: tuple[TensorSpec, ...]) -> tuple[object, ...]:
        """Return the attributes, with one name for paddings that are the same work."""
        adds_nothing = _Window.adds_nothing(inputs[0], self.kernel, self.stride, (1, 1))
        return _Window.signature(self, self.padding, adds_nothing=adds_nothing)


@dataclass(frozen=True)
class MaxPool2d(_Pool2d):
    """Largest value of each window.

    Attributes:
        kernel: Window (height, width).
        stride: Step (height, width).
        padding: "same" or "valid"; padded cells are never the largest.
    """

    kind: ClassVar[str] = "max_pool2d"


@dataclass(frozen=True)
class AvgPool2d(_Pool2d):
    """Mean of each window over the cells that exist; padded cells are not counted, as in TFLite.

    Attributes:
        kernel: Window (height, width).
        stride: Step (height, width).
        padding: "same" or "valid".
    """

    kind: ClassVar[str] = "avg_pool2d"
