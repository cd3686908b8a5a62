"""Settings of the MobileNetV3 space, and the choices and sizes that follow from them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from profiler.network import HardSwish, Operator, Relu
from profiler.scaling import rounded_channels, scaled_strides
from search.errors import SearchError
from search.spaces.mobilenetv3._genotype import Layer, LayerField

SqueezeExcite = Literal["published", "choice", "never"]

_CHANNELS = (24, 40, 80, 112, 160)
_STRIDES = (2, 2, 2, 1, 2)
_EXCITED = (False, True, False, True, True)
_ACTIVATIONS: tuple[type[Operator], ...] = (Relu, Relu, HardSwish, HardSwish, HardSwish)
"""Of each stage, as once-for-all has them (Cai et al., ICLR 2020), and MobileNetV3-Large before it."""

_STEM_CHANNELS = 16
_STEM_STRIDES = (2, 1)  # of the first convolution and of the block after it
_HEAD, _FEATURES = 6, 8
"""Channels of the last two layers for each of the last stage: 960 and 1280 for its 160."""

_MOST_LAYERS = 8
_LARGEST_KERNEL = 15


@dataclass(frozen=True)
class MobileNetV3Params:
    """Settings of the space.

    The choices are once-for-all's by default, its five stages apart: three narrow ones make a small space for images of
    some 30 pixels. Published for 224x224 is: stages 5, width 1 (or 1.2), resolutions 128, 132, 136, ... 224.

    Attributes:
        image_shape: Height, width and channels of the images.
        classes: Number of classes.
        stages: How many of the five stages there are, counted from the first.
        width: Multiplier of all channels; they are rounded to multiples of 8.
        depths: How many layers a stage may have.
        kernels: Sizes that depthwise convolutions may have, odd.
        expansions: How many times wider than its input a layer may be inside.
        resolutions: Heights in pixels to which images may be resized before anything else, their widths in
            proportion; none leaves them as they are.
        squeeze_excite: Whether layers have it where once-for-all has it, each may choose, or none has it.
    """

    image_shape: tuple[int, int, int]
    classes: int
    stages: int = 3
    width: float = 0.25
    depths: tuple[int, ...] = (2, 3, 4)
    kernels: tuple[int, ...] = (3, 5, 7)
    expansions: tuple[int, ...] = (3, 4, 6)
    resolutions: tuple[int, ...] = ()
    squeeze_excite: SqueezeExcite = "published"

    def check(self) -> None:
        """Raise SearchError for a setting that is out of range."""
        if len(self.image_shape) != 3 or min(self.image_shape) < 1:
            raise SearchError(f"images must have a height, a width and channels >= 1, not {self.image_shape}")
        if self.classes < 2:
            raise SearchError(f"the MobileNetV3 space needs classes >= 2, not {self.classes}")
        if not 1 <= self.stages <= len(_CHANNELS):
            raise SearchError(f"stages must be from 1 to {len(_CHANNELS)}, not {self.stages}")
        if not 0 < self.width <= 16:
            raise SearchError(f"width must be > 0 and at most 16, not {self.width}")
        if self.squeeze_excite not in get_args(SqueezeExcite):
            known = ", ".join(get_args(SqueezeExcite))
            raise SearchError(f"squeeze_excite must be one of {known}, not {self.squeeze_excite!r}")
        _check_choices("depths", self.depths, _MOST_LAYERS)
        _check_choices("kernels", self.kernels, _LARGEST_KERNEL)
        _check_choices("expansions", self.expansions, 16)
        if self.resolutions:
            _check_choices("resolutions", self.resolutions, 4096)
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise SearchError(f"kernels must be odd, not {self.kernels}")

    @cached_property
    def heights(self) -> tuple[int, ...]:
        """The heights in pixels that may be chosen."""
        return self.resolutions or (self.image_shape[0],)

    def size_at(self, resolution: int) -> tuple[int, int]:
        """Return height and width in pixels of an image that was resized to a height."""
        height, width, _ = self.image_shape
        return resolution, max(1, round(width * resolution / height))

    def options(self, field: LayerField, stage: int) -> tuple[int, ...]:
        """Return the values that a field of a stage's layers may have."""
        by_field: dict[LayerField, tuple[int, ...]] = {
            "kernel": self.kernels,
            "expansion": self.expansions,
            "excite": self.excites(stage),
        }
        return by_field[field]

    def excites(self, stage: int) -> tuple[bool, ...]:
        """Return whether a layer of a stage may be without squeeze-and-excite, may be with it, or both."""
        if self.squeeze_excite == "choice":
            return (False, True)
        return (self.squeeze_excite == "published" and _EXCITED[stage],)

    def layers(self, stage: int) -> tuple[Layer, ...]:
        """Return everything that a layer of a stage may be."""
        return tuple(itertools.starmap(Layer, itertools.product(self.kernels, self.expansions, self.excites(stage))))

    def channels(self, stage: int) -> int:
        """Return the channels that a stage writes; stage -1 is what is before the first."""
        return rounded_channels((_CHANNELS[stage] if stage >= 0 else _STEM_CHANNELS) * self.width)

    def map_size(self, resolution: int, stage: int) -> tuple[int, int]:
        """Return height and width of what a stage writes at a resolution; stage -1 is what is before the first."""
        height, width = self.size_at(resolution)
        for stride in self.strides[: 3 + stage]:
            height, width = -(-height // stride), -(-width // stride)
        return height, width

    def activation(self, stage: int) -> type[Operator]:
        """Return the kind of a stage's activations."""
        return _ACTIVATIONS[stage]

    @property
    def head_channels(self) -> tuple[int, int]:
        """Channels of the last convolution and of the dense layer after it."""
        last = self.channels(self.stages - 1)
        return rounded_channels(_HEAD * last), rounded_channels(_FEATURES * last)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Strides of the first convolution, the block after it, and of each stage's first layer.

        They are the same at all resolutions and follow from the largest.
        """
        return scaled_strides((*_STEM_STRIDES, *_STRIDES[: self.stages]), self.size_at(max(self.heights)))


def _check_choices(name: str, choices: tuple[int, ...], most: int) -> None:
    if not choices or len(set(choices)) < len(choices) or not all(1 <= choice <= most for choice in choices):
        raise SearchError(f"{name} must be different whole numbers from 1 to {most}, not {choices}")
