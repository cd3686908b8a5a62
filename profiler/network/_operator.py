"""The abstract operator: what every kind must say about its shapes, weights and work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cache
from typing import ClassVar

from profiler.errors import NetworkError, ShapeError
from profiler.network._tensor import TensorSpec

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operator(ABC):
    """One operator of a network.  Its output tensor carries the operator's name.

    Attributes:
        name: Name, unique in the network.
        inputs: Names of the tensors it reads, in order.
    """

    kind: ClassVar[str]
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """Least and most number of inputs; None where any number will do."""

    name: str
    inputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.inputs, tuple):
            object.__setattr__(self, "inputs", tuple(self.inputs))
        least, most = self.arity
        if len(self.inputs) < least or (most is not None and len(self.inputs) > most):
            wanted = f"{least}" if least == most else f"at least {least}"
            raise NetworkError(f"{self.kind} takes {wanted} input(s), not {len(self.inputs)}", operator=self.name)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.name,)

    @abstractmethod
    def infer(self, inputs: tuple[TensorSpec, ...]) -> tuple[Shape, ...]:
        """Return the shape of each output.

        Args:
            inputs: Specs of the input tensors, as many as `inputs`.

        Raises:
            ShapeError: The shapes do not fit the operator.
        """

    def weight_shapes(self, inputs: tuple[TensorSpec, ...]) -> dict[str, Shape]:
        """Return the shapes of the operator's own weights by role ("kernel", "bias", "alpha")."""
        return {}

    def macs(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> int:
        """Return the multiply-accumulates of one run: convolutions and dense layers only, by convention."""
        return 0

    def signature(self, inputs: tuple[TensorSpec, ...]) -> tuple[object, ...]:
        """Return the attributes in a canonical form (axes non-negative); equal exactly when the work is equal."""
        return tuple(getattr(self, attribute) for attribute in attribute_names(type(self)))

    def shape_error(self, problem: str) -> ShapeError:
        """Return an error about this operator's shapes."""
        return ShapeError(problem, operator=self.name)

    def require_rank(self, spec: TensorSpec, rank: int) -> None:
        """Check the rank of an input.

        Raises:
            ShapeError: The rank differs.
        """
        if len(spec.shape) != rank:
            raise self.shape_error(f"{self.kind} takes a rank-{rank} tensor, not {spec.name!r} of shape {spec.shape}")

    def resolve_axis(self, axis: int, spec: TensorSpec) -> int:
        """Return an axis counted from the front.

        Raises:
            ShapeError: The tensor has no such axis.
        """
        rank = len(spec.shape)
        if not -rank <= axis < rank:
            raise self.shape_error(f"axis {axis} does not exist in {spec.name!r} of shape {spec.shape}")
        return axis % rank

    def require_positive(self, **values: int | tuple[int, ...]) -> None:
        """Check attributes that must be whole numbers >= 1.

        Raises:
            NetworkError: One is not.
        """
        for attribute, value in values.items():
            numbers = value if isinstance(value, tuple) else (value,)
            if not all(type(number) is int and number >= 1 for number in numbers):
                raise NetworkError(f"{attribute} must be whole and >= 1, not {value!r}", operator=self.name)


@cache
def attribute_names(kind: type[Operator]) -> tuple[str, ...]:
    """Return the names of an operator kind's attributes, without its name and inputs."""
    return tuple(field.name for field in fields(kind) if field.name not in ("name", "inputs"))
