"""A CARS space of fewer operations is a space of its own, exactly."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from profiler.kernels import FUSION_RULES, Fuser
from search.errors import GenotypeError, SearchError
from search.spaces.cars import OPERATIONS, CarsGenotype, CarsParams, CarsSpace, Cell, Edge, Operation

PARAMS = CarsParams(image_shape=(8, 8, 1), classes=3, cells=3, channels=4, nodes=2)
CHOICES: tuple[tuple[Operation, ...], ...] = (
    OPERATIONS,
    OPERATIONS[1:],
    ("none", "skip_connect"),
    ("sep_conv_5x5", "none", "max_pool_3x3"),
    ("dil_conv_3x3",),
)


def living_cells(operations: tuple[Operation, ...]) -> int:
    nodes = [
        [
            (Edge(low, first), Edge(high, second))
            for low, high in itertools.combinations(range(node + 2), 2)
            for first, second in itertools.product(operations, repeat=2)
        ]
        for node in range(PARAMS.nodes)
    ]
    return sum(bool(Cell(chosen).live_nodes) for chosen in itertools.product(*nodes))


@pytest.mark.parametrize("operations", CHOICES, ids=len)
def test_size_counts_the_allowed_operations_alone(operations: tuple[Operation, ...]) -> None:
    assert CarsSpace(replace(PARAMS, operations=operations)).size == living_cells(operations) ** 2


@pytest.mark.parametrize("operations", CHOICES[1:], ids=len)
def test_draws_and_moves_take_the_allowed_operations_alone(operations: tuple[Operation, ...]) -> None:
    space, rng = CarsSpace(replace(PARAMS, operations=operations)), np.random.default_rng(0)
    genotypes = [space.sample(rng) for _ in range(60)]
    genotypes += [space.mutate(genotype, rng) for genotype in genotypes]
    genotypes += space.from_array(space.sample_array(60, rng))
    assert {edge.operation for genotype in genotypes for edge in edges(genotype)} == set(operations)
    for genotype in space.covering():
        assert {edge.operation for edge in edges(genotype)} <= set(operations) - {"none"}
    assert {edge.operation for edge in edges(space.largest())} <= set(operations) - {"none"}


def edges(genotype: CarsGenotype) -> list[Edge]:
    cells = (genotype.normal, genotype.reduction)
    return [edge for cell in cells for node in cell.nodes for edge in node]


def test_other_operations_are_refused() -> None:
    whole, some = CarsSpace(PARAMS), CarsSpace(replace(PARAMS, operations=("none", "sep_conv_3x3")))
    foreign = whole.largest()
    with pytest.raises(GenotypeError, match="operation must be one of none, sep_conv_3x3"):
        some.decode(whole.encode(foreign))
    with pytest.raises(GenotypeError, match="out of range"):
        some.kernel_counts([foreign], FUSION_RULES["litert"])
    assert some.identity == f"{whole.identity} operations=none,sep_conv_3x3"


def test_counted_kernels_are_those_of_fused_networks() -> None:
    space, fuser = CarsSpace(replace(PARAMS, operations=CHOICES[3])), Fuser(FUSION_RULES["litert"])
    array = space.sample_array(20, np.random.default_rng(1))
    kernels, counts = space.kernel_counts(array, FUSION_RULES["litert"])
    for genotype, row in zip(space.from_array(array), counts, strict=True):
        counted = {kernel: count for kernel, count in zip(kernels, row.tolist(), strict=True) if count}
        assert counted == Counter(fuser(space.lower(genotype)))


@pytest.mark.parametrize("operations", [(), ("none",), ("none", "conv_9x9"), ("skip_connect", "skip_connect")])
def test_no_choice_of_operations_is_refused(operations: tuple[Operation, ...]) -> None:
    with pytest.raises(SearchError, match="operations of the CARS space"):
        CarsSpace(replace(PARAMS, operations=operations))
