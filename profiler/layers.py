"""Operators of a network that is being built layer by layer, and the layers that mobile networks share.

Each convolution has the bias that its batch norm folds to, and pads as TensorFlow's SAME.
"""

from __future__ import annotations

from profiler.network import (
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    Mul,
    Network,
    Operator,
    Relu,
    Reshape,
    Split,
    TensorSpec,
)

__all__ = ["IMAGE", "Layers"]

IMAGE = "image"
"""Name of the input of every network that is built here."""


class Layers:
    """Operators in the order they are added; each method returns the name of the tensor it made."""

    def __init__(self) -> None:
        self._operators: list[Operator] = []

    @property
    def operators(self) -> tuple[Operator, ...]:
        """What was added so far."""
        return tuple(self._operators)

    def add(self, operator: Operator) -> str:
        """Add any operator of one output."""
        self._operators.append(operator)
        return operator.name

    def conv(
        self,
        name: str,
        source: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        activation: type[Operator] | None = None,
        *,
        groups: int = 1,
    ) -> str:
        """Add a square convolution, and an activation if one is named."""
        tensor = self.add(Conv2d(name, (source,), channels, (kernel, kernel), (stride, stride), groups=groups))
        return tensor if activation is None else self.activated(tensor, activation)

    def depthwise(
        self, name: str, source: str, kernel: int, stride: int, activation: type[Operator] | None = None
    ) -> str:
        """Add a square depthwise convolution, and an activation if one is named."""
        tensor = self.add(DepthwiseConv2d(name, (source,), (kernel, kernel), (stride, stride)))
        return tensor if activation is None else self.activated(tensor, activation)

    def activated(self, tensor: str, activation: type[Operator] = Relu) -> str:
        """Add an activation."""
        return self.add(activation(f"{tensor}/activation", (tensor,)))

    def split(self, name: str, source: str) -> tuple[str, str]:
        """Add a cut of the channels into halves."""
        operator = Split(name, (source,), 2)
        self.add(operator)
        first, second = operator.outputs
        return first, second

    def squeeze_excite(self, name: str, source: str, channels: int, squeezed: int) -> str:
        """Scale channels by what their means say (Hu et al. 2018), the gate a hard sigmoid.

        The two layers in between are dense ones, not 1x1 convolutions: they have no batch norm while they are trained.

        Args:
            name: Prefix of the operators.
            source: What is scaled.
            channels: Channels of that.
            squeezed: Channels between the two dense layers.
        """
        tensor = self.add(GlobalAvgPool2d(f"{name}/pool", (source,)))
        tensor = self.add(Dense(f"{name}/reduce", (tensor,), squeezed))
        tensor = self.add(Relu(f"{name}/reduce/activation", (tensor,)))
        tensor = self.add(Dense(f"{name}/restore", (tensor,), channels))
        tensor = self.add(HardSigmoid(f"{name}/restore/activation", (tensor,)))
        gate = self.add(Reshape(f"{name}/gate", (tensor,), (1, 1, 1, channels)))
        return self.add(Mul(f"{name}/scale", (source, gate)))

    def logits(self, features: str, classes: int) -> str:
        """Add a global average pool and a dense layer."""
        pooled = self.add(GlobalAvgPool2d("pool", (features,)))
        return self.add(Dense("logits", (pooled,), classes))

    def network(self, name: str, image_shape: tuple[int, int, int], output: str) -> Network:
        """Return the network of what was added so far.

        Args:
            name: Of the network.
            image_shape: Height, width and channels of the image.
            output: The tensor that it returns.
        """
        return Network(name, [TensorSpec(IMAGE, (1, *image_shape))], self._operators, [output])
