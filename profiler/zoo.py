"""A few well-known networks by code, without weights: for benchmarks, tests and examples.

They follow their papers in structure, with batch norm folded away and TensorFlow's SAME padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from profiler._rounded_channels import rounded_channels
from profiler.errors import NetworkError
from profiler.network import (
    Add,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthToSpace,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    MaxPool2d,
    Mul,
    Network,
    Operator,
    Relu,
    Relu6,
    ResizeBilinear,
    Softmax,
    Split,
    TensorSpec,
)

__all__ = ["ZOO", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2", "squeezenet", "super_resolution"]

_IMAGE = "image"


def mobilenet_v2(resolution: int = 224, width: float = 1.0, classes: int = 1000) -> Network:
    """Return MobileNetV2: inverted residuals with linear bottlenecks; 300 M MACs at its defaults.

    Args:
        resolution: Height and width of the image in pixels.
        width: Multiplier of the channels, > 0; they are rounded to multiples of 8.
        classes: Number of classes.

    Raises:
        NetworkError: An argument is not positive.

    Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2.
    """
    _require_positive(resolution=resolution, width=width, classes=classes)
    layers = _Layers()
    # expansion, output channels, repeats, stride of the first
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    channels = rounded_channels(32 * width)
    tensor = layers.conv("stem", _IMAGE, channels, 3, 2, Relu6)
    for stage, (expansion, wanted, repeats, first_stride) in enumerate(stages):
        for repeat in range(repeats):
            name, output = f"stage{stage}/block{repeat}", rounded_channels(wanted * width)
            stride = first_stride if repeat == 0 else 1
            hidden = tensor
            if expansion > 1:
                hidden = layers.conv(f"{name}/expand", hidden, channels * expansion, 1, 1, Relu6)
            hidden = layers.depthwise(f"{name}/depthwise", hidden, 3, stride, Relu6)
            hidden = layers.conv(f"{name}/project", hidden, output, 1)
            residual = stride == 1 and channels == output
            tensor = layers.add(Add(f"{name}/add", (hidden, tensor))) if residual else hidden
            channels = output
    tensor = layers.conv("head", tensor, rounded_channels(1280 * max(width, 1.0)), 1, 1, Relu6)
    return layers.classifier(f"mobilenet_v2_{width:g}_{resolution}", tensor, resolution, classes)


def mobilenet_v3_small(resolution: int = 224, classes: int = 1000) -> Network:
    """Return MobileNetV3-Small: hard_swish and squeeze-and-excite; 56 M MACs at its defaults.

    Args:
        resolution: Height and width of the image in pixels.
        classes: Number of classes.

    Raises:
        NetworkError: An argument is not positive.

    Source: Howard et al. 2019, "Searching for MobileNetV3", table 2.
    """
    _require_positive(resolution=resolution, classes=classes)
    layers = _Layers()
    # kernel, hidden channels, output channels, squeeze-and-excite, activation, stride
    blocks: tuple[tuple[int, int, int, bool, type[Operator], int], ...] = (
        (3, 16, 16, True, Relu, 2),
        (3, 72, 24, False, Relu, 2),
        (3, 88, 24, False, Relu, 1),
        (5, 96, 40, True, HardSwish, 2),
        (5, 240, 40, True, HardSwish, 1),
        (5, 240, 40, True, HardSwish, 1),
        (5, 120, 48, True, HardSwish, 1),
        (5, 144, 48, True, HardSwish, 1),
        (5, 288, 96, True, HardSwish, 2),
        (5, 576, 96, True, HardSwish, 1),
        (5, 576, 96, True, HardSwish, 1),
    )
    channels = 16
    tensor = layers.conv("stem", _IMAGE, channels, 3, 2, HardSwish)
    for index, (kernel, width, output, excite, activation, stride) in enumerate(blocks):
        name, hidden = f"block{index}", tensor
        if width != channels:
            hidden = layers.conv(f"{name}/expand", hidden, width, 1, 1, activation)
        hidden = layers.depthwise(f"{name}/depthwise", hidden, kernel, stride, activation)
        if excite:
            hidden = layers.squeeze_excite(f"{name}/excite", hidden, width)
        hidden = layers.conv(f"{name}/project", hidden, output, 1)
        residual = stride == 1 and channels == output
        tensor = layers.add(Add(f"{name}/add", (hidden, tensor))) if residual else hidden
        channels = output
    tensor = layers.conv("head", tensor, 576, 1, 1, HardSwish)
    tensor = layers.add(GlobalAvgPool2d("pool", (tensor,)))
    tensor = layers.add(Dense("features", (tensor,), 1024))
    tensor = layers.add(HardSwish("features/activation", (tensor,)))
    tensor = layers.add(Dense("logits", (tensor,), classes))
    return layers.network(f"mobilenet_v3_small_{resolution}", (1, resolution, resolution, 3), tensor)


def shufflenet_v2(resolution: int = 224, classes: int = 1000) -> Network:
    """Return ShuffleNetV2 1x: split, shuffle and concatenate; 146 M MACs at its defaults.

    Args:
        resolution: Height and width of the image in pixels.
        classes: Number of classes.

    Raises:
        NetworkError: An argument is not positive.

    Source: Ma et al. 2018, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", table 5.
    """
    _require_positive(resolution=resolution, classes=classes)
    layers = _Layers()
    tensor = layers.conv("stem", _IMAGE, 24, 3, 2, Relu)
    tensor = layers.add(MaxPool2d("stem/pool", (tensor,), (3, 3), (2, 2), "same"))
    for stage, (channels, repeats) in enumerate(((116, 4), (232, 8), (464, 4))):
        half = channels // 2
        for repeat in range(repeats):
            name = f"stage{stage}/unit{repeat}"
            if repeat == 0:  # both branches halve the image
                left = layers.depthwise(f"{name}/left/depthwise", tensor, 3, 2)
                left = layers.conv(f"{name}/left/project", left, half, 1, 1, Relu)
                right = tensor
            else:
                left, right = layers.split(f"{name}/split", tensor)
            right = layers.conv(f"{name}/right/expand", right, half, 1, 1, Relu)
            right = layers.depthwise(f"{name}/right/depthwise", right, 3, 2 if repeat == 0 else 1)
            right = layers.conv(f"{name}/right/project", right, half, 1, 1, Relu)
            joined = layers.add(Concat(f"{name}/concat", (left, right)))
            tensor = layers.add(ChannelShuffle(f"{name}/shuffle", (joined,), 2))
    tensor = layers.conv("head", tensor, 1024, 1, 1, Relu)
    return layers.classifier(f"shufflenet_v2_{resolution}", tensor, resolution, classes)


def squeezenet(resolution: int = 224, classes: int = 1000) -> Network:
    """Return SqueezeNet 1.1: fire modules of squeeze and two expanding convolutions; 1.2 M parameters.

    Args:
        resolution: Height and width of the image in pixels, >= 17.
        classes: Number of classes.

    Raises:
        NetworkError: An argument is not positive, or the resolution is too small for the pools.

    Source: Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", and its version 1.1.
    """
    _require_positive(resolution=resolution, classes=classes)
    layers = _Layers()
    tensor = layers.conv("stem", _IMAGE, 64, 3, 2, Relu)
    pools_before = (0, 2, 4)
    for index, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        name = f"fire{index}"
        if index in pools_before:
            tensor = layers.add(MaxPool2d(f"{name}/pool", (tensor,), (3, 3), (2, 2)))
        squeezed = layers.conv(f"{name}/squeeze", tensor, squeeze, 1, 1, Relu)
        small = layers.conv(f"{name}/expand1x1", squeezed, squeeze * 4, 1, 1, Relu)
        large = layers.conv(f"{name}/expand3x3", squeezed, squeeze * 4, 3, 1, Relu)
        tensor = layers.add(Concat(f"{name}/concat", (small, large)))
    tensor = layers.conv("classes", tensor, classes, 1, 1, Relu)
    tensor = layers.add(GlobalAvgPool2d("pool", (tensor,)))
    tensor = layers.add(Softmax("probabilities", (tensor,)))
    return layers.network(f"squeezenet_{resolution}", (1, resolution, resolution, 3), tensor)


def super_resolution(height: int = 180, width: int = 320, scale: int = 3, channels: int = 32) -> Network:
    """Return a pixel-level network: convolutions at low resolution, depth_to_space, and a bilinear skip.

    Args:
        height: Height of the input image in pixels.
        width: Its width in pixels.
        scale: How many times higher and wider the output is.
        channels: Channels of the hidden convolutions.

    Raises:
        NetworkError: An argument is not positive.

    Source: Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network"; here with relu, on RGB, and learning the difference to bilinear resizing.
    """
    _require_positive(height=height, width=width, scale=scale, channels=channels)
    layers = _Layers()
    tensor = layers.conv("features", _IMAGE, channels, 5, 1, Relu)
    tensor = layers.conv("mapping", tensor, channels, 3, 1, Relu)
    tensor = layers.conv("pixels", tensor, 3 * scale**2, 3)
    tensor = layers.add(DepthToSpace("shuffle", (tensor,), scale))
    enlarged = layers.add(ResizeBilinear("enlarged", (_IMAGE,), (height * scale, width * scale)))
    tensor = layers.add(Add("output", (tensor, enlarged)))
    return layers.network(f"super_resolution_x{scale}_{height}x{width}", (1, height, width, 3), tensor)


ZOO: Mapping[str, Callable[[], Network]] = MappingProxyType(
    {
        "mobilenet_v2": mobilenet_v2,
        "mobilenet_v3_small": mobilenet_v3_small,
        "shufflenet_v2": shufflenet_v2,
        "squeezenet": squeezenet,
        "super_resolution": super_resolution,
    }
)
"""Every network here by name, at its defaults."""


class _Layers:
    """Operators in the order they are added; each method returns the name of the tensor it made."""

    def __init__(self) -> None:
        self._operators: list[Operator] = []

    def add(self, operator: Operator) -> str:
        self._operators.append(operator)
        return operator.name

    def conv(
        self,
        name: str,
        source: str,
        channels: int,
        kernel: int,
        stride: int = 1,
        activation: type[Operator] | None = None,
    ) -> str:
        tensor = self.add(Conv2d(name, (source,), channels, (kernel, kernel), (stride, stride)))
        return self._activated(tensor, activation)

    def depthwise(
        self, name: str, source: str, kernel: int, stride: int, activation: type[Operator] | None = None
    ) -> str:
        tensor = self.add(DepthwiseConv2d(name, (source,), (kernel, kernel), (stride, stride)))
        return self._activated(tensor, activation)

    def split(self, name: str, source: str) -> tuple[str, str]:
        operator = Split(name, (source,), 2)
        self.add(operator)
        first, second = operator.outputs
        return first, second

    def squeeze_excite(self, name: str, source: str, channels: int) -> str:
        tensor = self.add(GlobalAvgPool2d(f"{name}/pool", (source,), keep_dims=True))
        tensor = self.conv(f"{name}/reduce", tensor, rounded_channels(channels / 4), 1, 1, Relu)
        tensor = self.conv(f"{name}/restore", tensor, channels, 1, 1, HardSigmoid)
        return self.add(Mul(f"{name}/scale", (source, tensor)))

    def classifier(self, name: str, features: str, resolution: int, classes: int) -> Network:
        """Finish with a global average pool and a dense layer."""
        pooled = self.add(GlobalAvgPool2d("pool", (features,)))
        logits = self.add(Dense("logits", (pooled,), classes))
        return self.network(name, (1, resolution, resolution, 3), logits)

    def network(self, name: str, image_shape: tuple[int, ...], output: str) -> Network:
        return Network(name, [TensorSpec(_IMAGE, image_shape)], self._operators, [output])

    def _activated(self, tensor: str, activation: type[Operator] | None) -> str:
        return tensor if activation is None else self.add(activation(f"{tensor}/activation", (tensor,)))


def _require_positive(**values: Any) -> None:
    for name, value in values.items():
        if not value > 0:
            raise NetworkError(f"{name} must be > 0, not {value!r}")
