from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from profiler.network import Network
from search.errors import GenotypeError, SearchError
from search.spaces.cars import OPERATIONS, CarsGenotype, CarsParams, CarsSpace, Cell, Edge

SPACE = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=10))
SEEDS = st.integers(0, 2**32 - 1)


class ConstantGenerator:
    """A generator that is not random: each draw is the smallest, so that each operation is "none"."""

    def choice(self, _: int, size: int, replace: bool) -> np.ndarray:
        return np.arange(size)

    def integers(self, _: int, size: int) -> np.ndarray:
        return np.zeros(size, dtype=np.int64)

    def random(self, size: int) -> np.ndarray:
        return np.zeros(size)


def cell(*nodes: tuple[int, str, int, str]) -> Cell:
    return Cell(tuple((Edge(a, p), Edge(b, q)) for a, p, b, q in nodes))


def every_cell(nodes: int) -> list[Cell]:
    choices = [
        [
            (Edge(a, p), Edge(b, q))
            for a, b in itertools.combinations(range(node + 2), 2)
            for p, q in itertools.product(OPERATIONS, repeat=2)
        ]
        for node in range(nodes)
    ]
    return [Cell(chosen) for chosen in itertools.product(*choices)]


@pytest.mark.parametrize("nodes", [1, 2])
def test_size_is_the_number_of_pairs_of_living_cells(nodes: int) -> None:
    living = sum(bool(cell.live_nodes) for cell in every_cell(nodes))
    space = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=10, nodes=nodes))
    assert space.size == living**2


def test_size_of_the_published_space() -> None:
    # 180 choices of sources and 64^4 of operations a cell, 397,409 of them dead (1 * 17 * 97 * 241).
    assert SPACE.size == (180 * 64**4 - 397_409) ** 2


def test_sampling_is_uniform_over_living_cells() -> None:
    space = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=2, nodes=1))
    rng = np.random.default_rng(0)
    drawn = Counter(space.sample(rng).reduction for _ in range(6300))
    assert len(drawn) == 63
    assert stats.chisquare(list(drawn.values())).pvalue > 0.01


def test_each_operation_and_pair_of_sources_is_equally_likely() -> None:
    rng = np.random.default_rng(1)
    nodes = [SPACE.sample(rng).normal.nodes[3] for _ in range(2000)]
    pairs = Counter((first.source, second.source) for first, second in nodes)
    operations = Counter(edge.operation for node in nodes for edge in node)
    assert len(pairs) == 10 and len(operations) == 8
    assert stats.chisquare(list(pairs.values())).pvalue > 0.01
    assert stats.chisquare(list(operations.values())).pvalue > 0.01


def test_a_generator_that_is_not_random_ends_in_an_error_and_not_in_a_loop() -> None:
    with pytest.raises(SearchError, match="64 random cells"):
        SPACE.sample(ConstantGenerator())  # type: ignore[arg-type]


@settings(deadline=None, max_examples=100)
@given(SEEDS)
def test_moves_stay_in_the_space(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = SPACE.sample(rng), SPACE.sample(rng)
    child = SPACE.crossover(first, second, rng)
    for genotype in (first, second, child, SPACE.mutate(first, rng)):
        assert SPACE.decode(json.loads(json.dumps(SPACE.encode(genotype)))) == genotype
        assert genotype.normal.live_nodes and genotype.reduction.live_nodes
    for ours, theirs, inherited in zip(first.normal.nodes, second.normal.nodes, child.normal.nodes, strict=True):
        assert inherited in (ours, theirs)


def test_mutation_draws_half_of_the_nodes_anew() -> None:
    rng = np.random.default_rng(2)
    changed = []
    for _ in range(500):
        parent = SPACE.sample(rng)
        child = SPACE.mutate(parent, rng)
        changed += [old != new for old, new in zip(parent.normal.nodes, child.normal.nodes, strict=True)]
    # A node drawn anew stays the same in 1 case of 64 to 640.
    assert np.mean(changed) == pytest.approx(0.497, abs=0.03)


def test_a_parent_is_returned_when_no_living_child_is_found() -> None:
    dead_end = cell((0, "none", 1, "skip_connect"))
    genotype = CarsGenotype(dead_end, dead_end)
    space = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=2, nodes=1))
    # Each node is drawn anew, and each new one is dead.
    assert space.mutate(genotype, ConstantGenerator()) is genotype  # type: ignore[arg-type]


def test_dead_branches_are_followed_through_nodes() -> None:
    tested = cell(
        (0, "none", 1, "none"),  # dead
        (0, "none", 2, "sep_conv_3x3"),  # reads only a dead node: dead
        (2, "dil_conv_3x3", 3, "skip_connect"),  # dead
        (1, "max_pool_3x3", 4, "sep_conv_5x5"),
    )
    assert tested.live_nodes == (3,)
    assert tested.live_edges == ((), (), (), (Edge(1, "max_pool_3x3"),))
    assert not tested.reads(0) and tested.reads(1)


def test_key_ignores_what_is_dead() -> None:
    living = (1, "max_pool_3x3", 4, "none")
    one = cell((0, "none", 1, "none"), (0, "none", 2, "sep_conv_3x3"), (0, "none", 3, "skip_connect"), living)
    other = cell((0, "none", 1, "none"), (1, "none", 2, "dil_conv_5x5"), (2, "skip_connect", 3, "none"), living)
    normal = SPACE.sample(np.random.default_rng(0)).normal
    assert CarsGenotype(normal, one).key == CarsGenotype(normal, other).key
    assert CarsGenotype(normal, one) != CarsGenotype(normal, other)
    assert SPACE.lower(CarsGenotype(normal, one)).key == SPACE.lower(CarsGenotype(normal, other)).key
    assert CarsGenotype(one, normal).key != CarsGenotype(normal, one).key


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_every_operator_of_a_lowered_network_reaches_the_output(seed: int) -> None:
    network = SPACE.lower(SPACE.sample(np.random.default_rng(seed)))
    assert network.outputs == ("logits",)
    assert network.tensors["logits"].shape == (1, 10)
    unread = [
        operator.name
        for operator in network.operators
        if operator.name != "logits" and not network.consumers(operator.name)
    ]
    assert unread == []


def weight_shapes(network: Network, parts: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[int, ...]]:
    """Shapes of weights by name, where a kernel that reads parts is as wide as one part."""
    shapes = {}
    for operator in network.operators:
        for role, shape in operator.weight_shapes(network.input_specs(operator)).items():
            blocks = len(parts.get(operator.name, ())) if role == "kernel" else 0
            shapes[f"{operator.name}/{role}"] = (*shape[:-1], shape[-1] // blocks) if blocks else shape
    return shapes


@pytest.fixture(scope="module")
def covered() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for genotype in SPACE.covering():
        shapes |= weight_shapes(SPACE.lower(genotype), SPACE.input_parts(genotype))
    return shapes


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_the_same_name_is_the_same_operator_in_all_networks(covered: dict[str, tuple[int, ...]], seed: int) -> None:
    genotype = SPACE.sample(np.random.default_rng(seed))
    assert weight_shapes(SPACE.lower(genotype), SPACE.input_parts(genotype)).items() <= covered.items()


def test_channels_double_and_images_halve_at_the_reductions() -> None:
    everything = next(SPACE.covering())
    network = SPACE.lower(everything)
    shapes = [network.tensors[f"cells.{index}"].shape[1:] for index in range(5)]
    assert shapes == [(8, 8, 32), (4, 4, 64), (4, 4, 64), (2, 2, 128), (2, 2, 128)]


def test_cells_that_nothing_reads_are_left_out() -> None:
    # Each cell reads only the one before the last, so that every other cell is dead.
    skipping = cell(*[(0, "skip_connect", 1, "none")] * 4)
    network = SPACE.lower(CarsGenotype(skipping, skipping))
    used = {operator.name.split(".")[1] for operator in network.operators if operator.name.startswith("cells.")}
    assert used == {"0", "2", "4"}


def test_images_of_odd_size_can_be_searched() -> None:
    space = CarsSpace(CarsParams(image_shape=(7, 9, 3), classes=2, cells=3))
    network = space.lower(space.sample(np.random.default_rng(0)))
    assert network.tensors[network.outputs[0]].shape == (1, 2)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("cells", 2), ("channels", 0), ("nodes", 0), ("classes", 1), ("image_shape", (3, 8, 1)), ("image_shape", (8, 8))],
)
def test_settings_out_of_range_are_refused(setting: str, value: object) -> None:
    with pytest.raises(SearchError, match="CARS space"):
        CarsSpace(replace(SPACE.params, **{setting: value}))  # type: ignore[arg-type]


GOOD = SPACE.encode(SPACE.sample(np.random.default_rng(3)))


def damaged(place: tuple[object, ...], value: object) -> object:
    encoded = json.loads(json.dumps(GOOD))
    target = encoded
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    return encoded


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (None, "object"),
        ([], "object"),
        ({"normal": GOOD["normal"]}, "object"),
        ({**GOOD, "extra": 1}, "object"),
        (damaged(("normal",), []), "normal: must be a list of 4"),
        (damaged(("normal", 1), "x"), r"normal\[1\]: must be a list of two"),
        (damaged(("reduction", 2, 0), [0]), r"reduction\[2\]\[0\]"),
        (damaged(("normal", 0, 0), [0, "conv_9x9"]), "operation must be one of"),
        (damaged(("normal", 0, 0), [0, ["none"]]), "operation must be one of"),
        (damaged(("normal", 0, 1), [2, "none"]), "from 0 to 1"),
        (damaged(("normal", 0, 0), [True, "none"]), "whole number"),
        (damaged(("normal", 0, 0), [-1, "none"]), "whole number"),
        (damaged(("normal", 0), [[1, "none"], [0, "none"]]), "lower first"),
        (damaged(("normal", 0), [[1, "none"], [1, "none"]]), "must differ"),
        (damaged(("normal",), [[[0, "none"], [1, "none"]]] * 4), "no edge of the cell"),
    ],
)
def test_other_encodings_are_refused(encoded: object, message: str) -> None:
    with pytest.raises(GenotypeError, match=message):
        SPACE.decode(encoded)
