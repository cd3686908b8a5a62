"""One step of a network's execution in physical numbers: what moves and how often an inner loop turns."""

from __future__ import annotations

from dataclasses import dataclass

from profiler.phone.soc._schema import RoutineName


@dataclass(frozen=True, slots=True)
class Step:
    """What a runtime executes as one node.

    The work is `groups` times a grid of `rows` x `columns` results that take `depth` turns of the inner loop each.

    Attributes:
        node_type: What the runtime's profile calls it, such as "Convolution (NHWC, F32) IGEMM".
        operators: Names of the network's operators that it executes, in order.
        outputs: Names of the tensors that it writes.
        routine: Its inner loop.
        groups: Independent repetitions of the grid.
        rows: Results along the axis that is not vectorised: pixels.
        columns: Results along the vectorised axis: channels.
        depth: Turns of the inner loop for each result.
        read_bytes: Activations read.
        weight_bytes: Weights read.
        written_bytes: Activations written.
        copied_bytes: Activations laid out anew before the main loop, such as the patches of a convolution.
        bursts: Contiguous runs that a copy is made of.
        int8: Whether it computes in int8.
    """

    node_type: str
    operators: tuple[str, ...]
    outputs: tuple[str, ...]
    routine: RoutineName
    groups: int
    rows: int
    columns: int
    depth: int
    read_bytes: int
    weight_bytes: int
    written_bytes: int
    copied_bytes: int
    bursts: int
    int8: bool
