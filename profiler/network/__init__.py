"""The one description of a network in pocketnas; everything else reads it or makes it."""

from profiler.network._convolutions import (
    AvgPool2d,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    MaxPool2d,
    TransposeConv2d,
    same_padding,
)
from profiler.network._cost import (
    PICOJOULES_PER_BYTE,
    PICOJOULES_PER_MAC,
    NetworkCost,
    OperatorCost,
    energy_uj,
    operator_cost,
    peak_memory_bytes,
)
from profiler.network._elementwise import Add, HardSigmoid, HardSwish, Mul, PRelu, Relu, Relu6, Sigmoid, Softmax
from profiler.network._kinds import OPERATOR_KINDS
from profiler.network._network import Network
from profiler.network._operator import Operator, attribute_names
from profiler.network._shaping import (
    ChannelShuffle,
    Concat,
    DepthToSpace,
    GlobalAvgPool2d,
    Mean,
    Opaque,
    Pad,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Split,
    Transpose,
)
from profiler.network._tensor import TensorSpec

__all__ = [
    "OPERATOR_KINDS",
    "PICOJOULES_PER_BYTE",
    "PICOJOULES_PER_MAC",
    "Add",
    "AvgPool2d",
    "ChannelShuffle",
    "Concat",
    "Conv2d",
    "Dense",
    "DepthToSpace",
    "DepthwiseConv2d",
    "GlobalAvgPool2d",
    "HardSigmoid",
    "HardSwish",
    "MaxPool2d",
    "Mean",
    "Mul",
    "Network",
    "NetworkCost",
    "Opaque",
    "Operator",
    "OperatorCost",
    "PRelu",
    "Pad",
    "Relu",
    "Relu6",
    "Reshape",
    "ResizeBilinear",
    "ResizeNearest",
    "Sigmoid",
    "Softmax",
    "Split",
    "TensorSpec",
    "Transpose",
    "TransposeConv2d",
    "attribute_names",
    "energy_uj",
    "operator_cost",
    "peak_memory_bytes",
    "same_padding",
]
