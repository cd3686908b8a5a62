"""Operators of a network that is being lowered, and the few layers that the catalogues share."""

from __future__ import annotations

from profiler.network import (
    Add,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    Mul,
    Network,
    Operator,
    Relu,
    TensorSpec,
)

IMAGE = "image"


class Layers:
    """Operators in the order they are added; each method returns the name of the tensor it made."""

    def __init__(self) -> None:
        self._operators: list[Operator] = []

    def add(self, operator: Operator) -> str:
        """Add any operator of one output."""
        self._operators.append(operator)
        return operator.name

    def conv(self, name: str, source: str, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> str:
        """Add a SAME convolution with a bias, which stands for the folded batch norm."""
        square = (kernel, kernel)
        return self.add(Conv2d(name, (source,), channels, square, (stride, stride), groups=groups))

    def depthwise(self, name: str, source: str, kernel: int, stride: int) -> str:
        """Add a SAME depthwise convolution with a bias."""
        return self.add(DepthwiseConv2d(name, (source,), (kernel, kernel), (stride, stride)))

    def activated(self, tensor: str, activation: type[Operator] = Relu) -> str:
        """Add an activation."""
        return self.add(activation(f"{tensor}/activation", (tensor,)))

    def squeeze_excite(self, name: str, source: str, channels: int, squeezed: int) -> str:
        """Scale channels by what their means say."""
        tensor = self.add(GlobalAvgPool2d(f"{name}/pool", (source,), keep_dims=True))
        tensor = self.activated(self.conv(f"{name}/reduce", tensor, squeezed))
        tensor = self.activated(self.conv(f"{name}/restore", tensor, channels), HardSigmoid)
        return self.add(Mul(f"{name}/scale", (source, tensor)))

    def sum(self, name: str, tensors: list[str]) -> str:
        """Add tensors up, two at a time; one alone is its own sum."""
        total = tensors[0]
        for place, tensor in enumerate(tensors[1:], start=1):
            total = self.add(Add(f"{name}/add{place}", (total, tensor)))
        return total

    def classifier(self, source: str, classes: int) -> str:
        """Average over the map and add a dense layer."""
        return self.add(Dense("logits", (self.add(GlobalAvgPool2d("pool", (source,))),), classes))

    def network(self, name: str, shape: tuple[int, ...], output: str) -> Network:
        """Return the network of one image input."""
        return Network(name, [TensorSpec(IMAGE, shape)], self._operators, [output])
