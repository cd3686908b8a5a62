"""Operator lookup tables of once-for-all: YAML files that give mean, deviation and count of latencies in ms by key.

Keys name a block with its sizes, such as `Conv-input:224x224x3-output:112x112x24` or
`expanded_conv-input:56x56x32-output:28x28x48-expand:96-kernel:5-stride:2-idskip:0-se:1-hs:0`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

from profiler.catalogues._layers import IMAGE, Layers
from profiler.catalogues.labels import LabelledNetwork, labelled
from profiler.errors import ArchitectureTextError, ConfigError, TableError
from profiler.network import Add, Dense, GlobalAvgPool2d, HardSwish, Network, Relu
from profiler.scaling import rounded_channels
from profiler.strict_yaml import read_strict_yaml

_SIZES = r"([1-9]\d{0,4})x([1-9]\d{0,4})x([1-9]\d{0,4})"
_KEY = re.compile(rf"([A-Za-z0-9_]+)-input:{_SIZES}-output:(?:{_SIZES}|([1-9]\d{{0,5}}))((?:-[a-z]+:\d{{1,5}})*)")
_ATTRIBUTES = ("expand", "kernel", "stride", "idskip", "se", "hs")
_SQUEEZE = 4
_COLUMNS = frozenset({"mean", "std", "count"})


@dataclass(frozen=True, slots=True)
class OnceForAllBlock:
    """One block of a network of the once-for-all space, on its own.

    Attributes:
        operator: "Conv", "expanded_conv", "AvgPool2D", "Conv_1", "Conv_2" or "Logits".
        read: Height, width and channels of its input.
        written: The same of its output.
        expand: Hidden channels; this and all below are of an "expanded_conv" alone, and else 0 or False.
        kernel: Of the depthwise convolution.
        stride: Of the depthwise convolution.
        short_cut: Whether its input is added to its output.
        squeeze_excite: Whether hidden channels are scaled by their means.
        hard_swish: Whether its activations are hard-swish, and not ReLU.

    Source: Cai et al. 2020, "Once-for-All", appendix B: blocks of MobileNetV3 (Howard et al. 2019, table 1).
    """

    operator: str
    read: tuple[int, int, int]
    written: tuple[int, int, int]
    expand: int = 0
    kernel: int = 0
    stride: int = 0
    short_cut: bool = False
    squeeze_excite: bool = False
    hard_swish: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key.

        Raises:
            ArchitectureTextError: The text is no such key, or its sizes do not go together.

        Example:
            >>> OnceForAllBlock.parse("Conv_1-input:7x7x192-output:7x7x1152").written
            (7, 7, 1152)
        """
        found = _KEY.fullmatch(text)
        if not found:
            raise ArchitectureTextError("is no key {operator}-input:{h}x{w}x{c}-output:…", text=text)
        sizes = [int(size) for size in found.groups()[1:7] if size]
        written = sizes[3:] or [1, 1, int(found[8])]
        attributes = dict(part.split(":") for part in found[9].split("-")[1:])
        expected = _ATTRIBUTES if found[1] == "expanded_conv" else ()
        if found[1] not in _LOWER or tuple(attributes) != expected:
            known = ", ".join(_LOWER)
            raise ArchitectureTextError(f"is none of {known} with its attributes", text=text)
        values = [int(attributes[name]) for name in expected]
        block = cls(found[1], (sizes[0], sizes[1], sizes[2]), (written[0], written[1], written[2]))
        if values:
            expand, kernel, stride = values[:3]
            short_cut, squeeze_excite, hard_swish = (bool(value) for value in values[3:])
            block = replace(
                block, expand=expand, kernel=kernel, stride=stride, short_cut=short_cut, squeeze_excite=squeeze_excite,
                hard_swish=hard_swish,
            )  # fmt: skip
        if problem := block._problem():
            raise ArchitectureTextError(problem, text=text)
        return block

    def to_network(self) -> Network:
        """Return the block as a network, batch norm folded away."""
        layers = Layers()
        output = _LOWER[self.operator](self, layers)
        return layers.network("once_for_all", self.read, output)

    def _problem(self) -> str:
        if self.operator == "expanded_conv":
            if min(self.expand, self.kernel, self.stride) < 1:
                return "expand, kernel and stride must be at least 1"
            if self.short_cut and self.read != self.written:
                return "a short cut needs an output of the input's shape"
        expected = {
            "Conv": self._halved(2),
            "expanded_conv": self._halved(max(self.stride, 1)),
            "Conv_1": self.read[:2],
        }.get(self.operator, (1, 1))
        return "" if self.written[:2] == expected else f"its output must be {expected[0]}x{expected[1]}"

    def _halved(self, stride: int) -> tuple[int, int]:
        return -(-self.read[0] // stride), -(-self.read[1] // stride)


def read_once_for_all(path: Path) -> tuple[LabelledNetwork, ...]:
    """Read a lookup table; nothing in it is executed.

    Args:
        path: A file of at most 128 KiB.

    Returns:
        A block with its latency for each key.

    Raises:
        ConfigError: The file cannot be read, is no plain YAML, or has an alias, a tag or a repeated key.
        TableError: A key is no block, or its latency is not a positive number; the message names line and key.
    """
    content, lines = read_strict_yaml(path)
    if not isinstance(content, Mapping) or not content:
        raise ConfigError("must hold keys of blocks with mean, std and count of each", path=path)
    return tuple(_labelled(key, cells, f"{path}:{lines.line((key,))}") for key, cells in content.items())


def _labelled(key: str, cells: object, place: str) -> LabelledNetwork:
    try:
        network = OnceForAllBlock.parse(key).to_network()
    except ArchitectureTextError as err:
        raise TableError(f"{place}: {err}") from err
    if not isinstance(cells, Mapping) or set(cells) != _COLUMNS:
        raise TableError(f"{place}: {key!r:.80}: must have mean, std and count, in ms, and nothing else")
    return labelled(key, network, cells["mean"], std_ms=cells["std"], runs=cells["count"], place=place)


def _stem(block: OnceForAllBlock, layers: Layers) -> str:
    return layers.activated(layers.conv("conv", IMAGE, block.written[2], 3, 2), HardSwish)


def _inverted_residual(block: OnceForAllBlock, layers: Layers) -> str:
    activation, channels, tensor = HardSwish if block.hard_swish else Relu, block.expand, IMAGE
    if channels != block.read[2]:
        tensor = layers.activated(layers.conv("expand", tensor, channels), activation)
    tensor = layers.activated(layers.depthwise("depthwise", tensor, block.kernel, block.stride), activation)
    if block.squeeze_excite:
        tensor = layers.squeeze_excite("squeeze_excite", tensor, channels, rounded_channels(channels / _SQUEEZE))
    tensor = layers.conv("project", tensor, block.written[2])
    return layers.add(Add("block", (tensor, IMAGE))) if block.short_cut else tensor


def _pointwise(block: OnceForAllBlock, layers: Layers) -> str:
    return layers.activated(layers.conv("conv", IMAGE, block.written[2]), HardSwish)


def _pool(_: OnceForAllBlock, layers: Layers) -> str:
    return layers.add(GlobalAvgPool2d("pool", (IMAGE,), keep_dims=True))


def _logits(block: OnceForAllBlock, layers: Layers) -> str:
    pooled = layers.add(GlobalAvgPool2d("flat", (IMAGE,)))
    return layers.add(Dense("logits", (pooled,), block.written[2]))


_LOWER: Mapping[str, Callable[[OnceForAllBlock, Layers], str]] = MappingProxyType(
    {
        "Conv": _stem,
        "expanded_conv": _inverted_residual,
        "Conv_1": _pointwise,
        "AvgPool2D": _pool,
        "Conv_2": _pointwise,
        "Logits": _logits,
    }
)
