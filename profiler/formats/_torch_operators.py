"""Each operator kind as a torch module on NHWC tensors: one builder a kind, found by `BUILDERS`.

Convolutions, pools and resizes run on NCHW views of the same memory, which torch calls channels_last:
no data is moved.  Parameters keep the network's own layout and names ("kernel", "bias", "alpha").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from profiler.network import (
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    DepthToSpace,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    MaxPool2d,
    Mean,
    Pad,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Split,
    TensorSpec,
    Transpose,
    TransposeConv2d,
    same_padding,
)

Pair = tuple[int, int]
Weights = Mapping[str, NDArray[np.float32]]
"""An operator's weights by role."""


def _nchw(values: Tensor) -> Tensor:
    return values.permute(0, 3, 1, 2)


def _nhwc(values: Tensor) -> Tensor:
    return values.permute(0, 2, 3, 1)


def _paddings(
    operator: Conv2d | DepthwiseConv2d | MaxPool2d | AvgPool2d, spec: TensorSpec, dilation: Pair = (1, 1)
) -> tuple[Pair, Pair]:
    """Return the cells (before, after) that a window pads along height and width."""
    if operator.padding == "valid":
        return (0, 0), (0, 0)
    height, width = (
        same_padding(*sizes) for sizes in zip(spec.shape[1:3], operator.kernel, operator.stride, dilation, strict=True)
    )
    return height, width


def _padded(values: Tensor, paddings: tuple[Pair, Pair], fill: float = 0.0) -> tuple[Tensor, Pair]:
    """Pad NCHW values where the two sides differ.

    Returns:
        The values, and the equal padding (height, width) that is left for the operator itself to do.
    """
    (top, bottom), (left, right) = paddings
    if top == bottom and left == right:
        return values, (top, left)
    return functional.pad(values, (left, right, top, bottom), value=fill), (0, 0)


def _cropped(values: Tensor, height: int, width: int) -> Tensor:
    """Cut NHWC values at the end, where they are larger."""
    return values if values.shape[1:3] == (height, width) else values[:, :height, :width, :]


class _Weighted(nn.Module):
    """A module whose parameters are an operator's weights."""

    kernel: nn.Parameter
    bias: nn.Parameter | None
    alpha: nn.Parameter

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.register_parameter("bias", None)
        for role, values in weights.items():
            self.register_parameter(role, nn.Parameter(torch.tensor(values)))


class _Convolution(_Weighted):
    """Convolution or depthwise convolution.

    Args:
        operator: The operator.
        spec: Its input.
        weights: Its weights.
    """

    def __init__(self, operator: Conv2d | DepthwiseConv2d, spec: TensorSpec, weights: Weights) -> None:
        super().__init__(weights)
        _, self._height, self._width, _ = operator.infer((spec,))[0]
        # A stride along an axis with one output does nothing, but oneDNN 3.12 has returned garbage for such ones.
        self._stride = operator.stride[0] if self._height > 1 else 1, operator.stride[1] if self._width > 1 else 1
        self._dilation = operator.dilation
        self._paddings = _paddings(operator, spec, operator.dilation)
        if isinstance(operator, Conv2d):
            self._groups, self._kernel_order = operator.groups, (0, 3, 1, 2)
        else:
            self._groups, self._kernel_order = spec.shape[3], (3, 0, 1, 2)

    def forward(self, values: Tensor) -> Tensor:
        padded, padding = _padded(_nchw(values), self._paddings)
        kernel = self.kernel.permute(self._kernel_order)
        output = functional.conv2d(padded, kernel, self.bias, self._stride, padding, self._dilation, self._groups)
        return _cropped(_nhwc(output), self._height, self._width)


class _TransposeConvolution(_Weighted):
    """Transposed convolution; what SAME cuts off beyond equal sides is cut from the end."""

    def __init__(self, operator: TransposeConv2d, spec: TensorSpec, weights: Weights) -> None:
        super().__init__(weights)
        self._stride = operator.stride
        _, self._height, self._width, _ = operator.infer((spec,))[0]
        same = operator.padding == "same"
        self._cut = tuple(
            (kernel - stride) // 2 if same else 0
            for kernel, stride in zip(operator.kernel, operator.stride, strict=True)
        )

    def forward(self, values: Tensor) -> Tensor:
        kernel = self.kernel.permute(3, 0, 1, 2)
        whole = functional.conv_transpose2d(_nchw(values), kernel, self.bias, self._stride, self._cut)
        return _cropped(_nhwc(whole), self._height, self._width)


class _Dense(_Weighted):
    def forward(self, values: Tensor) -> Tensor:
        return functional.linear(values, self.kernel, self.bias)


class _PRelu(_Weighted):
    def forward(self, values: Tensor) -> Tensor:
        if values.ndim == 1:  # torch would read one axis as the batch
            return functional.prelu(values.unsqueeze(0), self.alpha).squeeze(0)
        return functional.prelu(values.movedim(-1, 1), self.alpha).movedim(1, -1)


class _MaxPool(nn.Module):
    def __init__(self, operator: MaxPool2d, spec: TensorSpec) -> None:
        super().__init__()
        self._kernel, self._stride = operator.kernel, operator.stride
        self._paddings = _paddings(operator, spec)

    def forward(self, values: Tensor) -> Tensor:
        padded, padding = _padded(_nchw(values), self._paddings, fill=float("-inf"))
        return _nhwc(functional.max_pool2d(padded, self._kernel, self._stride, padding))


class _AvgPool(nn.Module):
    """Average pool; torch leaves its own padding out of the mean, and ours is divided out here."""

    correction: Tensor | None

    def __init__(self, operator: AvgPool2d, spec: TensorSpec) -> None:
        super().__init__()
        self._kernel, self._stride = operator.kernel, operator.stride
        self._paddings = _paddings(operator, spec)
        ones = torch.ones((1, 1, *spec.shape[1:3]))
        padded, padding = _padded(ones, self._paddings)
        is_ours = padded is not ones
        correction = 1 / self._pool(padded, padding) if is_ours else None
        self.register_buffer("correction", correction, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        pooled = self._pool(*_padded(_nchw(values), self._paddings))
        return _nhwc(pooled if self.correction is None else pooled * self.correction)

    def _pool(self, padded: Tensor, padding: Pair) -> Tensor:
        return functional.avg_pool2d(padded, self._kernel, self._stride, padding, count_include_pad=False)


class _AsymmetricResize(nn.Module):
    """Bilinear resize with x * scale coordinates, which torch does not have: two matrices of weights."""

    rows: Tensor
    columns: Tensor

    def __init__(self, operator: ResizeBilinear, spec: TensorSpec) -> None:
        super().__init__()
        self.register_buffer("rows", _interpolation(spec.shape[1], operator.size[0]), persistent=False)
        self.register_buffer("columns", _interpolation(spec.shape[2], operator.size[1]), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        return torch.einsum("oh,pw,nhwc->nopc", self.rows, self.columns, values)


def _interpolation(cells: int, outputs: int) -> Tensor:
    """Return linear interpolation weights.  Shape: (outputs, cells)."""
    positions = torch.arange(outputs, dtype=torch.float32) * (cells / outputs)
    lower = positions.floor().long().clamp(max=cells - 1)
    upper = (lower + 1).clamp(max=cells - 1)
    share = (positions - lower).unsqueeze(1)
    one_hot = functional.one_hot
    return one_hot(lower, cells) * (1 - share) + one_hot(upper, cells) * share


class _Stateless(nn.Module):
    """An operator without weights, as a function of its inputs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self._function(*inputs)


def _channel_shuffle(operator: ChannelShuffle, spec: TensorSpec) -> Callable[[Tensor], Tensor]:
    grouped = (operator.groups, spec.shape[3] // operator.groups)
    return lambda values: values.reshape(*values.shape[:-1], *grouped).transpose(-1, -2).flatten(-2)


def _concat(operator: Concat, _spec: TensorSpec) -> Callable[..., Tensor]:
    return lambda *inputs: torch.cat(inputs, operator.axis)


def _split(operator: Split, _spec: TensorSpec) -> Callable[[Tensor], tuple[Tensor, ...]]:
    return lambda values: values.chunk(operator.parts, operator.axis)


def _pad(operator: Pad, _spec: TensorSpec) -> Callable[[Tensor], Tensor]:
    from_last_axis = [cells for pair in reversed(operator.paddings) for cells in pair]
    return lambda values: functional.pad(values, from_last_axis)


def _depth_to_space(operator: DepthToSpace, spec: TensorSpec) -> Callable[[Tensor], Tensor]:
    batch, height, width, channels = spec.shape
    block = operator.block
    blocks = (batch, height, width, block, block, channels // block**2)
    shape = operator.infer((spec,))[0]
    return lambda values: values.reshape(blocks).permute(0, 1, 3, 2, 4, 5).reshape(shape)


def _resize_nearest(operator: ResizeNearest, _spec: TensorSpec) -> Callable[[Tensor], Tensor]:
    return lambda values: _nhwc(functional.interpolate(_nchw(values), operator.size, mode="nearest"))


def _resize_bilinear(operator: ResizeBilinear, spec: TensorSpec, _weights: Weights) -> nn.Module:
    if operator.coordinates == "asymmetric":
        return _AsymmetricResize(operator, spec)
    aligned = operator.coordinates == "align_corners"
    return _Stateless(
        lambda values: _nhwc(
            functional.interpolate(_nchw(values), operator.size, mode="bilinear", align_corners=aligned)
        )
    )


def _mean(operator: Mean, _spec: TensorSpec) -> Callable[[Tensor], Tensor]:
    return lambda values: values.mean(operator.axes, operator.keep_dims)


def _global_avg_pool2d(operator: GlobalAvgPool2d, _spec: TensorSpec) -> Callable[[Tensor], Tensor]:
    return lambda values: values.mean((1, 2), operator.keep_dims)


def _reshape(operator: Reshape, spec: TensorSpec) -> Callable[[Tensor], Tensor]:
    # Where the first axis stays as it is, it counts images, and the module may be given more of them.
    shape = (-1, *operator.shape[1:]) if operator.shape[0] == spec.shape[0] else operator.shape
    return lambda values: values.reshape(shape)


def _transpose(operator: Transpose, _spec: TensorSpec) -> Callable[[Tensor], Tensor]:
    return lambda values: values.permute(operator.permutation)


Builder = Callable[[Any, TensorSpec, Weights], nn.Module]


def _plain(function: Callable[..., Tensor]) -> Builder:
    """Return the builder of an operator without attributes."""
    return lambda _operator, _spec, _weights: _Stateless(function)


def _stateless(closure: Callable[[Any, TensorSpec], Callable[..., Any]]) -> Builder:
    """Return the builder of an operator that has attributes and no weights."""
    return lambda operator, spec, _weights: _Stateless(closure(operator, spec))


BUILDERS: Mapping[str, Builder] = {
    "conv2d": _Convolution,
    "depthwise_conv2d": _Convolution,
    "transpose_conv2d": _TransposeConvolution,
    "dense": lambda _operator, _spec, weights: _Dense(weights),
    "prelu": lambda _operator, _spec, weights: _PRelu(weights),
    "max_pool2d": lambda operator, spec, _weights: _MaxPool(operator, spec),
    "avg_pool2d": lambda operator, spec, _weights: _AvgPool(operator, spec),
    "resize_bilinear": _resize_bilinear,
    "add": _plain(torch.add),
    "mul": _plain(torch.mul),
    "relu": _plain(functional.relu),
    "relu6": _plain(functional.relu6),
    "hard_swish": _plain(functional.hardswish),
    "hard_sigmoid": _plain(functional.hardsigmoid),
    "sigmoid": _plain(torch.sigmoid),
    "softmax": _plain(lambda values: values.softmax(-1)),
    "concat": _stateless(_concat),
    "split": _stateless(_split),
    "channel_shuffle": _stateless(_channel_shuffle),
    "global_avg_pool2d": _stateless(_global_avg_pool2d),
    "pad": _stateless(_pad),
    "resize_nearest": _stateless(_resize_nearest),
    "depth_to_space": _stateless(_depth_to_space),
    "reshape": _stateless(_reshape),
    "transpose": _stateless(_transpose),
    "mean": _stateless(_mean),
}
"""The builder of every kind that can be built; an opaque operator cannot."""
