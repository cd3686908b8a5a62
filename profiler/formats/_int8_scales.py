"""Scales of int8 activations: one for each tensor, equal where TFLite's operators insist on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from profiler.errors import NetworkError
from profiler.formats.quantization import Quantization, Range
from profiler.network import Network, Operator

_SAME_SCALE_KINDS = frozenset(
    {
        "avg_pool2d", "channel_shuffle", "depth_to_space", "max_pool2d", "pad", "reshape",
        "resize_bilinear", "resize_nearest", "split", "transpose",
    }
)  # fmt: skip
"""Kinds whose int8 kernels move integers as they are, and so need one scale on both sides; so does concat."""

_PRESCRIBED_KINDS = frozenset({"sigmoid", "softmax"})
"""Kinds whose int8 kernels prescribe the scale 1/256 with zero point -128 for their output."""


MAX_PRODUCT_STEPS = 128
"""Most steps of an output that one step of the products summed into it may be; XNNPACK refuses models from 256 on."""


@dataclass(frozen=True, slots=True)
class ActivationScale:
    """How int8 values of a tensor stand for real numbers: real = scale * (integer - zero_point)."""

    scale: float
    zero_point: int


_PRESCRIBED = ActivationScale(1 / 256, -128)


def scale_of_range(low: float, high: float) -> ActivationScale:
    """Return the scale that covers a range and represents 0 exactly.

    Example:
        >>> scale_of_range(0.0, 255.0)
        ActivationScale(scale=1.0, zero_point=-128)
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-6:  # a tensor of zeros; any scale will do
        high = low + 1.0
    scale = (high - low) / 255
    return ActivationScale(scale, min(max(round(-128 - low / scale), -128), 127))


def activation_scales(
    network: Network, quantization: Quantization, fused: Mapping[str, Operator]
) -> dict[str, ActivationScale]:
    """Return the scale of every tensor of an int8 model.

    Args:
        network: The network.
        quantization: Range of each of its tensors.
        fused: Activations that their producers apply, by the tensor they read (`fused_activations`).

    Raises:
        NetworkError: A tensor has no range.
    """
    prescribed = {operator.name for operator in network.operators if operator.kind in _PRESCRIBED_KINDS}
    groups = _Groups()
    for operator in network.operators:
        if operator.kind == "concat":
            for tensor in operator.inputs:
                if groups.root(tensor) not in prescribed:  # one that is gets converted on its way in
                    groups.join(operator.name, tensor)
        elif operator.kind in _SAME_SCALE_KINDS:
            absorbed = (fused[tensor].name for tensor in operator.outputs if tensor in fused)
            for tensor in (*operator.outputs, *absorbed):
                groups.join(operator.inputs[0], tensor)
    ranges = _group_ranges(network, quantization, groups)
    _widen_after_kernels(network, fused, groups, ranges)
    scales = {root: _PRESCRIBED if root in prescribed else scale_of_range(*ranges[root]) for root in ranges}
    return {tensor: scales[groups.root(tensor)] for tensor in network.tensors}


def _group_ranges(network: Network, quantization: Quantization, groups: _Groups) -> dict[str, Range]:
    ranges: dict[str, Range] = {}
    for tensor in network.tensors:
        if tensor not in quantization.ranges:
            raise NetworkError(f"tensor {tensor!r} has no range in the quantization")
        root = groups.root(tensor)
        low, high = quantization.ranges[tensor]
        known_low, known_high = ranges.get(root, (0.0, 0.0))  # zero is in every range
        ranges[root] = min(low, known_low), max(high, known_high)
    return ranges


def _widen_after_kernels(
    network: Network, fused: Mapping[str, Operator], groups: _Groups, ranges: dict[str, Range]
) -> None:
    """Widen outputs of kernels that hardly vary, so that a step of the products is not too many steps of theirs."""
    for operator in network.operators:
        kernel = (network.weights or {}).get(f"{operator.name}/kernel")
        if kernel is None:
            continue
        output = groups.root(fused.get(operator.name, operator).name)
        input_low, input_high = ranges[groups.root(operator.inputs[0])]
        product_width = max(input_high - input_low, 1.0 / 256) * float(np.abs(kernel).max() or 1) / 127
        low, high = ranges[output]
        ranges[output] = low, max(high, low + product_width / MAX_PRODUCT_STEPS)


class _Groups:
    """Disjoint sets of tensors; the representative of a set is the one that all others were joined to."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def root(self, tensor: str) -> str:
        """Return the representative of a tensor's set."""
        top = tensor
        while top in self._parent:
            top = self._parent[top]
        while tensor != top:  # shorten the way for the next time
            self._parent[tensor], tensor = top, self._parent[tensor]
        return top

    def join(self, first: str, second: str) -> None:
        """Join the sets of two tensors; the first one's representative stays."""
        first, second = self.root(first), self.root(second)
        if first != second:
            self._parent[second] = first
