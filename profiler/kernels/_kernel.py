"""A kernel: what a runtime runs as one step, kept as a small network with canonical names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from profiler.network import Network, Operator, TensorSpec

ACTIVATION_KINDS = frozenset({"relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid", "prelu"})
"""Kinds that map every element by itself; they may follow an operator in one kernel."""


@dataclass(frozen=True, eq=False, repr=False)
class Kernel:
    """One fused operator: a network of one operator and those that a runtime folds into it.

    Two kernels are equal when their structure and shapes are, whatever their tensors were called in the
    networks they came from, so that a latency is looked up by configuration.

    Attributes:
        network: The kernel's operators as a network of their own, without weights.
    """

    network: Network

    @cached_property
    def key(self) -> str:
        """Content key of the configuration; equal configurations have equal keys."""
        return self.network.key

    @cached_property
    def kind(self) -> str:
        """Kinds of the operators in order, such as "conv2d+relu6"."""
        return "+".join(operator.kind for operator in self.network.operators)

    @cached_property
    def anchor(self) -> Operator:
        """The operator that does the kernel's main work: the first that neither pads nor activates."""
        operators = self.network.operators
        for operator in operators:
            if operator.kind != "pad" and operator.kind not in ACTIVATION_KINDS:
                return operator
        return operators[0]

    @property
    def family(self) -> str:
        """Kind of the anchor: kernels of one family share a cost law."""
        return self.anchor.kind

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the tensors that the kernel reads, weights apart."""
        return tuple(spec.shape for spec in self.network.inputs)

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the tensors that the kernel writes."""
        return tuple(self.network.tensors[name].shape for name in self.network.outputs)

    def describe(self) -> str:
        """Return one line for a person, such as "conv2d 1x56x56x24 -> 48 k3x3 s2 +relu6"."""
        anchor = self.anchor
        name = getattr(anchor, "op_type", "") if anchor.kind == "opaque" else ""
        parts = [f"{anchor.kind} {name}".strip(), ", ".join(map(_by_x, self.input_shapes))]
        parts += ["->", _result(self), *_attributes(anchor)]
        for operator in self.network.operators:
            if operator is not anchor:
                parts.append(f"{operator.kind}+" if operator.kind == "pad" else f"+{operator.kind}")
        return " ".join(part for part in parts if part)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kernel) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Kernel({self.describe()})"


def isolate(network: Network, chain: tuple[Operator, ...]) -> Kernel:
    """Cut operators out of a network as a kernel with canonical names.

    Args:
        network: Where the operators are.
        chain: Operators of the kernel in execution order; each after the first reads the one before it.

    Returns:
        The kernel. A tensor that is read twice is one input, and shapes stay as they were.
    """
    names: dict[str, str] = {}
    inputs: list[TensorSpec] = []
    operators: list[Operator] = []
    for position, operator in enumerate(chain):
        for tensor in operator.inputs:
            if tensor not in names:
                names[tensor] = f"x{len(inputs)}"
                spec = network.tensors[tensor]
                inputs.append(TensorSpec(names[tensor], spec.shape, spec.dtype))
        renamed = rename(operator, f"k{position}", tuple(names[tensor] for tensor in operator.inputs))
        names.update(zip(operator.outputs, renamed.outputs, strict=True))
        operators.append(renamed)
    return Kernel(Network("kernel", inputs, operators, operators[-1].outputs))


def rename(operator: Operator, name: str, inputs: tuple[str, ...]) -> Operator:
    """Return the operator under another name, reading other tensors, with its attributes unchanged."""
    return replace(operator, name=name, inputs=inputs)


def _by_x(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _result(kernel: Kernel) -> str:
    shape = kernel.output_shapes[0]
    rank_kept = len(shape) == len(kernel.input_shapes[0]) == 4
    result = str(shape[-1]) if rank_kept and kernel.family in {"conv2d", "depthwise_conv2d"} else _by_x(shape)
    count = len(kernel.output_shapes)
    return f"{count} x {result}" if count > 1 else result


def _attributes(operator: Operator) -> list[str]:
    """Describe what shapes alone do not tell."""
    shown = []
    if kernel := getattr(operator, "kernel", None):
        shown.append(f"k{_by_x(kernel)}")
    for letter, attribute in (("s", "stride"), ("d", "dilation")):
        value = getattr(operator, attribute, (1, 1))
        if value != (1, 1):
            shown.append(f"{letter}{value[0]}" if value[0] == value[1] else f"{letter}{_by_x(value)}")
    if (groups := getattr(operator, "groups", 1)) != 1:
        shown.append(f"g{groups}")
    return shown
