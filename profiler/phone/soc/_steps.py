"""From a network to the steps that a runtime executes, in physical numbers."""

from __future__ import annotations

from profiler.errors import NetworkError
from profiler.network import Network, Operator
from profiler.phone.soc._fusion import nodes_of
from profiler.phone.soc._loops import LOOPS, Anchor, Loop
from profiler.phone.soc._node_types import HIDING_DELEGATES, node_type
from profiler.phone.soc._placement import Delegate
from profiler.phone.soc._step import Step

_FLOAT_BYTES, _INT8_BYTES, _BIAS_BYTES = 4, 1, 4


def steps_of(network: Network, *, delegate: Delegate, int8: bool = False) -> tuple[Step, ...]:
    """Return what a runtime executes for a network, in order.

    Args:
        network: The network.
        delegate: Who runs it: delegates join operators differently.
        int8: Whether the model is quantized.

    Raises:
        NetworkError: It has an operator that pocketnas does not know, which no law can tell the cost of.
    """
    steps: list[Step] = []
    for members in nodes_of(network, delegate):
        anchor = next(member for member in members if member.kind != "pad" or len(members) == 1)
        if anchor.kind not in LOOPS:
            raise NetworkError(f"an emulated phone does not know the operator {anchor.kind!r}", operator=anchor.name)
        inputs = tuple(network.tensors[name] for name in (*members[0].inputs, *anchor.inputs[1:]))
        outputs = tuple(network.tensors[name] for name in anchor.outputs)
        loops = LOOPS[anchor.kind](Anchor(anchor, inputs, outputs))
        if delegate in HIDING_DELEGATES:  # their compilers leave no trace of a view
            loops = tuple(loop for loop in loops if loop.routine != "view")
        steps += [
            _step(loop, members, loops[index + 1 :] == (), delegate, int8=int8) for index, loop in enumerate(loops)
        ]
    return tuple(steps)


def _step(loop: Loop, members: tuple[Operator, ...], is_last: bool, delegate: Delegate, *, int8: bool) -> Step:
    element_bytes = _INT8_BYTES if int8 else _FLOAT_BYTES
    return Step(
        node_type=node_type(loop.node, delegate, int8=int8),
        operators=tuple(member.name for member in members),
        outputs=members[-1].outputs if is_last else (f"{members[-1].name}/{loop.node}",),
        routine=loop.routine,
        groups=loop.groups,
        rows=loop.rows,
        columns=loop.columns,
        depth=loop.depth,
        read_bytes=loop.read * element_bytes,
        weight_bytes=loop.weights * element_bytes + loop.biases * _BIAS_BYTES,
        written_bytes=loop.written * element_bytes,
        copied_bytes=loop.copied * element_bytes,
        bursts=loop.bursts,
        int8=int8,
    )
