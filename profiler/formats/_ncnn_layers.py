"""The layer types of ncnn that files of ours hold, so that a build of ncnn may leave out all others."""

from __future__ import annotations

LAYER_TYPES = (
    "BinaryOp",
    "Clip",
    "Concat",
    "Convolution",
    "ConvolutionDepthWise",
    "Deconvolution",
    "HardSigmoid",
    "HardSwish",
    "InnerProduct",
    "Input",
    "Interp",
    "PReLU",
    "Padding",
    "Permute",
    "PixelShuffle",
    "Pooling",
    "ReLU",
    "Reduction",
    "Reshape",
    "ShuffleChannel",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
)
"""Every layer type that `write_ncnn` may emit, in alphabetical order."""

INNER_LAYER_TYPES = ("Cast", "Crop", "Dequantize", "Flatten", "Gemm", "Packing", "Quantize", "Requantize")
"""Layer types that those create for themselves (ncnn's src/mat.cpp, src/net.cpp and their arm and x86 sources)."""
