"""Operators without weights as functions of torch tensors.

Tensors of rank 4 have torch's shape (n, channels, height, width) and, where it matters, channels last in
memory; all others have the Network's shape.  The first axis counts images, as many as there are: operators
that would mix images, which a Network of one image cannot tell from others, are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from profiler.network import (
    Add,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    MaxPool2d,
    Mul,
    Operator,
    Relu,
    Relu6,
    Reshape,
    ResizeBilinear,
    Sigmoid,
    Split,
    TensorSpec,
    same_padding,
)
from search._convolution import Margins, symmetric
from search.errors import SupernetError

Function = Callable[[Sequence[Tensor]], Tensor | tuple[Tensor, ...]]
"""From an operator's inputs to its output; a tuple of an operator with several."""

_TORCH_AXES = (0, 2, 3, 1)
"""Axis of a rank-4 tensor in torch, by its axis in the Network."""

_ACTIVATIONS: Mapping[type[Operator], Callable[[Tensor], Tensor]] = {
    Relu: functional.relu,
    Relu6: functional.relu6,
    HardSwish: functional.hardswish,
    HardSigmoid: functional.hardsigmoid,
    Sigmoid: torch.sigmoid,
}


def stateless(operator: Operator, specs: Sequence[TensorSpec]) -> Function:
    """Return the function that an operator without weights computes.

    Args:
        operator: The operator.
        specs: Its inputs, for one image.

    Raises:
        SupernetError: The operator is of a kind that cannot be trained, or mixes images.
    """
    if type(operator) in _ACTIVATIONS:
        activation = _ACTIVATIONS[type(operator)]
        return lambda inputs: activation(inputs[0])
    match operator:
        case Add():
            return lambda inputs: inputs[0] + inputs[1]
        case Mul():
            return lambda inputs: inputs[0] * inputs[1]
        case MaxPool2d() | AvgPool2d():
            return _pool(operator, specs[0])
        case GlobalAvgPool2d(keep_dims=keep_dims):
            return lambda inputs: inputs[0].mean(dim=(2, 3), keepdim=keep_dims)
        case Concat():
            axis = _torch_axis(operator, operator.axis, specs[0])
            return lambda inputs: torch.cat(tuple(inputs), axis)
        case Split(parts=parts):
            axis = _torch_axis(operator, operator.axis, specs[0])
            return lambda inputs: inputs[0].chunk(parts, axis)
        case ChannelShuffle(groups=groups):
            return lambda inputs: functional.channel_shuffle(inputs[0], groups)
        case ResizeBilinear():
            return _resize(operator, specs[0])
        case Reshape():
            return _reshape(operator, specs[0])
        case _:
            raise SupernetError(f"operator {operator.name!r} of kind {operator.kind!r} cannot be trained here")


def margins(
    operator: Conv2d | DepthwiseConv2d | MaxPool2d | AvgPool2d, spec: TensorSpec, dilation: tuple[int, int] = (1, 1)
) -> Margins:
    """Return the padding (before, after) along height and width."""
    if operator.padding == "valid":
        return (0, 0), (0, 0)
    rows, columns = zip(spec.shape[1:3], operator.kernel, operator.stride, dilation, strict=True)
    return same_padding(*rows), same_padding(*columns)


def _torch_axis(operator: Operator, axis: int, spec: TensorSpec) -> int:
    axis = operator.resolve_axis(axis, spec)
    if axis == 0:
        raise SupernetError(f"operator {operator.name!r} works across images, so it cannot be trained here")
    return _TORCH_AXES[axis] if len(spec.shape) == 4 else axis


def _pool(operator: MaxPool2d | AvgPool2d, spec: TensorSpec) -> Function:
    inside, outside = symmetric(margins(operator, spec))
    kernel, stride = operator.kernel, operator.stride
    if isinstance(operator, MaxPool2d):

        def largest(inputs: Sequence[Tensor]) -> Tensor:
            images = functional.pad(inputs[0], outside, value=-torch.inf) if outside else inputs[0]
            return functional.max_pool2d(images, kernel, stride, inside)

        return largest
    # Padded cells do not count in the mean: divide the window's sum by the cells that exist.
    exist = torch.ones(1, 1, *spec.shape[1:3])
    exist = functional.pad(exist, outside) if outside else exist
    counted = functional.avg_pool2d(exist, kernel, stride, inside, divisor_override=1)

    def mean(inputs: Sequence[Tensor]) -> Tensor:
        images = functional.pad(inputs[0], outside) if outside else inputs[0]
        return functional.avg_pool2d(images, kernel, stride, inside, divisor_override=1) / counted

    return mean


def _resize(operator: ResizeBilinear, spec: TensorSpec) -> Function:
    size, coordinates = operator.size, operator.coordinates
    if spec.shape[1:3] == size:
        return lambda inputs: inputs[0]
    if coordinates == "asymmetric":
        rows, columns = (_interpolation(*pair) for pair in zip(spec.shape[1:3], size, strict=True))
        return lambda inputs: torch.einsum("oh,pw,nchw->ncop", rows, columns, inputs[0])
    aligned = coordinates == "align_corners"
    return lambda inputs: functional.interpolate(inputs[0], size, mode="bilinear", align_corners=aligned)


def _interpolation(cells: int, outputs: int) -> Tensor:
    """Return the weights of cells x * scale by linear interpolation.  Shape: (outputs, cells)."""
    positions = torch.arange(outputs, dtype=torch.float32) * (cells / outputs)
    below = positions.long().clamp(max=cells - 1)
    above = (below + 1).clamp(max=cells - 1)
    share = (positions - below)[:, None]
    return functional.one_hot(below, cells) * (1 - share) + functional.one_hot(above, cells) * share


def _reshape(operator: Reshape, spec: TensorSpec) -> Function:
    if operator.shape[0] != 1:
        raise SupernetError(f"operator {operator.name!r} works across images, so it cannot be trained here")
    shape, was_map, is_map = operator.shape[1:], len(spec.shape) == 4, len(operator.shape) == 4

    def reshaped(inputs: Sequence[Tensor]) -> Tensor:
        values = inputs[0].permute(0, 2, 3, 1) if was_map else inputs[0]
        values = values.reshape(len(values), *shape)
        return values.permute(0, 3, 1, 2) if is_map else values

    return reshaped
