"""A few well-known networks by code, without weights: for benchmarks, tests, examples and as baselines of a search.

They follow their papers in structure, with batch norm folded away and TensorFlow's SAME padding. Small images keep
fewer of the first strides (`profiler.scaling.scaled_strides`); everything else is as published at any image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from profiler.errors import NetworkError
from profiler.layers import IMAGE, Layers
from profiler.network import (
    Add,
    ChannelShuffle,
    Concat,
    Dense,
    DepthToSpace,
    GlobalAvgPool2d,
    HardSwish,
    MaxPool2d,
    Network,
    Operator,
    Relu,
    Relu6,
    ResizeBilinear,
    Softmax,
)
from profiler.scaling import rounded_channels, scaled_strides

__all__ = [
    "ZOO",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "shufflenet_v2",
    "squeezenet",
    "super_resolution",
]

ImageShape = tuple[int, int, int]
"""Height, width and channels."""

_NARROWEST = 0.35
"""The least width that MobileNets were published for. Down to it their last layers stay as wide as at 1."""

_SHUFFLENET_WIDTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
_SHUFFLENET_CHANNELS = (0, 48, 116, 176, 244)


def mobilenet_v2(
    resolution: int = 224, width: float = 1.0, classes: int = 1000, *, image_shape: ImageShape | None = None
) -> Network:
    """Return MobileNetV2: inverted residuals with linear bottlenecks; 300 M MACs at its defaults.

    Args:
        resolution: Height and width of the image in pixels.
        width: Multiplier of the channels, > 0; they are rounded to multiples of 8.
        classes: Number of classes.
        image_shape: Height, width and channels of the image, instead of a square one with three channels.

    Raises:
        NetworkError: An argument is not positive.

    Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2.
    """
    image = _image_shape(resolution, image_shape, width=width, classes=classes)
    layers = Layers()
    # expansion, output channels, repeats, stride of the first
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    stem, *strides = scaled_strides((2, *(stage[-1] for stage in stages)), image[:2])
    channels = rounded_channels(32 * width)
    tensor = layers.conv("stem", IMAGE, channels, 3, stem, Relu6)
    for stage, (expansion, wanted, repeats, _) in enumerate(stages):
        for repeat in range(repeats):
            name, output = f"stage{stage}/block{repeat}", rounded_channels(wanted * width)
            stride = strides[stage] if repeat == 0 else 1
            hidden = tensor
            if expansion > 1:
                hidden = layers.conv(f"{name}/expand", hidden, channels * expansion, 1, 1, Relu6)
            hidden = layers.depthwise(f"{name}/depthwise", hidden, 3, stride, Relu6)
            hidden = layers.conv(f"{name}/project", hidden, output, 1)
            residual = stride == 1 and channels == output
            tensor = layers.add(Add(f"{name}/add", (hidden, tensor))) if residual else hidden
            channels = output
    tensor = layers.conv("head", tensor, _last_channels(1280, width), 1, 1, Relu6)
    return layers.network(_name("mobilenet_v2", image, width), image, layers.logits(tensor, classes))


@dataclass(frozen=True, slots=True)
class _Bottleneck:
    """A block of MobileNetV3 as its paper's tables have it."""

    kernel: int
    hidden: int
    output: int
    excite: bool
    activation: type[Operator]
    stride: int


_SMALL = tuple(
    _Bottleneck(*row)
    for row in (
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
)

_LARGE = tuple(
    _Bottleneck(*row)
    for row in (
        (3, 16, 16, False, Relu, 1),
        (3, 64, 24, False, Relu, 2),
        (3, 72, 24, False, Relu, 1),
        (5, 72, 40, True, Relu, 2),
        (5, 120, 40, True, Relu, 1),
        (5, 120, 40, True, Relu, 1),
        (3, 240, 80, False, HardSwish, 2),
        (3, 200, 80, False, HardSwish, 1),
        (3, 184, 80, False, HardSwish, 1),
        (3, 184, 80, False, HardSwish, 1),
        (3, 480, 112, True, HardSwish, 1),
        (3, 672, 112, True, HardSwish, 1),
        (5, 672, 160, True, HardSwish, 2),
        (5, 960, 160, True, HardSwish, 1),
        (5, 960, 160, True, HardSwish, 1),
    )
)


def mobilenet_v3_small(
    resolution: int = 224, classes: int = 1000, *, width: float = 1.0, image_shape: ImageShape | None = None
) -> Network:
    """Return MobileNetV3-Small: hard_swish and squeeze-and-excite; 56 M MACs at its defaults.

    Args:
        resolution: Height and width of the image in pixels.
        classes: Number of classes.
        width: Multiplier of the channels, > 0; they are rounded to multiples of 8.
        image_shape: Height, width and channels of the image, instead of a square one with three channels.

    Raises:
        NetworkError: An argument is not positive.

    Source: Howard et al. 2019, "Searching for MobileNetV3", table 2.
    """
    image = _image_shape(resolution, image_shape, width=width, classes=classes)
    name = _name("mobilenet_v3_small", image, width)
    return _mobilenet_v3(name, _SMALL, image=image, width=width, features=1024, classes=classes)


def mobilenet_v3_large(
    resolution: int = 224, classes: int = 1000, *, width: float = 1.0, image_shape: ImageShape | None = None
) -> Network:
    """Return MobileNetV3-Large: hard_swish and squeeze-and-excite; 219 M MACs at its defaults.

    Args:
        resolution: Height and width of the image in pixels.
        classes: Number of classes.
        width: Multiplier of the channels, > 0; they are rounded to multiples of 8.
        image_shape: Height, width and channels of the image, instead of a square one with three channels.

    Raises:
        NetworkError: An argument is not positive.

    Source: Howard et al. 2019, "Searching for MobileNetV3", table 1.
    """
    image = _image_shape(resolution, image_shape, width=width, classes=classes)
    name = _name("mobilenet_v3_large", image, width)
    return _mobilenet_v3(name, _LARGE, image=image, width=width, features=1280, classes=classes)


def _mobilenet_v3(
    name: str, blocks: tuple[_Bottleneck, ...], *, image: ImageShape, width: float, features: int, classes: int
) -> Network:
    layers = Layers()
    stem, *strides = scaled_strides((2, *(block.stride for block in blocks)), image[:2])
    channels = rounded_channels(16 * width)
    tensor = layers.conv("stem", IMAGE, channels, 3, stem, HardSwish)
    published = (16, *(block.output for block in blocks))
    for index, (block, stride) in enumerate(zip(blocks, strides, strict=True)):
        place, source = f"block{index}", tensor
        # What is published is the expansion: at other widths it multiplies the rounded channels.
        hidden = rounded_channels(channels * block.hidden / published[index])
        output = rounded_channels(block.output * width)
        if block.hidden != published[index]:
            tensor = layers.conv(f"{place}/expand", tensor, hidden, 1, 1, block.activation)
        tensor = layers.depthwise(f"{place}/depthwise", tensor, block.kernel, stride, block.activation)
        if block.excite:
            tensor = layers.squeeze_excite(f"{place}/excite", tensor, hidden, rounded_channels(hidden / 4))
        tensor = layers.conv(f"{place}/project", tensor, output, 1)
        if stride == 1 and channels == output:
            tensor = layers.add(Add(f"{place}/add", (tensor, source)))
        channels = output
    tensor = layers.conv("head", tensor, rounded_channels(6 * channels), 1, 1, HardSwish)
    tensor = layers.add(GlobalAvgPool2d("pool", (tensor,)))
    tensor = layers.add(Dense("features", (tensor,), _last_channels(features, width)))
    tensor = layers.add(HardSwish("features/activation", (tensor,)))
    return layers.network(name, image, layers.add(Dense("logits", (tensor,), classes)))


def shufflenet_v2(
    resolution: int = 224, classes: int = 1000, *, width: float = 1.0, image_shape: ImageShape | None = None
) -> Network:
    """Return ShuffleNetV2: split, shuffle and concatenate; 146 M MACs at its defaults.

    Args:
        resolution: Height and width of the image in pixels.
        classes: Number of classes.
        width: Which of the published networks, 0.5, 1, 1.5 or 2. Widths between them have channels between theirs,
            those above 2 in proportion to its, and below 0.5 all layers are narrowed in proportion to that one's.
        image_shape: Height, width and channels of the image, instead of a square one with three channels.

    Raises:
        NetworkError: An argument is not positive.

    Source: Ma et al. 2018, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", table 5.
    """
    image = _image_shape(resolution, image_shape, width=width, classes=classes)
    layers, narrowed = Layers(), min(2 * width, 1.0)
    stem, pool, *strides = scaled_strides((2, 2, 2, 2, 2), image[:2])
    tensor = layers.conv("stem", IMAGE, rounded_channels(24 * narrowed), 3, stem, Relu)
    if pool > 1:
        tensor = layers.add(MaxPool2d("stem/pool", (tensor,), (3, 3), (pool, pool), "same"))
    half = _shufflenet_half(width)
    for stage, (stride, repeats) in enumerate(zip(strides, (4, 8, 4), strict=True)):
        for repeat in range(repeats):
            place = f"stage{stage}/unit{repeat}"
            tensor = _shuffle_unit(layers, place, tensor, half << stage, stride if repeat == 0 else None)
    head = rounded_channels(1024 * narrowed) if width < 2 else 2048
    tensor = layers.conv("head", tensor, head, 1, 1, Relu)
    return layers.network(_name("shufflenet_v2", image, width), image, layers.logits(tensor, classes))


def _shufflenet_half(width: float) -> int:
    """Return half the channels of the first stage of a ShuffleNetV2 of some width."""
    if width > _SHUFFLENET_WIDTHS[-1]:
        return max(1, round(_SHUFFLENET_CHANNELS[-1] / 2 * width / _SHUFFLENET_WIDTHS[-1]))
    return max(1, round(float(np.interp(width, _SHUFFLENET_WIDTHS, _SHUFFLENET_CHANNELS)) / 2))


def _shuffle_unit(layers: Layers, name: str, tensor: str, half: int, stride: int | None) -> str:
    """Put a unit of ShuffleNetV2: with a stride the first of a stage, both of whose branches read the whole input."""
    if stride is None:
        left, right = layers.split(f"{name}/split", tensor)
    else:
        left = layers.depthwise(f"{name}/left/depthwise", tensor, 3, stride)
        left, right = layers.conv(f"{name}/left/project", left, half, 1, 1, Relu), tensor
    right = layers.conv(f"{name}/right/expand", right, half, 1, 1, Relu)
    right = layers.depthwise(f"{name}/right/depthwise", right, 3, stride or 1)
    right = layers.conv(f"{name}/right/project", right, half, 1, 1, Relu)
    joined = layers.add(Concat(f"{name}/concat", (left, right)))
    return layers.add(ChannelShuffle(f"{name}/shuffle", (joined,), 2))


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
    layers = Layers()
    tensor = layers.conv("stem", IMAGE, 64, 3, 2, Relu)
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
    return layers.network(f"squeezenet_{resolution}", (resolution, resolution, 3), tensor)


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
    layers = Layers()
    tensor = layers.conv("features", IMAGE, channels, 5, 1, Relu)
    tensor = layers.conv("mapping", tensor, channels, 3, 1, Relu)
    tensor = layers.conv("pixels", tensor, 3 * scale**2, 3)
    tensor = layers.add(DepthToSpace("shuffle", (tensor,), scale))
    enlarged = layers.add(ResizeBilinear("enlarged", (IMAGE,), (height * scale, width * scale)))
    tensor = layers.add(Add("output", (tensor, enlarged)))
    return layers.network(f"super_resolution_x{scale}_{height}x{width}", (height, width, 3), tensor)


ZOO: Mapping[str, Callable[[], Network]] = MappingProxyType(
    {
        "mobilenet_v2": mobilenet_v2,
        "mobilenet_v3_large": mobilenet_v3_large,
        "mobilenet_v3_small": mobilenet_v3_small,
        "shufflenet_v2": shufflenet_v2,
        "squeezenet": squeezenet,
        "super_resolution": super_resolution,
    }
)
"""Every network here by name, at its defaults."""


def _last_channels(published: int, width: float) -> int:
    """Return the channels of a MobileNet's last layer: never fewer, except in networks narrower than were published."""
    return rounded_channels(published * max(width, min(width / _NARROWEST, 1.0)))


def _name(family: str, image: ImageShape, width: float) -> str:
    """Return a name that says family, width and image where these are not the published ones."""
    size = str(image[0]) if image[0] == image[1] and image[2] == 3 else "x".join(map(str, image))
    return f"{family}_{size}" if width == 1 and family != "mobilenet_v2" else f"{family}_{width:g}_{size}"


def _image_shape(resolution: int, image_shape: ImageShape | None, *, width: float, classes: int) -> ImageShape:
    """Return the shape of the image after a look at the sizes that a classifier was asked for."""
    image = (resolution, resolution, 3) if image_shape is None else image_shape
    _require_positive(resolution=min(image[:2]), channels=image[2], width=width, classes=classes)
    return image


def _require_positive(**values: Any) -> None:
    for name, value in values.items():
        if not value > 0:
            raise NetworkError(f"{name} must be > 0, not {value!r}")
