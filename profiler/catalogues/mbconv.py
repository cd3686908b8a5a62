"""Keys of inverted residual blocks: `conv_{size}_{in}_{out}_{expansion}_{stride}_{activation}_{kernel}_{se|nose}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from profiler.catalogues._layers import IMAGE, Layers
from profiler.errors import ArchitectureTextError
from profiler.network import AvgPool2d, HardSwish, Network, Operator, Relu, Relu6

_KEY = re.compile(
    r"conv_([1-9]\d*)_([1-9]\d*)_([1-9]\d*)_([1-9]\d*)_([12])_(relu|relu6|hard_swish)_([1-9]\d*)_(se|nose)"
)
_ACTIVATIONS: Mapping[str, type[Operator]] = MappingProxyType({"relu": Relu, "relu6": Relu6, "hard_swish": HardSwish})
_SQUEEZE = 4


@dataclass(frozen=True, slots=True)
class MbconvBlock:
    """One inverted residual block on its own.

    Attributes:
        size: Height and width of its input.
        in_channels: Channels of its input.
        out_channels: Channels of its output.
        expansion: Hidden channels over in_channels.
        stride: Of the depthwise convolution.
        activation: "relu", "relu6" or "hard_swish".
        kernel: Of the depthwise convolution.
        squeeze_excite: Whether hidden channels are scaled by their means.
    """

    size: int
    in_channels: int
    out_channels: int
    expansion: int
    stride: int
    activation: str
    kernel: int
    squeeze_excite: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key.

        Raises:
            ArchitectureTextError: The text is no such key.

        Example:
            >>> MbconvBlock.parse("conv_56_24_48_4_2_hard_swish_5_se").out_channels
            48
        """
        found = _KEY.fullmatch(text)
        if not found:
            raise ArchitectureTextError("is no key conv_{size}_{in}_{out}_{expansion}_{stride}_…", text=text)
        size, inputs, outputs, expansion, stride = map(int, found.groups()[:5])
        return cls(size, inputs, outputs, expansion, stride, found[6], int(found[7]), found[8] == "se")

    def to_network(self) -> Network:
        """Return the block as a network; its short cut is pooled and projected where its shape changes."""
        layers, activation = Layers(), _ACTIVATIONS[self.activation]
        hidden = self.in_channels * self.expansion
        tensor = IMAGE
        if self.expansion > 1:
            tensor = layers.activated(layers.conv("expand", tensor, hidden), activation)
        tensor = layers.activated(layers.depthwise("depthwise", tensor, self.kernel, self.stride), activation)
        if self.squeeze_excite:
            tensor = layers.squeeze_excite("squeeze_excite", tensor, hidden, max(1, hidden // _SQUEEZE))
        tensor = layers.conv("project", tensor, self.out_channels)
        short = IMAGE
        if self.stride > 1:
            window = (self.stride, self.stride)
            short = layers.add(AvgPool2d("short/pool", (short,), window, window, "same"))
        if self.in_channels != self.out_channels:
            short = layers.conv("short/project", short, self.out_channels)
        return layers.network("mbconv", (self.size, self.size, self.in_channels), layers.sum("block", [tensor, short]))
