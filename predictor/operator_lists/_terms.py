"""What a kernel's cost is made of: amounts of work in physical terms, each of which costs something or nothing.

Terms come in groups. What a device pays for beyond the plain amounts is its own, so a form is a choice of groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from predictor.operator_lists._kernels import CONVOLUTIONS, KINDS, FloatArray, KernelTable

Mask = npt.NDArray[np.bool_]

LANES = 4
"""Channels that GPUs and vector units move together; a layer of 5 costs as much as one of 8."""

_TILES = (8, 16, 32)
"""Channels that accelerators compute together."""

_DENSE_IN_CACHE = 2**18
"""Weights of a dense layer beyond this come from memory at every run, since each is used once."""

_CACHE_ELEMENTS = (2**17, 2**18, 2**19, 2**20)
"""Sizes, in elements, from which maps or weights may no longer stay on the chip."""

_LARGE_MAP = 2**18
_SOFT_MAPS, _SOFT_WEIGHTS = (2**17, 2**19), (2**17, 2**20)
"""Sizes, in elements, at which work is half way from one speed to another."""

_INNER = ("conv1", "conv3", "convn")
MEMORY_BOUND = ("add", "concat", "split", "shuffle", "activation", "normalised", "hard_swish")
_READS_TWICE = ("add",)
_POOLS = ("max_pool", "avg_pool")

Term = tuple[Mask, FloatArray]

FORMS: tuple[frozenset[str], ...] = (
    frozenset({"lanes", "serial"}),
    frozenset({"lanes", "serial", "tiles"}),
    frozenset({"windows", "cache"}),
    frozenset({"windows", "cache", "maps"}),
    frozenset({"lanes", "serial", "windows", "cache"}),
    frozenset({"lanes", "serial", "tiles", "windows", "cache", "maps", "strides"}),
)
"""What a device may pay for beyond the plain amounts.

lanes: channels are padded. serial: a loop over the depth that no number of cores shortens, so that a map too small to
fill them takes as long. tiles: channels are padded to wider units. windows: each size of window has its own inner loop.
cache: maps and weights that leave the chip. maps: work is slower on large maps. strides: depthwise windows that step.
"""

READINGS = ("apart", "at_least")
"""What a hard swish costs beside a ReLU that is a pass of its own: whatever it costs, or at least as much."""


def physical_terms(kernels: KernelTable) -> FloatArray:
    """Return the amounts of work of kernels, those of all groups side by side.

    Args:
        kernels: The kernels.

    Returns:
        Amounts, all >= 0, in elements or multiply-accumulates. Shape: (len(kernels), n_terms).
    """
    terms = np.zeros((len(kernels), len(_group_of_columns())))
    column = 0
    for generate in _GROUPS.values():
        for mask, amount in generate(kernels):
            terms[mask, column] = amount[mask]
            column += 1
    return terms


def columns_of(form: frozenset[str], reading: str) -> Mask:
    """Return which columns of `physical_terms` a form with a reading has. Shape: (n_terms,)."""
    return np.isin(_group_of_columns(), ["plain", reading, *form])


@cache
def _group_of_columns() -> tuple[str, ...]:
    none = KernelTable(np.zeros(0, np.int64), np.zeros(0, np.str_), *(np.zeros(0) for _ in range(8)))
    return tuple(group for group, generate in _GROUPS.items() for _ in generate(none))


def macs(kernels: KernelTable) -> FloatArray:
    """Return multiply-accumulates; of a pool or depthwise window one a cell. Shape: (len(kernels),)."""
    per_output = np.where(kernels.is_kind(*CONVOLUTIONS, "dense"), kernels.channels, 1.0)
    return np.asarray(output_elements(kernels) * per_output * np.maximum(_windowed(kernels), 1.0) ** 2)


def input_elements(kernels: KernelTable) -> FloatArray:
    """Return elements read. Shape: (len(kernels),)."""
    once = kernels.height * kernels.width * kernels.channels
    return np.where(kernels.is_kind(*_READS_TWICE), 2.0 * once, once)


def output_elements(kernels: KernelTable) -> FloatArray:
    """Return elements written. Shape: (len(kernels),)."""
    return kernels.out_height * kernels.out_width * kernels.filters


def _windowed(kernels: KernelTable) -> FloatArray:
    slides = kernels.is_kind(*CONVOLUTIONS, "depthwise", *_POOLS)
    return np.where(slides, kernels.window, 1.0)


def _padded(channels: FloatArray, lanes: int = LANES) -> FloatArray:
    return np.asarray(np.ceil(channels / lanes) * lanes)


def _plain_terms(kernels: KernelTable) -> Iterator[Term]:
    yield from _convolution_terms(kernels)
    yield from _depthwise_terms(kernels)
    yield from _other_terms(kernels)


def _convolution_terms(kernels: KernelTable) -> Iterator[Term]:
    work, depth, weights = _convolution(kernels)
    patches = kernels.out_height * kernels.out_width * depth
    read, written = input_elements(kernels), output_elements(kernels)
    for kind in _INNER:
        own = kernels.is_kind(kind)
        yield from ((own, amount) for amount in (work, written, read, weights))
    for kind in ("conv3", "convn"):
        yield kernels.is_kind(kind), patches
    inner = kernels.is_kind(*_INNER)
    yield inner & (kernels.stride > 1), work
    yield inner & ((kernels.window > 1) | (kernels.stride > 1)), patches
    first = kernels.is_kind("first")
    yield from ((first, amount) for amount in (work, written, patches))
    yield kernels.is_kind(*CONVOLUTIONS), np.ones(len(kernels))


def _convolution(kernels: KernelTable) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return multiply-accumulates, inputs of one output, and weights, of kernels as if all were convolutions."""
    depth = kernels.channels * kernels.window**2
    weights = depth * kernels.filters
    return kernels.out_height * kernels.out_width * weights, depth, weights


def _depthwise_terms(kernels: KernelTable) -> Iterator[Term]:
    own = kernels.is_kind("depthwise")
    window = kernels.window**2
    read, written = input_elements(kernels), output_elements(kernels)
    work = written * window
    amounts = (work, written, read, kernels.filters * window, np.ones(len(kernels)))
    yield from ((own, amount) for amount in amounts)
    yield own & (kernels.stride > 1), work
    yield own & (kernels.window == 1), written
    yield own & (kernels.window == 3), written
    yield own & (kernels.window >= 5), work


def _other_terms(kernels: KernelTable) -> Iterator[Term]:
    once = np.ones(len(kernels))
    weights = kernels.channels * kernels.filters
    dense = kernels.is_kind("dense")
    yield from ((dense, amount) for amount in (weights, once, np.maximum(0.0, weights - _DENSE_IN_CACHE)))
    for kind in KINDS:
        if kind not in (*CONVOLUTIONS, "depthwise", "dense", "activation", "unknown"):
            yield from ((kernels.is_kind(kind), amount) for amount in (_moved(kernels), once))
    yield kernels.is_kind(*_POOLS), macs(kernels)
    yield kernels.is_kind("squeeze_excite"), 2.0 * kernels.channels * kernels.window


def _moved(kernels: KernelTable) -> FloatArray:
    return input_elements(kernels) + output_elements(kernels)


def _activation_terms(kernels: KernelTable) -> Iterator[Term]:
    own = kernels.is_kind("activation")
    yield from ((own, amount) for amount in (_moved(kernels), np.ones(len(kernels))))


def _pointwise_terms(kernels: KernelTable) -> Iterator[Term]:
    own = kernels.is_kind("activation", "hard_swish")
    yield from ((own, amount) for amount in (_moved(kernels), np.ones(len(kernels))))


def _lane_terms(kernels: KernelTable) -> Iterator[Term]:
    cells = kernels.out_height * kernels.out_width
    window = kernels.window**2
    filters = _padded(kernels.filters)
    padded = cells * window * _padded(kernels.channels) * filters
    for kind in (*_INNER, "first"):
        yield kernels.is_kind(kind), padded
    inner = kernels.is_kind(*_INNER)
    yield inner, cells * filters
    yield inner, kernels.height * kernels.width * _padded(kernels.channels)
    yield kernels.is_kind("depthwise"), cells * window * filters


def _tile_terms(kernels: KernelTable) -> Iterator[Term]:
    once = kernels.out_height * kernels.out_width * kernels.window**2
    for lanes in _TILES:
        padded = once * _padded(kernels.channels, lanes) * _padded(kernels.filters, lanes)
        yield from ((kernels.is_kind(kind), padded) for kind in _INNER)


def _serial_terms(kernels: KernelTable) -> Iterator[Term]:
    yield kernels.is_kind(*_INNER), _convolution(kernels)[1]
    yield kernels.is_kind("depthwise"), kernels.window**2


def _window_terms(kernels: KernelTable) -> Iterator[Term]:
    work = _convolution(kernels)[0]
    inner, strided = kernels.is_kind(*_INNER), kernels.stride > 1
    for side in (5, 7):
        yield inner & (kernels.window == side), work
        yield inner & (kernels.window == side) & strided, work
    for side in (1, 3):
        yield inner & (kernels.window == side) & strided, work
    for side in (1, 3, 5, 7):
        yield kernels.is_kind("first") & (kernels.window == side), work


def _cache_terms(kernels: KernelTable) -> Iterator[Term]:
    inner = kernels.is_kind(*_INNER)
    work, _, weights = _convolution(kernels)
    read, written = input_elements(kernels), output_elements(kernels)
    for limit in _CACHE_ELEMENTS:
        for amount in (weights, read, written):
            yield inner, np.maximum(0.0, amount - limit)
        yield inner, work * (weights > limit)
        yield inner, work * (read > limit)


def _map_terms(kernels: KernelTable) -> Iterator[Term]:
    inner = kernels.is_kind(*_INNER)
    work, _, weights = _convolution(kernels)
    read, written = input_elements(kernels), output_elements(kernels)
    for amount, sizes in ((written, _SOFT_MAPS), (read, _SOFT_MAPS), (weights, _SOFT_WEIGHTS)):
        yield from ((inner, work * amount / (amount + size)) for size in sizes)
    for side in (1, 3, 5, 7):
        for amount in (written, read):
            yield inner & (kernels.window == side) & (amount > _LARGE_MAP), work


def _stride_terms(kernels: KernelTable) -> Iterator[Term]:
    own = kernels.is_kind("depthwise")
    strided = own & (kernels.stride > 1)
    read, written = input_elements(kernels), output_elements(kernels)
    yield from ((strided, amount) for amount in (read, written, kernels.filters, np.ones(len(kernels))))
    yield from ((own, np.maximum(0.0, read - limit)) for limit in (2**18, 2**19))
    yield own, kernels.filters
    yield from ((own & (kernels.window == side), written) for side in (5, 7))


_GROUPS: Mapping[str, Callable[[KernelTable], Iterator[Term]]] = MappingProxyType(
    {
        "plain": _plain_terms,
        "apart": _activation_terms,
        "at_least": _pointwise_terms,
        "lanes": _lane_terms,
        "serial": _serial_terms,
        "tiles": _tile_terms,
        "windows": _window_terms,
        "cache": _cache_terms,
        "maps": _map_terms,
        "strides": _stride_terms,
    }
)
