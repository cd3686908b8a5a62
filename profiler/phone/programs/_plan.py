"""What a runtime makes of a model file: steps in execution order, partitions of its delegate, rows of its profile."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from profiler.network import Network, Operator
from profiler.phone.soc import HIDING_DELEGATES, Delegate, Placement, Soc, Step, StepTable, step_latencies_s, steps_of

_INTERPRETER_TYPE = re.compile(r"[A-Z][A-Z0-9_]*")
"""Types of the runtime's own kernels, such as SOFTMAX; delegates' are words."""
_MOST_LAWS = 64
_MOST_PLANS = 32
_BYTES_OF = {True: 1, False: 4}


@dataclass(frozen=True)
class Partition:
    """Steps that run one after the other by one executor.

    Attributes:
        steps: Their places in the plan's order.
        delegated: Whether they are the delegate's.
    """

    steps: range
    delegated: bool


@dataclass
class Plan:
    """A model as a runtime executes it with one delegate.

    Attributes:
        delegate: Who runs it.
        steps: In execution order.
        partitions: Which of them belong together.
        nodes: Nodes of the model's graph before a delegate took them.
        input_bytes: Of all inputs.
        weight_bytes: Of all weights.
        arena_bytes: Of the largest step's inputs and outputs.
        output_name: Name of its last tensor.
    """

    delegate: Delegate
    steps: tuple[Step, ...]
    partitions: tuple[Partition, ...]
    nodes: int
    input_bytes: int
    weight_bytes: int
    arena_bytes: int
    output_name: str
    _laws: OrderedDict[object, npt.NDArray[np.float64]] = field(default_factory=OrderedDict, repr=False)

    @cached_property
    def table(self) -> StepTable:
        """The steps' numbers."""
        return StepTable.of(self.steps)

    @cached_property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """Name and type of each row of a run's profile, in order; one for each step unless the delegate hides them."""
        if self.delegate in HIDING_DELEGATES:
            return ((f"[{self.output_name}]:{self.nodes}", HIDING_DELEGATES[self.delegate]),)
        rows = []
        for partition in self.partitions:
            for place, step in enumerate(partition.steps):
                kind = self.steps[step].node_type
                # XNNPACK numbers its operators anew in every partition.
                own = f"Delegate/{kind}:{place}" if partition.delegated else f"[{self._outputs(step)}]:{step}"
                rows.append((own, kind))
        return tuple(rows)

    @cached_property
    def delegated_rows(self) -> npt.NDArray[np.bool_]:
        """Whether each row is XNNPACK's, which cuts its times to whole microseconds."""
        if self.delegate in HIDING_DELEGATES:
            return np.zeros(1, dtype=bool)
        return np.array([partition.delegated for partition in self.partitions for _ in partition.steps], dtype=bool)

    @property
    def kernels(self) -> int:
        """Partitions that the delegate executes."""
        return sum(partition.delegated for partition in self.partitions)

    @property
    def delegated_nodes(self) -> int:
        """Nodes of the graph that the delegate took, with those that it joined."""
        left = sum(len(partition.steps) for partition in self.partitions if not partition.delegated)
        return self.nodes - left if self.kernels else 0

    def latencies_s(self, soc: Soc, placement: Placement, shares: Mapping[str, float]) -> npt.NDArray[np.float64]:
        """Return the latency of each step at clusters' clocks, free of noise, in s.  Shape: (n_steps,)."""
        key = (placement, tuple(shares.items()))
        if key not in self._laws:
            self._laws[key] = step_latencies_s(soc, self.table, placement, shares)
            if len(self._laws) > _MOST_LAWS:
                self._laws.popitem(last=False)
        return self._laws[key]

    def _outputs(self, step: int) -> str:
        return ", ".join(self.steps[step].outputs)


class PlanShelf:
    """Plans of the models that were seen last, by content: the same file is run many times."""

    def __init__(self) -> None:
        self._plans: OrderedDict[tuple[bytes, Delegate], Plan] = OrderedDict()

    def plan(self, content: bytes, delegate: Delegate, read: Callable[[bytes], tuple[Network, bool]]) -> Plan:
        """Return the plan of a model file.

        Args:
            content: The file.
            delegate: Who runs it.
            read: Returns the network of a file, and whether it computes in int8; its errors come through.
        """
        key = (hashlib.sha256(content).digest(), delegate)
        if key not in self._plans:
            network, int8 = read(content)
            self._plans[key] = _plan(network, delegate, int8=int8)
            if len(self._plans) > _MOST_PLANS:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return self._plans[key]


def _plan(network: Network, delegate: Delegate, *, int8: bool) -> Plan:
    steps = steps_of(network, delegate=delegate, int8=int8)
    groups = _partitions(network, steps, delegate)
    ordered = tuple(step for _, group in groups for step in group)
    partitions, start = [], 0
    for delegated, group in groups:
        partitions.append(Partition(range(start, start + len(group)), delegated))
        start += len(group)
    return Plan(
        delegate=delegate,
        steps=ordered,
        partitions=tuple(partitions),
        nodes=len(steps_of(network, delegate="builtin", int8=int8)),
        input_bytes=sum(spec.elements for spec in network.inputs) * _BYTES_OF[int8],
        weight_bytes=sum(step.weight_bytes for step in steps),
        arena_bytes=max((step.read_bytes + step.written_bytes + step.copied_bytes for step in steps), default=0),
        output_name=network.outputs[-1],
    )


def _partitions(network: Network, steps: Sequence[Step], delegate: Delegate) -> list[tuple[bool, list[Step]]]:
    """Return the steps in groups of one executor each, as TensorFlow Lite cuts a graph.

    A group takes every step of its executor whose inputs are there, also those behind steps of the other one.
    Source: tflite/graph_info.cc, PartitionGraphIntoIndependentNodeSubsets.
    """
    if delegate != "xnnpack":
        return [(delegate in HIDING_DELEGATES, list(steps))]
    by_name = {operator.name: operator for operator in network.operators}
    ready = {spec.name for spec in network.inputs}
    left, groups = list(steps), []
    while left:
        group: list[Step] = []
        rest: list[Step] = []
        delegated: bool | None = None
        for step in left:
            own = not _INTERPRETER_TYPE.fullmatch(step.node_type)
            if delegated in (None, own) and _inputs(by_name, step) <= ready:
                delegated = own
                group.append(step)
                ready |= set(step.outputs)
            else:
                rest.append(step)
        groups.append((bool(delegated), group))
        left = rest
    return groups


def _inputs(by_name: Mapping[str, Operator], step: Step) -> set[str]:
    """Return what a step reads of what others write."""
    members = [by_name[name] for name in step.operators]
    return {name for member in members for name in member.inputs} - {name for one in members for name in one.outputs}
