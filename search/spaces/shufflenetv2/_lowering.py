"""From a genotype of the ShuffleNetV2 space to the Network that it stands for.

The first unit of a stage has two branches that both read all of its input; it may halve the map and changes the
channels. The others shuffle their input, pass one half on and work on the other. So nothing is shuffled where all of
it is read next, as the unit of the published code does, too.

Where this differs from the networks of Single Path One-Shot: the branches of a stage's first unit put out as many
channels as each other, as ShuffleNetV2's do; padding is TensorFlow's SAME; and small images are halved less often.

Each convolution carries a batch norm while it is trained, and its bias is what that folds to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from profiler.layers import IMAGE, Layers
from profiler.network import ChannelShuffle, Concat, Network, Relu
from profiler.scaling import rounded_channels, scaled_strides
from search.spaces.shufflenetv2._genotype import OPERATIONS, Block, Operation, ShuffleNetV2Genotype

_WINDOWS: dict[Operation, int] = {"shuffle_3x3": 3, "shuffle_5x5": 5, "shuffle_7x7": 7, "xception": 3}
_LANES = 4
"""Channels inside a unit are a multiple of this: float32 numbers in a register of the phones' processors."""


@dataclass(frozen=True)
class Place:
    """Where a block is.

    Attributes:
        index: Number of the block, from the image on.
        half: Channels of each of its two branches.
        stride: Of the first block of a stage; None for the others.
        size: Height and width of the map that it reads.
        read: Channels of that.
    """

    index: int
    half: int
    stride: int | None
    size: tuple[int, int]
    read: int

    @property
    def put_size(self) -> tuple[int, int]:
        """Height and width of the map that it puts out."""
        stride, (height, width) = self.stride or 1, self.size
        return -(-height // stride), -(-width // stride)


@dataclass(frozen=True)
class ShuffleNetV2Params:
    """Settings of the space.

    The defaults are a small space for images of some 30 pixels. Published for 224x224 is: blocks (4, 4, 8, 4), channels
    (64, 160, 320, 640), stem 16, head 1024, and ratios 0.2, 0.4, ... 2.0.

    The ratios are half of the block's width apart: then even the narrowest blocks have no two choices that round to the
    same channels or differ by less than a register of the processor, and each width is drawn often enough to be trained
    in the minutes that a supernet has here.

    Attributes:
        image_shape: Height, width and channels of the images.
        classes: Number of classes.
        blocks: Blocks of each stage.
        channels: Channels that the blocks of each stage put out.
        stem: Channels of the first convolution.
        head: Channels of the convolution before the classifier.
        width: Multiplier of stem, channels and head.
        ratios: Candidates for the channels inside a block, as shares of half of what it puts out.
        operations: Candidates for the unit of a block.
    """

    image_shape: tuple[int, int, int]
    classes: int
    blocks: tuple[int, ...] = (2, 4, 2)
    channels: tuple[int, ...] = (32, 64, 128)
    stem: int = 16
    head: int = 256
    width: float = 1.0
    ratios: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0)
    operations: tuple[Operation, ...] = OPERATIONS

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of the stem and of the first block of each stage: 2, but not for the first ones on small images."""
        return scaled_strides((2,) * (1 + len(self.blocks)), self.image_shape[:2])

    @property
    def stem_channels(self) -> int:
        """Channels of the first convolution after the multiplier."""
        return rounded_channels(self.stem * self.width)

    @property
    def head_channels(self) -> int:
        """Channels of the last convolution after the multiplier."""
        return rounded_channels(self.head * self.width)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Where each block is."""
        return tuple(self._places())

    def inner_channels(self, place: Place, ratio: float) -> int:
        """Return the channels inside a block."""
        return rounded_channels(place.half * ratio, _LANES)

    def _places(self) -> Iterator[Place]:
        first, *strides = self.strides
        height, width = (-(-size // first) for size in self.image_shape[:2])
        size, read, index = (height, width), self.stem_channels, 0
        for blocks, channels, stride in zip(self.blocks, self.channels, strides, strict=True):
            half = rounded_channels(channels * self.width / 2, _LANES)
            for block in range(blocks):
                place = Place(index, half, None if block else stride, size, read)
                yield place
                size, read, index = place.put_size, 2 * half, index + 1


def lower(params: ShuffleNetV2Params, genotype: ShuffleNetV2Genotype) -> Network:
    """Return the network of a genotype; its input is "image" and its output "logits"."""
    units = Units(params)
    tensor = units.stem(IMAGE)
    for place, block in zip(params.places, genotype.blocks, strict=True):
        tensor = units.block(place, block, tensor)
    return units.layers.network(f"shufflenetv2-{genotype.key}", params.image_shape, units.tail(tensor))


class Units:
    """Puts the parts of networks; each method returns the tensor it made.

    Attributes:
        layers: What was put so far.
    """

    def __init__(self, params: ShuffleNetV2Params) -> None:
        self._params = params
        self.layers = Layers()

    def stem(self, tensor: str) -> str:
        """Put the convolution that reads the image."""
        return self.layers.conv("stem", tensor, self._params.stem_channels, 3, self._params.strides[0], Relu)

    def tail(self, tensor: str) -> str:
        """Put what makes logits of the last block."""
        return self.layers.logits(
            self.layers.conv("head", tensor, self._params.head_channels, 1, 1, Relu), self._params.classes
        )

    def block(self, place: Place, block: Block, tensor: str) -> str:
        """Put a block."""
        layers, name = self.layers, f"blocks.{place.index}"
        window, own = _WINDOWS[block.operation], f"{name}.{block.operation}"
        if place.stride is None:
            shuffled = layers.add(ChannelShuffle(f"{name}.shuffle", (tensor,), 2))
            left, right = layers.split(f"{name}.split", shuffled)
        else:
            left = layers.depthwise(f"{own}.left.depthwise", tensor, window, place.stride)
            left, right = layers.conv(f"{own}.left.project", left, place.half, 1, 1, Relu), tensor
        inner = self._params.inner_channels(place, block.ratio)
        work = self._xception if block.operation == "xception" else self._shuffle
        right = work(own, right, inner, place.half, window, place.stride or 1)
        return layers.add(Concat(name, (left, right)))

    def _shuffle(self, name: str, tensor: str, inner: int, output: int, window: int, stride: int) -> str:
        """Put the working branch of ShuffleNetV2's unit."""
        layers = self.layers
        tensor = layers.conv(f"{name}.expand", tensor, inner, 1, 1, Relu)
        tensor = layers.depthwise(f"{name}.depthwise", tensor, window, stride)
        return layers.conv(f"{name}.project", tensor, output, 1, 1, Relu)

    def _xception(self, name: str, tensor: str, inner: int, output: int, window: int, stride: int) -> str:
        """Put three depthwise convolutions, each with a 1x1 convolution behind it."""
        for step, channels in enumerate((inner, inner, output)):
            tensor = self.layers.depthwise(f"{name}.{step}.depthwise", tensor, window, stride if step == 0 else 1)
            tensor = self.layers.conv(f"{name}.{step}.pointwise", tensor, channels, 1, 1, Relu)
        return tensor
