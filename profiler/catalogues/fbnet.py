"""FBNet networks by their choice at 22 positions, written as numbers (`7 8 1 …`) or as names (`k5_e6|skip|…`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from profiler.catalogues._layers import IMAGE, Layers
from profiler.errors import ArchitectureTextError
from profiler.network import ChannelShuffle, Network

_STEM_CHANNELS, _HEAD_CHANNELS = 16, 1504
_STAGES = ((16, 1, 1), (24, 4, 1), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1))
"""Channels, blocks and first stride of each stage, for images of 32 pixels."""


@dataclass(frozen=True, slots=True)
class FbnetChoices:
    """A network of the FBNet space.

    Attributes:
        blocks: The block at each position, one of BLOCKS.

    Source: Wu et al. 2019, "FBNet", tables 1 and 2; strides for small images and the head as in HW-NAS-Bench (Li et
    al. 2021), whose latencies the public tables hold.
    """

    blocks: tuple[str, ...]

    BLOCKS: ClassVar[tuple[str, ...]] = (
        *("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6"),
        *("k5_e1", "k5_e1_g2", "k5_e3", "k5_e6"),
        "skip",
    )
    POSITIONS: ClassVar[int] = sum(blocks for _, blocks, _ in _STAGES)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read choices, by number or by name.

        Raises:
            ArchitectureTextError: There are not POSITIONS choices, or one is unknown.

        Example:
            >>> FbnetChoices.parse(" ".join(["8"] * 22)).blocks[0]
            'skip'
        """
        parts = text.split("|") if "|" in text else text.split()
        numbers = {str(place): block for place, block in enumerate(cls.BLOCKS)}
        blocks = tuple(numbers.get(part, part) for part in parts)
        if len(blocks) != cls.POSITIONS:
            raise ArchitectureTextError(f"has {len(blocks)} choices, not {cls.POSITIONS}", text=text)
        unknown = set(blocks) - set(cls.BLOCKS)
        if unknown:
            raise ArchitectureTextError(f"unknown block {min(unknown)!r}", text=text)
        return cls(blocks)

    def to_network(self, resolution: int = 32, classes: int = 100) -> Network:
        """Return the network, batch norm folded away.

        Args:
            resolution: Height and width of the image in pixels.
            classes: Number of classes.
        """
        layers = Layers()
        tensor, channels, position = layers.activated(layers.conv("stem", IMAGE, _STEM_CHANNELS, 3)), _STEM_CHANNELS, 0
        for outputs, count, first_stride in _STAGES:
            for place in range(count):
                stride = 1 if place else first_stride
                tensor = _block(layers, self.blocks[position], f"block{position}", tensor, (channels, outputs), stride)
                channels, position = outputs, position + 1
        tensor = layers.activated(layers.conv("head", tensor, _HEAD_CHANNELS))
        return layers.network("fbnet", (resolution, resolution, 3), layers.logits(tensor, classes))


def _block(layers: Layers, block: str, name: str, source: str, channels: tuple[int, int], stride: int) -> str:
    """Add one block; channels are of its input and its output."""
    same = channels[0] == channels[1] and stride == 1
    if block == "skip":
        return source if same else layers.activated(layers.conv(name, source, channels[1], 1, stride))
    kernel, expansion, *grouped = (int(part[1:]) for part in block.split("_"))
    groups = grouped[0] if grouped else 1
    hidden = channels[0] * expansion
    tensor = layers.activated(layers.conv(f"{name}/expand", source, hidden, groups=groups))
    if groups > 1:
        tensor = layers.add(ChannelShuffle(f"{name}/shuffle", (tensor,), groups))
    tensor = layers.activated(layers.depthwise(f"{name}/depthwise", tensor, kernel, stride))
    tensor = layers.conv(f"{name}/project", tensor, channels[1], groups=groups)
    return layers.sum(name, [tensor, source]) if same else tensor
