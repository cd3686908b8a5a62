"""Layers of the networks that were measured for the catalogues, where these have others than mobile networks share."""

from __future__ import annotations

from profiler import layers
from profiler.layers import IMAGE
from profiler.network import Add, GlobalAvgPool2d, HardSigmoid, Mul, Relu

__all__ = ["IMAGE", "Layers"]


class Layers(layers.Layers):
    """Operators in the order they are added; each method returns the name of the tensor it made."""

    def squeeze_excite(self, name: str, source: str, channels: int, squeezed: int) -> str:
        """Scale channels by what their means say, the two layers in between 1x1 convolutions as they were measured."""
        tensor = self.add(GlobalAvgPool2d(f"{name}/pool", (source,), keep_dims=True))
        tensor = self.conv(f"{name}/reduce", tensor, squeezed, activation=Relu)
        tensor = self.conv(f"{name}/restore", tensor, channels, activation=HardSigmoid)
        return self.add(Mul(f"{name}/scale", (source, tensor)))

    def sum(self, name: str, tensors: list[str]) -> str:
        """Add tensors up, two at a time; one alone is its own sum."""
        total = tensors[0]
        for place, tensor in enumerate(tensors[1:], start=1):
            total = self.add(Add(f"{name}/add{place}", (total, tensor)))
        return total
