"""Operators that work element by element: sums, products and activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from profiler.network._operator import Operator, Shape
from profiler.network._tensor import TensorSpec


@dataclass(frozen=True)
class _Binary(Operator):
    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the shape after broadcasting sizes of 1; both inputs have the same rank."""
        left, right = inputs
        fits = len(left.shape) == len(right.shape) and all(
            a == b or a == 1 or b == 1 for a, b in zip(left.shape, right.shape, strict=True)
        )
        if not fits:
            raise self.shape_error(f"shapes {left.shape} and {right.shape} do not broadcast")
        return (tuple(max(a, b) for a, b in zip(left.shape, right.shape, strict=True)),)


@dataclass(frozen=True)
class Add(_Binary):
    """Sum of two tensors."""

    kind: ClassVar[str] = "add"


@dataclass(frozen=True)
class Mul(_Binary):
    """Product of two tensors, such as squeeze-and-excite's scale."""

    kind: ClassVar[str] = "mul"


@dataclass(frozen=True)
class _Activation(Operator):
    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the input's shape."""
        return (inputs[0].shape,)


@dataclass(frozen=True)
class Relu(_Activation):
    """max(x, 0)."""

    kind: ClassVar[str] = "relu"


@dataclass(frozen=True)
class Relu6(_Activation):
    """min(max(x, 0), 6)."""

    kind: ClassVar[str] = "relu6"


@dataclass(frozen=True)
class HardSwish(_Activation):
    """x * relu6(x + 3) / 6."""

    kind: ClassVar[str] = "hard_swish"


@dataclass(frozen=True)
class HardSigmoid(_Activation):
    """relu6(x + 3) / 6."""

    kind: ClassVar[str] = "hard_sigmoid"


@dataclass(frozen=True)
class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    kind: ClassVar[str] = "sigmoid"


@dataclass(frozen=True)
class Softmax(_Activation):
    """Softmax over the last axis."""

    kind: ClassVar[str] = "softmax"


@dataclass(frozen=True)
class PRelu(_Activation):
    """x where positive, alpha * x elsewhere; alpha (C,) has one value a channel."""

    kind: ClassVar[str] = "prelu"

    def weight_shapes(self, inputs: tuple[TensorSpec, ...]) -> dict[str, Shape]:
        """Return alpha (C,)."""
        return {"alpha": (inputs[0].shape[-1],)}
