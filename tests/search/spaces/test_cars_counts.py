"""Counting kernels from arrays of genotypes is the same as lowering and fusing each of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.kernels import FUSION_RULES, Fuser, FusionRules, Kernel
from search.errors import GenotypeError
from search.space import SearchSpace
from search.spaces.cars import OPERATIONS, CarsParams, CarsSpace

DEFAULT = CarsParams(image_shape=(32, 32, 3), classes=10)
SETTINGS = (
    DEFAULT,
    CarsParams(image_shape=(9, 7, 1), classes=3, cells=3, channels=3, nodes=3),
    CarsParams(image_shape=(8, 8, 1), classes=2, cells=4, channels=4, nodes=2),
    CarsParams(image_shape=(8, 8, 3), classes=2, cells=7, channels=4, nodes=1),
    CarsParams(image_shape=(16, 16, 3), classes=4, cells=8, channels=4, nodes=5),
)
RULES = {
    "litert": FUSION_RULES["litert"],
    "onnxruntime": FUSION_RULES["onnxruntime"],
    "nothing": FusionRules(frozenset()),
    "sums": FusionRules(frozenset({("conv2d", "add")})),
    "joined": FusionRules(frozenset({("conv2d", "relu"), ("concat", "relu"), ("dense", "relu")})),
}
SPACES = {params: CarsSpace(params) for params in SETTINGS}
FUSERS = {name: Fuser(rules) for name, rules in RULES.items()}


def drawn(space: CarsSpace, count: int, rng: np.random.Generator) -> np.ndarray:
    """Genotypes of which half have cells full of skips, pools and cut edges, where nodes are one another's tensors."""
    array = space.sample_array(count, rng)
    rare = [OPERATIONS.index(name) for name in ("none", "skip_connect", "skip_connect", "max_pool_3x3")]
    changed = rng.random(array.shape[:-1]) < rng.choice([0.0, 0.7], size=(count, 2, 1, 1))
    array[..., 1][changed] = rng.choice(rare, size=changed.sum())
    living = ((array[..., 0] < 2) & (array[..., 1] != 0)).any(axis=(2, 3)).all(axis=1)
    return array[living]


def fused(space: CarsSpace, row: np.ndarray, rules: str) -> Counter[Kernel]:
    return Counter(FUSERS[rules](space.lower(space.from_array(row[None])[0])))


def counted(kernels: tuple[Kernel, ...], row: np.ndarray) -> Counter[Kernel]:
    return Counter({kernel: int(count) for kernel, count in zip(kernels, row, strict=True) if count})


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SETTINGS), st.sampled_from(sorted(RULES)), st.integers(0, 2**32 - 1))
def test_counts_are_those_of_fused_networks(params: CarsParams, rules: str, seed: int) -> None:
    space = SPACES[params]
    array = drawn(space, 12, np.random.default_rng(seed))
    kernels, counts = space.kernel_counts(array, RULES[rules])
    assert counts.shape == (len(array), len(kernels))
    for row, own in zip(array, counts, strict=True):
        assert counted(kernels, own) == fused(space, row, rules)


@pytest.mark.parametrize("rules", ["litert", "onnxruntime"])
def test_every_operation_at_every_edge(rules: str) -> None:
    space = SPACES[DEFAULT]
    genotypes = list(space.covering())
    kernels, counts = space.kernel_counts(genotypes, RULES[rules])
    for genotype, own in zip(genotypes, counts, strict=True):
        assert counted(kernels, own) == Counter(FUSERS[rules](space.lower(genotype)))


@pytest.mark.parametrize("chain", [("relu", "depthwise_conv2d"), ("depthwise_conv2d", "conv2d"), ("max_pool2d", "add")])
def test_rules_that_reach_further_are_followed_too(chain: tuple[str, str]) -> None:
    """Such kernels reach from one part of a cell into the next; the space then lowers its networks."""
    space, rules = CarsSpace(replace(DEFAULT, image_shape=(8, 8, 3))), FusionRules(frozenset({chain}))
    genotypes = space.from_array(drawn(space, 30, np.random.default_rng(3)))
    kernels, counts = space.kernel_counts(genotypes, rules)
    assert any(kernel.kind == "+".join(chain) for kernel in kernels)
    for genotype, own in zip(genotypes, counts, strict=True):
        assert counted(kernels, own) == Counter(Fuser(rules)(space.lower(genotype)))


def test_many_cells_are_counted_past_a_byte() -> None:
    space = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=2, cells=60, channels=4, nodes=4))
    genotypes = [genotype for genotype in space.covering() if genotype.normal.nodes[0][0].operation == "sep_conv_3x3"]
    kernels, counts = space.kernel_counts(genotypes, RULES["litert"])
    expected = [Counter(FUSERS["litert"](space.lower(genotype))) for genotype in genotypes]
    assert max(max(own.values()) for own in expected) > 255
    assert [counted(kernels, own) for own in counts] == expected


def test_any_space_counts_by_lowering() -> None:
    space = SPACES[DEFAULT]
    genotypes = space.from_array(drawn(space, 6, np.random.default_rng(1)))
    plain, slowly = SearchSpace.kernel_counts(space, genotypes, RULES["litert"])
    kernels, counts = space.kernel_counts(genotypes, RULES["litert"])
    assert [counted(plain, row) for row in slowly] == [counted(kernels, row) for row in counts]


def test_nothing_is_counted_of_nothing() -> None:
    kernels, counts = SPACES[DEFAULT].kernel_counts([], RULES["litert"])
    assert (kernels, counts.shape) == ((), (0, 0))


def test_arrays_are_the_genotypes() -> None:
    space, rng = SPACES[DEFAULT], np.random.default_rng(2)
    genotypes = [space.sample(rng) for _ in range(20)]
    assert space.from_array(space.to_array(genotypes)) == genotypes


def test_drawn_arrays_are_of_the_space_and_uniform() -> None:
    space = CarsSpace(replace(DEFAULT, nodes=1))
    array = space.sample_array(20_000, np.random.default_rng(4))
    assert (space.to_array(array) == array).all()
    seen = Counter(genotype.normal for genotype in space.from_array(array))
    assert len(seen) == 63
    assert max(seen.values()) / min(seen.values()) < 1.6


def test_arrays_of_another_kind_are_refused() -> None:
    space = SPACES[DEFAULT]
    good = space.sample_array(3, np.random.default_rng(5))
    with pytest.raises(GenotypeError, match="shape"):
        space.to_array(good[:, :1])
    with pytest.raises(GenotypeError, match="shape"):
        space.to_array(good.astype(np.float64))
    for place, value, problem in (
        ((1, 0, 0, 0, 0), 1, "row 1"),
        ((2, 0, 0, 1, 0), 2, "row 2"),
        ((0, 1, 3, 1, 1), 8, "row 0"),
        ((1, 1, 0, 0, 1), -1, "row 1"),
    ):
        wrong = good.copy()
        wrong[place] = value
        with pytest.raises(GenotypeError, match=problem):
            space.to_array(wrong)
    dead = good.copy()
    dead[1, 0, :, :, 1] = 0
    with pytest.raises(GenotypeError, match="row 1: no edge"):
        space.kernel_counts(dead, RULES["litert"])
