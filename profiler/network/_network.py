"""The network: an immutable, validated graph of typed operators, and its identity."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from profiler.errors import CycleError, NetworkError, ShapeError
from profiler.network._convolutions import DepthwiseConv2d
from profiler.network._cost import NetworkCost, operator_cost
from profiler.network._json import structure_from_json, structure_to_json
from profiler.network._operator import Operator
from profiler.network._shaping import Opaque
from profiler.network._tensor import DTYPE_BYTES, TensorSpec

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, init=False)
class Network:
    """A network as every part of pocketnas sees it: measured, trained, predicted and exported from this alone.

    Activations are operators of their own; writers and kernel fusion join them to what they follow.
    There is no batch norm: it is folded into weights before.

    Args:
        name: For people; no part of the identity.
        inputs: The input tensors, in order.
        operators: In any order; they are sorted (stably) so that producers come first.
        outputs: Names of the output tensors, in order.
        weights: Values by "operator/role", float32, or None when only the structure matters.

    Attributes:
        tensors: Every tensor of the network by name.

    Raises:
        NetworkError: A name is repeated or undefined, a shape does not fit (ShapeError), or the
            operators form a ring (CycleError).
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    operators: tuple[Operator, ...]
    outputs: tuple[str, ...]
    weights: Mapping[str, FloatArray] | None
    tensors: Mapping[str, TensorSpec]

    def __init__(
        self,
        name: str,
        inputs: Sequence[TensorSpec],
        operators: Sequence[Operator],
        outputs: Sequence[str],
        weights: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "inputs", tuple(inputs))
        object.__setattr__(self, "outputs", tuple(outputs))
        _check_names(self.inputs, operators, self.outputs)
        object.__setattr__(self, "operators", _sorted_operators(self.inputs, operators))
        object.__setattr__(self, "tensors", MappingProxyType(_infer_tensors(self.inputs, self.operators)))
        object.__setattr__(self, "weights", None if weights is None else _checked_weights(self.weight_specs, weights))

    def __eq__(self, other: object) -> bool:
        """Whether names, structure and weights are all the same."""
        if not isinstance(other, Network):
            return NotImplemented
        same = (self.name, self.inputs, self.operators, self.outputs) == (
            other.name, other.inputs, other.operators, other.outputs,
        )  # fmt: skip
        return same and _same_weights(self.weights, other.weights)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Network({self.name!r}, {len(self.operators)} operators, key={self.key[:8]})"

    @cached_property
    def key(self) -> str:
        """Stable identity of the structure: 32 hexadecimal digits.

        Equal for networks that do the same work on the same shapes: names, the order in which operators
        were given, and weights do not matter.  (A Merkle hash over producers, and the multiset of all
        operators' hashes, so that a shared and a repeated operator differ.)
        """
        digests: dict[str, bytes] = {}
        for position, spec in enumerate(self.inputs):
            digests[spec.name] = _digest(repr(("input", position, spec.shape, spec.dtype)).encode())
        own: list[bytes] = []
        for operator in self.operators:
            specs = self.input_specs(operator)
            parts = [repr((operator.kind, operator.signature(specs))).encode()]
            parts += [digests[tensor] for tensor in operator.inputs]
            own.append(_digest(b"|".join(parts)))
            for index, tensor in enumerate(operator.outputs):
                digests[tensor] = own[-1] if index == 0 else _digest(own[-1] + index.to_bytes(4, "big"))
        ends = [digests[tensor] for tensor in self.outputs]
        starts = [digests[spec.name] for spec in self.inputs]
        return _digest(b"".join([*starts, b"|", *sorted(own), b"|", *ends])).hex()

    @cached_property
    def weight_specs(self) -> Mapping[str, TensorSpec]:
        """Specs of all weights by "operator/role": kernel, bias or alpha."""
        specs: dict[str, TensorSpec] = {}
        for operator in self.operators:
            for role, shape in operator.weight_shapes(self.input_specs(operator)).items():
                name = f"{operator.name}/{role}"
                specs[name] = TensorSpec(name, shape)
        return MappingProxyType(specs)

    @cached_property
    def _producers(self) -> Mapping[str, Operator]:
        return {tensor: operator for operator in self.operators for tensor in operator.outputs}

    @cached_property
    def _consumers(self) -> Mapping[str, tuple[Operator, ...]]:
        found: dict[str, list[Operator]] = {}
        for operator in self.operators:
            for tensor in dict.fromkeys(operator.inputs):
                found.setdefault(tensor, []).append(operator)
        return {tensor: tuple(operators) for tensor, operators in found.items()}

    @cached_property
    def _output_names(self) -> frozenset[str]:
        return frozenset(self.outputs)

    def producer(self, tensor: str) -> Operator | None:
        """Return the operator that writes a tensor, or None for an input of the network."""
        return self._producers.get(tensor)

    def consumers(self, tensor: str) -> tuple[Operator, ...]:
        """Return the operators that read a tensor, each once, in execution order."""
        return self._consumers.get(tensor, ())

    def sole_consumer(self, operator: Operator) -> Operator | None:
        """Return the operator that alone reads what this one writes; None when the value is needed elsewhere."""
        if len(operator.outputs) != 1 or operator.outputs[0] in self._output_names:
            return None
        consumers = self.consumers(operator.outputs[0])
        return consumers[0] if len(consumers) == 1 else None

    def input_specs(self, operator: Operator) -> tuple[TensorSpec, ...]:
        """Return the specs of an operator's inputs."""
        return tuple([self.tensors[tensor] for tensor in operator.inputs])

    def output_specs(self, operator: Operator) -> tuple[TensorSpec, ...]:
        """Return the specs of an operator's outputs."""
        return tuple([self.tensors[tensor] for tensor in operator.outputs])

    def with_weights(self, weights: Mapping[str, npt.NDArray[Any]]) -> Network:
        """Return this network with weights.

        Args:
            weights: A value for each of weight_specs and no other; converted to float32.

        Raises:
            ShapeError: A weight is missing, unknown, of another shape, or not finite.
        """
        return self._replaced(weights=_checked_weights(self.weight_specs, weights))

    def with_random_weights(self, rng: np.random.Generator) -> Network:
        """Return this network with He-normal kernels, small normal biases and alphas of 0.25.

        Source: He et al. 2015 ("MSRA" initialisation, fan-in); alpha as in the same paper's PReLU.
        """
        weights: dict[str, FloatArray] = {}
        for operator in self.operators:
            # A depthwise kernel ends with its output channels, every other one with what it reads of a window cell.
            window = slice(1, -1) if isinstance(operator, DepthwiseConv2d) else slice(1, None)
            for role, shape in operator.weight_shapes(self.input_specs(operator)).items():
                name = f"{operator.name}/{role}"
                if role == "alpha":
                    weights[name] = np.full(shape, 0.25, np.float32)
                    continue
                scale = 0.05 if role == "bias" else math.sqrt(2.0 / max(math.prod(shape[window]), 1))
                weights[name] = rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)
        return self._replaced(weights=MappingProxyType(weights))

    def without_weights(self) -> Network:
        """Return the structure alone."""
        return self if self.weights is None else self._replaced(weights=None)

    def cost(self) -> NetworkCost:
        """Return multiply-accumulates, parameters and bytes moved of one run."""
        costs = [operator_cost(self, operator) for operator in self.operators]
        return NetworkCost(
            macs=sum(cost.macs for cost in costs),
            parameters=sum(cost.parameters for cost in costs),
            bytes_moved=sum(cost.input_bytes + cost.output_bytes + cost.weight_bytes for cost in costs),
        )

    def to_json(self) -> str:
        """Return the structure (no weights) as compact JSON that from_json reads."""
        return structure_to_json(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Network:
        """Return the network that JSON text describes, without weights.

        Raises:
            NetworkError: The text is no JSON of a network, has an operator of unknown kind
                (UnknownOperatorError), or describes a network that is not valid.
        """
        structure = structure_from_json(text)
        try:
            return cls(structure.name, structure.inputs, structure.operators, structure.outputs)
        except (TypeError, ValueError, OverflowError) as err:
            raise NetworkError(f"not a network in JSON: an attribute has the wrong type: {err}") from err

    def _replaced(self, *, weights: Mapping[str, FloatArray] | None) -> Network:
        """Return a copy with other weights; the structure is known to be valid and is shared."""
        copy = object.__new__(Network)
        copy.__dict__.update(self.__dict__)
        copy.__dict__["weights"] = weights
        return copy


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _check_names(inputs: tuple[TensorSpec, ...], operators: Sequence[Operator], outputs: tuple[str, ...]) -> None:
    if not inputs or not operators or not outputs:
        raise NetworkError("a network needs at least one input, one operator and one output")
    known: set[str] = set()
    for spec in inputs:
        if spec.name in known:
            raise NetworkError(f"input name {spec.name!r} is given twice")
        _check_spec(spec)
        known.add(spec.name)
    for operator in operators:
        for tensor in operator.outputs:
            if tensor in known:
                raise NetworkError(f"tensor name {tensor!r} is given twice", operator=operator.name)
            known.add(tensor)
    for operator in operators:
        for tensor in operator.inputs:
            if tensor not in known:
                raise NetworkError(f"reads {tensor!r}, which nothing writes", operator=operator.name)
    for tensor in outputs:
        if tensor not in known:
            raise NetworkError(f"output {tensor!r} is written by no operator")


def _check_spec(spec: TensorSpec) -> None:
    if spec.dtype not in DTYPE_BYTES:
        raise NetworkError(f"tensor {spec.name!r} has dtype {spec.dtype!r}; known are {', '.join(DTYPE_BYTES)}")
    if not all(type(size) is int and size >= 1 for size in spec.shape):
        raise ShapeError(f"tensor {spec.name!r} has shape {spec.shape!r}; sizes must be whole and >= 1")


def _sorted_operators(inputs: tuple[TensorSpec, ...], operators: Sequence[Operator]) -> tuple[Operator, ...]:
    """Sort topologically by Kahn's method, always taking the ready operator that was given first."""
    written = {spec.name for spec in inputs}
    for operator in operators:
        if not all(tensor in written for tensor in operator.inputs):
            break
        written.update(operator.outputs)
    else:
        return tuple(operators)
    producer = {tensor: index for index, operator in enumerate(operators) for tensor in operator.outputs}
    needs = [{producer[tensor] for tensor in operator.inputs if tensor in producer} for operator in operators]
    feeds: list[list[int]] = [[] for _ in operators]
    for index, sources in enumerate(needs):
        for source in sources:
            feeds[source].append(index)
    missing = [len(sources) for sources in needs]
    ready = [index for index, count in enumerate(missing) if count == 0]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for follower in feeds[index]:
            missing[follower] -= 1
            if missing[follower] == 0:
                heapq.heappush(ready, follower)
    if len(order) < len(operators):
        raise CycleError(_ring(operators, needs, missing))
    return tuple(operators[index] for index in order)


def _ring(operators: Sequence[Operator], needs: list[set[int]], missing: list[int]) -> tuple[str, ...]:
    """Return the names on one ring: from any operator that never became ready, walk back until one repeats."""
    index = next(index for index, count in enumerate(missing) if count > 0)
    seen: dict[int, int] = {}
    path: list[int] = []
    while index not in seen:
        seen[index] = len(path)
        path.append(index)
        index = next(source for source in sorted(needs[index]) if missing[source] > 0)
    ring = [*path[seen[index] :], index]
    return tuple(operators[member].name for member in reversed(ring))


def _infer_tensors(inputs: Iterable[TensorSpec], operators: Iterable[Operator]) -> dict[str, TensorSpec]:
    tensors = {spec.name: spec for spec in inputs}
    for operator in operators:
        specs = tuple([tensors[tensor] for tensor in operator.inputs])
        if isinstance(operator, Opaque):
            for spec in operator.output_specs:
                _check_spec(spec)
                tensors[spec.name] = spec
            continue
        for tensor, shape in zip(operator.outputs, operator.infer(specs), strict=True):
            tensors[tensor] = TensorSpec(tensor, shape, specs[0].dtype)
    return tensors


def _checked_weights(
    specs: Mapping[str, TensorSpec], weights: Mapping[str, npt.NDArray[Any]]
) -> Mapping[str, FloatArray]:
    if specs.keys() != weights.keys():
        missing, unknown = sorted(specs.keys() - weights.keys()), sorted(weights.keys() - specs.keys())
        raise ShapeError(f"weights do not match: missing {missing[:4]}, unknown {unknown[:4]}")
    checked: dict[str, FloatArray] = {}
    for name, spec in specs.items():
        value = np.array(weights[name], dtype=np.float32, order="C")
        if value.shape != spec.shape:
            raise ShapeError(f"weight {name!r} has shape {value.shape}, not {spec.shape}")
        if not np.isfinite(value).all():
            raise ShapeError(f"weight {name!r} holds values that are not finite")
        value.flags.writeable = False
        checked[name] = value
    return MappingProxyType(checked)


def _same_weights(left: Mapping[str, FloatArray] | None, right: Mapping[str, FloatArray] | None) -> bool:
    if left is None or right is None:
        return left is right
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)
