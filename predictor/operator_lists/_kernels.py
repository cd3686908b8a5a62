"""Operator lists as arrays: rows are fused to kernels, and networks become counts of the kernels they share.

A row is (op, h, w, cin, oh, ow, cout, kernel, stride), in execution order; for concat and split the kernel column is
the number of parts, for squeeze-excite the width in the middle. An activation is a row of its own, right after what it
is applied to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CONVOLUTIONS = ("first", "conv1", "conv3", "convn")
"""First layers read an image of a few channels, which no runtime's inner loop fits; the others go by their window."""

KINDS = (
    *CONVOLUTIONS, "depthwise", "dense", "max_pool", "avg_pool", "global_pool", "add", "concat", "split", "shuffle",
    "squeeze_excite", "activation", "normalised", "hard_swish", "unknown",
)  # fmt: skip
KIND_INDEX: Mapping[str, int] = MappingProxyType({kind: index for index, kind in enumerate(KINDS)})

IMAGE_CHANNELS = 4
"""A convolution of at most this many input channels is a first layer."""

_KIND_OF_OPERATOR: Mapping[str, str] = MappingProxyType(
    {
        "dwconv": "depthwise", "fc": "dense", "maxpool": "max_pool", "avgpool": "avg_pool", "gap": "global_pool",
        "add": "add", "concat": "concat", "split": "split", "shuffle": "shuffle", "se": "squeeze_excite",
        "relu": "activation", "relu6": "activation", "hswish": "hard_swish",
    }
)  # fmt: skip
_FREE_ACTIVATIONS = frozenset({"relu", "relu6"})
_ABSORBING = frozenset({"conv", "dwconv", "fc", "add"})
"""Operators that every runtime computes together with a ReLU after them."""

ROW_LENGTH = 9

Row = Sequence[Any]


@dataclass(frozen=True, eq=False)
class KernelTable:
    """Different kernels, one an entry of each array; lengths are in elements.

    Attributes:
        kind: Index into KINDS. Shape of this and all below: (n,).
        operator: The row's own word for the operator, which names it where its kind is unknown.
        height: Of the input.
        width: Of the input.
        channels: Of the input.
        out_height: Of the output.
        out_width: Of the output.
        filters: Channels of the output.
        window: Side of the window, number of parts, or width in the middle of a squeeze-excite.
        stride: Step of the window.
    """

    kind: IntArray
    operator: npt.NDArray[np.str_]
    height: FloatArray
    width: FloatArray
    channels: FloatArray
    out_height: FloatArray
    out_width: FloatArray
    filters: FloatArray
    window: FloatArray
    stride: FloatArray

    def __len__(self) -> int:
        return len(self.kind)

    def selected(self, entries: IntArray) -> KernelTable:
        """Return some of the kernels."""
        return KernelTable(*(getattr(self, field.name)[entries] for field in fields(self)))

    def is_kind(self, *kinds: str) -> npt.NDArray[np.bool_]:
        """Return which kernels are of one of these kinds. Shape: (n,)."""
        return np.isin(self.kind, [KIND_INDEX[kind] for kind in kinds])


@dataclass(frozen=True, eq=False)
class OperatorLists:
    """Networks as counts of kernels.

    Attributes:
        kernels: All different kernels of the networks.
        counts: How often each network executes each kernel. Shape: (n_networks, len(kernels)).
    """

    kernels: KernelTable
    counts: csr_array

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    @classmethod
    def of(cls, networks: Iterable[Sequence[Row]]) -> OperatorLists:
        """Read the rows of networks.

        Args:
            networks: Rows of each network, in execution order.

        Raises:
            ValueError: A row is not an operator's name and eight finite numbers, or a network has no rows.
        """
        positions: dict[tuple[Any, ...], int] = {}
        codes: list[int] = []
        lengths = []
        for rows in networks:
            codes += [positions.setdefault(row, len(positions)) for row in map(tuple, rows)]
            lengths.append(len(rows))
        if 0 in lengths:
            raise ValueError(f"network {lengths.index(0) + 1} has no operators")
        operators, numbers = _columns(positions)
        executed = np.array(codes, dtype=np.int64)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        kept = ~_fused_away(operators, executed, owner)
        normalised = _normalised(operators, executed, owner)
        used, column = np.unique(2 * executed[kept] + normalised[kept], return_inverse=True)
        counts = csr_array((np.ones(len(column)), (owner[kept], column)), shape=(len(lengths), len(used)))
        return cls(_table(operators[used // 2], numbers[used // 2], used % 2 == 1), counts)

    def selected(self, networks: npt.NDArray[np.bool_] | IntArray) -> OperatorLists:
        """Return some of the networks, by mask or number, with the kernels that they execute."""
        counts = csr_array(self.counts[networks])
        used, column = np.unique(counts.indices, return_inverse=True)
        narrow = csr_array((counts.data, column, counts.indptr), shape=(counts.shape[0], len(used)))
        return OperatorLists(self.kernels.selected(used.astype(np.int64)), narrow)


def _columns(rows: Iterable[tuple[Any, ...]]) -> tuple[npt.NDArray[np.str_], FloatArray]:
    """Return operators' names and their numbers, shapes (n,) and (n, 8)."""
    rows = list(rows)
    for row in rows:
        if len(row) != ROW_LENGTH or not isinstance(row[0], str):
            raise ValueError(f"{list(row)!r} is not an operator's name and {ROW_LENGTH - 1} numbers")
    operators = np.array([row[0] for row in rows], dtype=np.str_)
    numbers = np.array([row[1:] for row in rows], dtype=np.float64).reshape(len(rows), ROW_LENGTH - 1)
    if not (np.isfinite(numbers) & (numbers >= 0)).all():
        wrong = int(np.flatnonzero(~(np.isfinite(numbers) & (numbers >= 0)).all(axis=1))[0])
        raise ValueError(f"{list(rows[wrong])!r} has a size that is negative or no number")
    return operators, numbers


def _fused_away(operators: npt.NDArray[np.str_], executed: IntArray, owner: IntArray) -> npt.NDArray[np.bool_]:
    """Return which executed rows cost nothing of their own: a ReLU right after what absorbs it. Shape: (n,)."""
    return _follows(operators, executed, owner, _FREE_ACTIVATIONS, _ABSORBING)


def _normalised(operators: npt.NDArray[np.str_], executed: IntArray, owner: IntArray) -> npt.NDArray[np.bool_]:
    """Return which executed rows are a ReLU that a batch norm before it keeps from being fused. Shape: (n,).

    A ReLU alone comes after a squeeze-excite; after anything else that absorbs none, such as a concat, the published
    networks have a batch norm in front of it that cannot be folded, and it does not show as a row.
    """
    free = np.isin(operators, list(_FREE_ACTIVATIONS))[executed]
    others = _ABSORBING | {"se"}
    return np.asarray(free & ~_follows(operators, executed, owner, _FREE_ACTIVATIONS, others))


def _follows(
    operators: npt.NDArray[np.str_],
    executed: IntArray,
    owner: IntArray,
    second: frozenset[str],
    first: frozenset[str],
) -> npt.NDArray[np.bool_]:
    """Return which executed rows are one of `second` right after one of `first` in the same network."""
    seconds = np.isin(operators, list(second))[executed]
    firsts = np.isin(operators, list(first))[executed]
    follows = np.zeros(len(executed), dtype=np.bool_)
    follows[1:] = seconds[1:] & firsts[:-1] & (owner[1:] == owner[:-1])
    return follows


def _table(operators: npt.NDArray[np.str_], numbers: FloatArray, normalised: npt.NDArray[np.bool_]) -> KernelTable:
    height, width, channels, out_height, out_width, filters, window, stride = numbers.T
    unknown = KIND_INDEX["unknown"]
    kind = np.full(len(operators), unknown)
    for operator, name in _KIND_OF_OPERATOR.items():
        kind[operators == operator] = KIND_INDEX[name]
    kind[normalised] = KIND_INDEX["normalised"]
    convolution = operators == "conv"
    by_window = np.select([window <= 1, window == 3], [KIND_INDEX["conv1"], KIND_INDEX["conv3"]], KIND_INDEX["convn"])
    kind[convolution] = np.where(channels <= IMAGE_CHANNELS, KIND_INDEX["first"], by_window)[convolution]
    return KernelTable(kind, operators, height, width, channels, out_height, out_width, filters, window, stride)
