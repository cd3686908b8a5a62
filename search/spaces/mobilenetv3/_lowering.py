"""From a genotype of the MobileNetV3 space to the Network that it stands for.

Layers of one place share their pointwise convolutions whatever they choose: a narrower one uses their leading
channels. Depthwise convolutions have weights of their own for each size of window: these are few beside the
pointwise ones, and the middle of a 7x7 window makes no good 3x3 window (once-for-all learns a matrix to turn the one
into the other).
"""

from __future__ import annotations

from profiler.layers import IMAGE, Layers
from profiler.network import Add, Dense, GlobalAvgPool2d, HardSwish, Network, Relu, ResizeBilinear
from profiler.scaling import rounded_channels
from search.spaces.mobilenetv3._genotype import Layer, MobileNetV3Genotype
from search.spaces.mobilenetv3._params import MobileNetV3Params

_SQUEEZE = 4
"""Hidden channels for each channel between the two layers of squeeze-and-excite."""


def lower(params: MobileNetV3Params, genotype: MobileNetV3Genotype) -> Network:
    """Return the network of a genotype; its input is "image" and its output "logits"."""
    layers = Layers()
    tensor = add_stem(layers, params, genotype.resolution)
    for stage, chosen in enumerate(genotype.stages):
        for index, layer in enumerate(chosen):
            tensor = add_layer(layers, params, stage, index, layer, tensor)
    return layers.network(f"mobilenetv3-{genotype.key}", params.image_shape, add_head(layers, params, tensor))


def add_stem(layers: Layers, params: MobileNetV3Params, resolution: int) -> str:
    """Add what is before the stages: resizing, a convolution, and a separable one."""
    size, channels, tensor = params.size_at(resolution), params.channels(-1), IMAGE
    if size != params.image_shape[:2]:
        tensor = layers.add(ResizeBilinear(f"resize{size[0]}x{size[1]}", (IMAGE,), size))
    tensor = layers.conv("stem", tensor, channels, 3, params.strides[0], HardSwish)
    hidden = layers.depthwise("first/depthwise", tensor, 3, params.strides[1], Relu)
    return layers.add(Add("first/add", (layers.conv("first/project", hidden, channels, 1), tensor)))


def add_layer(layers: Layers, params: MobileNetV3Params, stage: int, index: int, layer: Layer, tensor: str) -> str:
    """Add one layer of a stage; it is added to its input where the two have the same shape."""
    name, activation, output = f"stage{stage}/layer{index}", params.activation(stage), params.channels(stage)
    channels = output if index else params.channels(stage - 1)
    stride = 1 if index else params.strides[2 + stage]
    width, hidden = channels, tensor
    if layer.expansion > 1:
        width = rounded_channels(channels * layer.expansion)
        hidden = layers.conv(f"{name}/expand", hidden, width, 1, 1, activation)
    window = f"{layer.kernel}x{layer.kernel}"
    hidden = layers.depthwise(f"{name}/depthwise{window}", hidden, layer.kernel, stride, activation)
    if layer.excite:
        hidden = layers.squeeze_excite(f"{name}/excite", hidden, width, rounded_channels(width / _SQUEEZE))
    hidden = layers.conv(f"{name}/project", hidden, output, 1)
    return layers.add(Add(f"{name}/add", (hidden, tensor))) if stride == 1 and channels == output else hidden


def add_head(layers: Layers, params: MobileNetV3Params, tensor: str) -> str:
    """Add what makes logits of the last stage."""
    head, features = params.head_channels
    tensor = layers.add(GlobalAvgPool2d("pool", (layers.conv("head", tensor, head, 1, 1, HardSwish),)))
    tensor = layers.add(HardSwish("features/activation", (layers.add(Dense("features", (tensor,), features)),)))
    return layers.add(Dense("logits", (tensor,), params.classes))
