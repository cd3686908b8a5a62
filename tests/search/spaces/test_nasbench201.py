from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from profiler.catalogues.nasbench201 import NasBench201Cell
from profiler.kernels import FUSION_RULES
from profiler.network import Conv2d, Network
from search.errors import GenotypeError, SearchError
from search.spaces.nasbench201 import OPERATIONS, NasBench201Genotype, NasBench201Params, NasBench201Space

PUBLISHED = NasBench201Params(image_shape=(32, 32, 3), classes=10)
SPACE = NasBench201Space(PUBLISHED)


def genotype(*operations: str) -> NasBench201Genotype:
    return NasBench201Genotype(operations)  # type: ignore[arg-type]


@cache
def every_cell() -> list[NasBench201Genotype]:
    return [genotype(*operations) for operations in itertools.product(OPERATIONS, repeat=6)]


def test_size_is_the_benchmark_s_without_the_cells_that_give_zeros() -> None:
    alive = [cell for cell in every_cell() if cell.alive]
    assert SPACE.size == len(alive) == 15_625 - 341
    assert len({cell.key for cell in alive}) == 9_444


@pytest.mark.parametrize(
    "operations", [OPERATIONS[1:], ("none", "avg_pool_3x3", "skip_connect"), ("nor_conv_3x3",)], ids=len
)
def test_size_with_fewer_operations(operations: tuple[str, ...]) -> None:
    space = NasBench201Space(replace(PUBLISHED, operations=operations))  # type: ignore[arg-type]
    assert space.size == sum(cell.alive and set(cell.operations) <= set(operations) for cell in every_cell())
    sampled = {space.sample(np.random.default_rng(seed)) for seed in range(50)}
    assert set().union(*(cell.operations for cell in sampled)) == set(operations)
    foreign = next(operation for operation in OPERATIONS[::-1] if operation not in operations)
    with pytest.raises(GenotypeError, match="operations must be among"):
        space.decode(SPACE.encode(genotype(foreign, *["skip_connect"] * 5)))


def test_what_is_alive_lies_on_a_way_through() -> None:
    cell = genotype("nor_conv_3x3", "none", "none", "skip_connect", "none", "nor_conv_1x1")
    # Node 1 is read by nobody, and node 2 reads nothing.
    assert cell.live == ("none", "none", "none", "skip_connect", "none", "none")
    other = genotype("none", "none", "avg_pool_3x3", "skip_connect", "none", "none")
    assert cell.key == other.key and cell != other
    assert SPACE.lower(cell).key == SPACE.lower(other).key
    assert not genotype("nor_conv_3x3", "none", "none", "none", "none", "skip_connect").alive


def test_cells_are_written_as_the_benchmark_writes_them() -> None:
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|"
    read = NasBench201Genotype.from_arch_str(text)
    assert read.operations == (
        "avg_pool_3x3", "nor_conv_1x1", "skip_connect", "nor_conv_1x1", "none", "nor_conv_3x3",
    )  # fmt: skip
    assert read.to_arch_str() == text
    for cell in every_cell()[::97]:
        assert NasBench201Genotype.from_arch_str(cell.to_arch_str()) == cell


@pytest.mark.parametrize("text", ["", "|none~0|", "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|"])
def test_other_texts_are_no_cell(text: str) -> None:
    with pytest.raises(GenotypeError):
        NasBench201Genotype.from_arch_str(text)


def test_a_cell_of_the_table_that_gives_zeros_is_read_but_is_not_in_the_space() -> None:
    dead = NasBench201Genotype.from_arch_str("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")
    assert not dead.alive
    with pytest.raises(GenotypeError, match="no way"):
        SPACE.decode(SPACE.encode(dead))


def layers(network: Network) -> list[object]:
    """The convolutions of a network without their names, sorted: what it learns and where."""
    convolutions = [operator for operator in network.operators if isinstance(operator, Conv2d)]
    return sorted(str((network.input_specs(c)[0].shape, c.out_channels, c.kernel, c.stride)) for c in convolutions)


def test_networks_are_those_of_the_benchmark() -> None:
    rng = np.random.default_rng(0)
    for cell in [SPACE.largest(), *(SPACE.sample(rng) for _ in range(30))]:
        ours, theirs = SPACE.lower(cell), NasBench201Cell.parse(cell.to_arch_str()).to_network()
        assert layers(ours) == layers(theirs)
        assert (ours.cost().macs, ours.cost().parameters) == (theirs.cost().macs, theirs.cost().parameters)


def test_the_largest_cell_is_that_of_the_paper() -> None:
    assert set(SPACE.largest().operations) == {"nor_conv_3x3"}
    # The paper's network of 3x3 convolutions has 220.12 MFLOPs.
    assert SPACE.lower(SPACE.largest()).cost().macs == pytest.approx(220.12e6, rel=1e-3)


@pytest.mark.parametrize(("side", "sides"), [(32, (32, 16, 8)), (28, (28, 14, 7)), (9, (9, 5, 3)), (8, (8, 8, 4))])
def test_small_images_are_halved_less_often(side: int, sides: tuple[int, ...]) -> None:
    space = NasBench201Space(replace(PUBLISHED, image_shape=(side, side, 1), cells=1))
    network = space.lower(space.largest())
    found = [network.tensors[f"stages.{stage}.cells.0.node3.add2"].shape[1:] for stage in range(3)]
    assert found == [(side, side, 16 << stage) for stage, side in enumerate(sides)]


def test_a_mutation_changes_one_edge_and_few_more() -> None:
    rng = np.random.default_rng(1)
    changed = []
    for _ in range(300):
        parent = SPACE.sample(rng)
        child = SPACE.mutate(parent, rng)
        changed.append(sum(old != new for old, new in zip(parent.operations, child.operations, strict=True)))
    assert min(changed) == 1
    assert np.mean(changed) == pytest.approx(1 + 5 / 6, abs=0.2)


def test_a_function_that_was_counted_is_not_lowered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    space = NasBench201Space(replace(PUBLISHED, cells=1))
    cells = [space.sample(np.random.default_rng(seed)) for seed in range(4)]
    kernels, counts = space.kernel_counts(cells, FUSION_RULES["litert"])
    monkeypatch.setattr(NasBench201Space, "lower", None)
    again, same = space.kernel_counts(cells[::-1], FUSION_RULES["litert"])
    assert again == kernels and np.array_equal(same[::-1], counts)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("channels", 0), ("cells", 0), ("stages", 0), ("classes", 1), ("image_shape", (8, 8)), ("operations", ()),
     ("operations", ("none",)), ("operations", ("conv",)), ("operations", ("nor_conv_1x1", "nor_conv_1x1"))],
)  # fmt: skip
def test_settings_out_of_range_are_refused(setting: str, value: object) -> None:
    with pytest.raises(SearchError):
        NasBench201Space(replace(PUBLISHED, **{setting: value}))  # type: ignore[arg-type]
