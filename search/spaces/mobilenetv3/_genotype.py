"""Genotypes of the MobileNetV3 space: the layers that are there.

Layers beyond a stage's depth are no part of a genotype, so genotypes that differ are networks that differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, get_args

from search.spaces._key import key_of


class Layer(NamedTuple):
    """One inverted bottleneck; a tuple, since many are looked up in each search.

    Attributes:
        kernel: Height and width of its depthwise convolution.
        expansion: Its hidden channels for each channel that it reads.
        excite: Whether its hidden channels are scaled by squeeze-and-excite.
    """

    kernel: int
    expansion: int
    excite: bool


LayerField = Literal["kernel", "expansion", "excite"]
LAYER_FIELDS: tuple[LayerField, ...] = get_args(LayerField)
"""Names of the fields of a `Layer`, in their order."""

Stage = tuple[Layer, ...]
"""The layers at one map size, the first of which may halve it."""


@dataclass(frozen=True)
class MobileNetV3Genotype:
    """One network of the space.

    Attributes:
        resolution: Height in pixels to which the image is resized.
        stages: The layers of each stage; their number is its depth.
    """

    resolution: int
    stages: tuple[Stage, ...]

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits over all choices."""
        layers = [[(layer.kernel, layer.expansion, layer.excite) for layer in stage] for stage in self.stages]
        return key_of((self.resolution, layers))
