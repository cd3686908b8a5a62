"""What runtimes call their steps in a profile."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from profiler.phone.soc._placement import Delegate

HIDING_DELEGATES: Mapping[Delegate, str] = MappingProxyType(
    {"gpu": "TfLiteGpuDelegateV2", "nnapi": "TfLiteNnapiDelegate"}
)
"""Delegates whose profile is one row for all their steps, and what that row is called."""

_BUILTIN: Mapping[str, str] = MappingProxyType(
    {
        "conv2d": "CONV_2D", "pointwise": "CONV_2D", "depthwise_conv2d": "DEPTHWISE_CONV_2D",
        "transpose_conv2d": "TRANSPOSE_CONV", "dense": "FULLY_CONNECTED", "add": "ADD", "mul": "MUL",
        "concat": "CONCATENATION", "split": "SPLIT", "max_pool2d": "MAX_POOL_2D", "avg_pool2d": "AVERAGE_POOL_2D",
        "global_avg_pool2d": "MEAN", "mean": "MEAN", "relu": "RELU", "relu6": "RELU6", "prelu": "PRELU",
        "hard_swish": "HARD_SWISH", "sigmoid": "LOGISTIC", "softmax": "SOFTMAX", "pad": "PAD",
        "resize_bilinear": "RESIZE_BILINEAR", "resize_nearest": "RESIZE_NEAREST_NEIGHBOR",
        "depth_to_space": "DEPTH_TO_SPACE", "reshape": "RESHAPE", "transpose": "TRANSPOSE",
    }
)  # fmt: skip

# As LiteRT 2.1's profiler names them; nearest resizing stays with the runtime's own kernel there.
_XNNPACK: Mapping[str, str] = MappingProxyType(
    {
        "conv2d": "Convolution (NHWC, {conv}) IGEMM", "pointwise": "Convolution (NHWC, {conv}) GEMM",
        "depthwise_conv2d": "Convolution (NHWC, {conv}) DWConv",
        "transpose_conv2d": "Deconvolution (NHWC, {real}) Subconv2D", "dense": "Fully Connected (NC, {real}) GEMM",
        "add": "Add (ND)", "mul": "Multiply (ND)", "concat": "Copy (NC, {word})", "split": "Copy (NC, {word})",
        "max_pool2d": "Max Pooling (NHWC, {pooled})", "avg_pool2d": "Average Pooling (NHWC, {real}) Average Pooling",
        "global_avg_pool2d": "Mean (ND) Reduce2", "mean": "Mean (ND) Reduce2", "relu": "Clamp (NC)",
        "relu6": "Clamp (NC)", "prelu": "PReLU (ND)", "hard_swish": "HardSwish (NC)", "sigmoid": "Sigmoid (NC)",
        "softmax": "Softmax (NC, F32)", "pad": "Constant Pad (ND, {word})",
        "resize_bilinear": "Resize Bilinear (NHWC)", "resize_nearest": "RESIZE_NEAREST_NEIGHBOR",
        "depth_to_space": "Depth To Space (NHWC, {word}) Transpose", "reshape": "Static Reshape (NC)",
        "transpose": "Transpose (ND, {word}) Transpose",
    }
)  # fmt: skip

_FLOAT_WORDS = {"conv": "F32", "real": "F32", "word": "X32", "pooled": "F32"}
_INT8_WORDS = {"conv": "QC8", "real": "QS8", "word": "X8", "pooled": "S8"}


def node_type(node: str, delegate: Delegate, *, int8: bool) -> str:
    """Return what a runtime's profile calls a node.

    Args:
        node: An operator's kind, or "pointwise" for a convolution that is a product of matrices as it stands.
        delegate: Who runs it.
        int8: Whether it computes in int8.

    Example:
        >>> node_type("conv2d", "xnnpack", int8=False)
        'Convolution (NHWC, F32) IGEMM'
    """
    if delegate in HIDING_DELEGATES:
        return HIDING_DELEGATES[delegate]
    if delegate == "builtin":
        return _BUILTIN[node]
    return _XNNPACK[node].format(**(_INT8_WORDS if int8 else _FLOAT_WORDS))
