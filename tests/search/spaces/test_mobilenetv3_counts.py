"""Counting kernels piece by piece is the same as lowering and fusing each network."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.kernels import FUSION_RULES, Fuser, FusionRules, Kernel
from search.spaces.mobilenetv3 import MobileNetV3Genotype, MobileNetV3Params, MobileNetV3Space
from search.spaces.mobilenetv3._counts import follows

SPACES = (
    MobileNetV3Space(MobileNetV3Params((224, 224, 3), 1000, stages=5, width=1.0, resolutions=(224, 160))),
    MobileNetV3Space(MobileNetV3Params((28, 28, 1), 10, resolutions=(20, 28, 24), squeeze_excite="choice")),
    # All channels are 8, so that the first layers of stages are added to their inputs; some layers do not expand.
    MobileNetV3Space(MobileNetV3Params((9, 7, 2), 3, stages=5, width=0.05, depths=(1, 4), expansions=(1, 3))),
    MobileNetV3Space(MobileNetV3Params((8, 8, 1), 2, stages=1, depths=(3,), kernels=(5,), squeeze_excite="never")),
)
RULES = {
    "litert": FUSION_RULES["litert"],
    "onnxruntime": FUSION_RULES["onnxruntime"],
    "nothing": FusionRules(frozenset()),
    "blocks": FusionRules(
        frozenset({("conv2d", "hard_swish", "depthwise_conv2d"), ("conv2d", "add"), ("mul", "conv2d")})
    ),
}
BEYOND = FusionRules(frozenset({("conv2d", "add", "conv2d"), ("conv2d", "conv2d"), ("conv2d", "hard_swish")}))
FUSERS = {rules: Fuser(rules) for rules in (*RULES.values(), BEYOND)}
SEEDS = st.integers(0, 2**32 - 1)


def assert_counted(space: MobileNetV3Space, genotypes: list[MobileNetV3Genotype], rules: FusionRules) -> None:
    kernels, counts = space.kernel_counts(genotypes, rules)
    assert counts.shape == (len(genotypes), len(kernels)) and len(set(kernels)) == len(kernels)
    assert counts.any(axis=0).all()
    for genotype, row in zip(genotypes, counts.tolist(), strict=True):
        counted = Counter[Kernel]({kernel: count for kernel, count in zip(kernels, row, strict=True) if count})
        assert counted == Counter(FUSERS[rules](space.lower(genotype)))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(SPACES), st.sampled_from(sorted(RULES)), SEEDS)
def test_counts_are_those_of_fused_networks(space: MobileNetV3Space, rules: str, seed: int) -> None:
    assert follows(RULES[rules])
    rng = np.random.default_rng(seed)
    assert_counted(space, [space.sample(rng) for _ in range(4)], RULES[rules])


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.identity)
def test_the_largest_networks_are_counted_too(space: MobileNetV3Space) -> None:
    assert_counted(space, list(space.covering()), RULES["litert"])


def test_rules_that_reach_further_are_followed_too() -> None:
    """Such kernels reach from one layer into the next; the space then lowers its networks."""
    assert not follows(BEYOND)
    space, rng = SPACES[2], np.random.default_rng(0)
    assert_counted(space, [space.sample(rng) for _ in range(4)], BEYOND)


def test_no_genotypes_have_no_kernels() -> None:
    kernels, counts = SPACES[1].kernel_counts([], RULES["litert"])
    assert (kernels, counts.shape) == ((), (0, 0))
