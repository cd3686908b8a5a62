"""Packs: many kernels as independent branches of one network, told apart again in a runtime's profile.

Starting a process costs a hundred times what a kernel does, so one process measures tens of them.  A
branch is a kernel as it stands in a network: something small writes its inputs just before, so that
they are in the caches, and something small reads its outputs just after, so that the memory of one
branch serves the next.  Without the two, data come from main memory and memory-bound kernels take
three to five times what they do alone; with them, kernels of 20 to 200 us take 1.00 of what they do
alone in the median, and larger ones 1.04 (bench/profiling_rate.py, LiteRT 2.3 on a server's core).

Runtimes run the branches in the order of the file, but how many rows of a profile a kernel takes, and
what they are called, changes with the runtime, its version and the numeric type.  So nothing is
counted beforehand: a small operator that none of the kernels has, a marker, stands before and after
every kernel, and what lies between the two is the kernel's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain

from profiler.errors import MeasurementError, MergedProfileError
from profiler.measure.references import reference_workloads
from profiler.network import (
    DepthToSpace,
    MaxPool2d,
    Mean,
    Network,
    Operator,
    ResizeBilinear,
    TensorSpec,
    Transpose,
    TransposeConv2d,
)
from profiler.runtimes.operator_profile import OperatorTime
from profiler.workload import Dtype, Workload

MAX_WEIGHT_BYTES = 32 * 2**20
"""Most weights of a pack: they are drawn, sent and loaded in one file."""

MAX_INPUT_BYTES = 64 * 2**20
"""Most inputs of a pack: they are all in memory at once, and are filled before the first run."""

_BYTES_PER_VALUE = 4
_MARKER_INPUT = TensorSpec("marker", (1, 2, 2, 4))

_MARKERS: tuple[tuple[Operator, tuple[str, ...]], ...] = (
    (DepthToSpace("", (_MARKER_INPUT.name,), 2), ("depthtospace",)),
    (ResizeBilinear("", (_MARKER_INPUT.name,), (4, 4)), ("resizebilinear",)),
    (MaxPool2d("", (_MARKER_INPUT.name,)), ("maxpool",)),
    (TransposeConv2d("", (_MARKER_INPUT.name,), 4), ("deconvolution", "transposeconv")),
)
"""Operators that may be the marker, rarest among kernels first, and how rows of them begin in small letters alone.

XNNPACK takes all of them in both numeric types: what a delegate leaves to the interpreter would run out of order.
"""

_MAP_RANK = 4
"""Of feature maps; vectors are small enough to come from the network's inputs and go to its outputs."""

_INTERPRETER_ROW = re.compile(r"[A-Z][A-Z0-9_]*")
"""Type of a row of the interpreter itself, such as SOFTMAX; those of delegates are words: Softmax (NC, F32)."""


@dataclass(frozen=True)
class PackReading:
    """What one profiled block of a pack says.

    Attributes:
        latencies_ms: One latency a workload, in order; None where all its operators were below the
            microsecond that profilers count in, or the runtime left them out.
        references_ms: One latency a reference kernel; empty when the pack has none.
    """

    latencies_ms: tuple[float | None, ...]
    references_ms: tuple[float, ...]


@dataclass(frozen=True)
class Pack:
    """Workloads that run as branches of one network.

    Args:
        members: The workloads, at least one, all of one numeric type.
        references: Whether the reference kernels are branches as well.

    Raises:
        MeasurementError: There are no members, their numeric types differ, or they leave no operator that
            could stand between them.
    """

    members: tuple[Workload, ...]
    references: bool = True

    def __post_init__(self) -> None:
        if len({member.dtype for member in self.members}) != 1:
            raise MeasurementError("a pack has at least one workload, and all of one numeric type")
        used = {operator.kind for branch in self._branches for operator in branch.operators}
        if all(marker.kind in used for marker, _ in _MARKERS):
            raise MeasurementError("the kernels leave no operator that could stand between them")

    @cached_property
    def workload(self) -> Workload:
        """The branches with all that stands around them, as one workload."""
        assembly = _Assembly(self._marker[0])
        for branch in self._branches:
            assembly.add(branch)
        return Workload(assembly.network(), self.members[0].dtype, kind="pack")

    def read(self, operators: Sequence[OperatorTime]) -> PackReading:
        """Return the latency of each workload from the rows of the pack's profile.

        Raises:
            MergedProfileError: The profile does not show operators.
            MeasurementError: The rows cannot be told apart, or the references have no latency.
        """
        slots = self._slots(operators)
        latencies_ms = [_latency_ms(rows) for rows in slots]
        members, references = latencies_ms[: len(self.members)], latencies_ms[len(self.members) :]
        known_ms = tuple(latency_ms for latency_ms in references if latency_ms is not None)
        if len(known_ms) < len(references):
            raise MeasurementError("the reference kernels in the pack have no latency")
        return PackReading(tuple(members), known_ms)

    @cached_property
    def _branches(self) -> tuple[Network, ...]:
        """The members' networks, then those of the references."""
        references = reference_workloads() if self.references else ()
        return tuple(workload.network for workload in (*self.members, *references))

    @cached_property
    def _marker(self) -> tuple[Operator, tuple[str, ...]]:
        used = {operator.kind for branch in self._branches for operator in branch.operators}
        return next((marker, names) for marker, names in _MARKERS if marker.kind not in used)

    def _slots(self, operators: Sequence[OperatorTime]) -> list[list[OperatorTime]]:
        """Return the rows of each branch."""
        places = [index for index, row in enumerate(operators) if _letters(row.kind).startswith(self._marker[1])]
        if not places:
            raise MergedProfileError("the runtime's profile does not show the operators of the network")
        if len(places) != 2 * len(self._branches):
            raise MeasurementError(f"{len(places)} of {2 * len(self._branches)} markers are in the profile")
        slots = [list(operators[start + 1 : end]) for start, end in zip(places[::2], places[1::2], strict=True)]
        if not _INTERPRETER_ROW.fullmatch(operators[places[0]].kind):
            self._place_strays(slots, [*operators[: places[0]], *operators[places[-1] + 1 :]])
        runs = operators[places[0]].runs
        if shared := next((row for row in chain.from_iterable(slots) if row.runs != runs), None):
            # Tools join operators of one name; XNNPACK numbers its own anew in each part of a network.
            raise MeasurementError(f"row {shared.name!r} is of {shared.runs} calls, and markers are of {runs}")
        return slots

    def _place_strays(self, slots: list[list[OperatorTime]], outside: Sequence[OperatorTime]) -> None:
        """Give the kernels that a delegate left to the interpreter their rows.

        They run before or after all that the delegate takes, in the order of the file.
        """
        strays = [row for row in outside if _INTERPRETER_ROW.fullmatch(row.kind)]
        empty = [slot for slot in slots if not slot]
        if len(self.members) == 1:
            slots[0] += strays
        elif len(strays) == len(empty):
            for slot, row in zip(empty, strays, strict=True):
                slot.append(row)
        elif strays:
            raise MeasurementError(f"{len(strays)} rows outside of the delegate and {len(empty)} kernels without any")


def cut_packs(workloads: Sequence[Workload], most: int) -> Iterator[tuple[Workload, ...]]:
    """Cut workloads, in the order given, into groups that may each be a pack.

    Args:
        workloads: What to measure; packs of each numeric type are cut apart.
        most: Most workloads of a pack.

    Yields:
        Groups of 1 to `most` workloads within the limits of memory (a larger workload is alone in its
        group), in order of their first members.
    """
    groups: list[_Group] = []
    last: dict[Dtype, _Group] = {}
    for workload in workloads:
        group = last.get(workload.dtype)
        if group is None or not group.has_room(workload, most):
            group = last[workload.dtype] = _Group()
            groups.append(group)
        group.add(workload)
    yield from (tuple(group.members) for group in groups)


@dataclass
class _Group:
    members: list[Workload] = field(default_factory=list)
    weight_bytes: int = 0
    inputs: dict[tuple[int, ...], int] = field(default_factory=dict)

    def has_room(self, workload: Workload, most: int) -> bool:
        weight_bytes, inputs = _sizes_bytes(workload.network)
        return (
            len(self.members) < most
            and self.weight_bytes + weight_bytes <= MAX_WEIGHT_BYTES
            and sum((self.inputs | inputs).values()) <= MAX_INPUT_BYTES
        )

    def add(self, workload: Workload) -> None:
        weight_bytes, inputs = _sizes_bytes(workload.network)
        self.members.append(workload)
        self.weight_bytes += weight_bytes
        self.inputs |= inputs


def _sizes_bytes(network: Network) -> tuple[int, dict[tuple[int, ...], int]]:
    """Return the size of all weights, and of each shape of input, in float32."""
    weights = sum(math.prod(spec.shape) for spec in network.weight_specs.values())
    inputs = {spec.shape: _BYTES_PER_VALUE * math.prod(spec.shape) for spec in network.inputs}
    return _BYTES_PER_VALUE * weights, inputs


class _Assembly:
    """A pack's network under construction."""

    def __init__(self, marker: Operator) -> None:
        self._marker = marker
        self._inputs = {_MARKER_INPUT.shape: _MARKER_INPUT}
        self._operators: list[Operator] = []
        self._outputs: list[str] = []
        self._branches = 0
        self._markers = 0

    def add(self, branch: Network) -> None:
        """Add a kernel: what writes its inputs, a marker, its operators, a marker, what reads its outputs."""
        prefix = f"b{self._branches}/"
        self._branches += 1
        names = {spec.name: self._written(spec, prefix) for spec in branch.inputs}
        self._mark()
        for operator in branch.operators:
            renamed = replace(
                operator, name=prefix + operator.name, inputs=tuple(map(names.__getitem__, operator.inputs))
            )
            names.update(zip(operator.outputs, renamed.outputs, strict=True))
            self._operators.append(renamed)
        self._mark()
        self._outputs += [self._read(names[name], branch.tensors[name]) for name in branch.outputs]

    def network(self) -> Network:
        return Network("pack", list(self._inputs.values()), self._operators, self._outputs)

    def _written(self, spec: TensorSpec, prefix: str) -> str:
        """Return a tensor that an operator writes; those of one shape are written from one input.

        The operator swaps height and width: nothing fuses with it, no runtime leaves it out, and XNNPACK has it
        in both numeric types.
        """
        if len(spec.shape) != _MAP_RANK:
            return self._input(spec.shape)
        batch, height, width, channels = spec.shape
        source = self._input((batch, width, height, channels))
        self._operators.append(Transpose(f"{prefix}in/{spec.name}", (source,), (0, 2, 1, 3)))
        return self._operators[-1].name

    def _input(self, shape: tuple[int, ...]) -> str:
        return self._inputs.setdefault(shape, TensorSpec(f"x{len(self._inputs)}", shape)).name

    def _read(self, tensor: str, spec: TensorSpec) -> str:
        """Return the small outcome of reading a map; what is small already is an outcome itself."""
        if len(spec.shape) != _MAP_RANK:
            return tensor
        self._operators.append(Mean(f"{tensor}/out", (tensor,), (1, 2)))
        return self._operators[-1].name

    def _mark(self) -> None:
        marker = replace(self._marker, name=f"marker/{self._markers}")
        self._markers += 1
        self._operators.append(marker)
        self._outputs.append(marker.name)


def _latency_ms(rows: Sequence[OperatorTime]) -> float | None:
    """Return the sum of the rows; None when none of them was long enough to be counted."""
    return sum(row.mean_ms or 0.0 for row in rows) or None


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text)).lower()
