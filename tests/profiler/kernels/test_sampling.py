import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.errors import ConfigError
from profiler.kernels import FUSION_RULES, RECIPES, Kernel, fuse, random_kernels, sample_kernels
from profiler.kernels._around import perturb
from profiler.network import (
    Add,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    Mul,
    Network,
    Opaque,
    Operator,
    Pad,
    Relu,
    Reshape,
    Sigmoid,
    Split,
    TensorSpec,
)

RULES = FUSION_RULES["onnxruntime"]


def example_network() -> Network:
    operators: list[Operator] = [
        Conv2d("stem", ("x",), 16, (3, 3), (2, 2)), Relu("stem_relu", ("stem",)),
        Pad("pad", ("stem_relu",), ((0, 0), (1, 1), (1, 1), (0, 0))),
        DepthwiseConv2d("depth", ("pad",), padding="valid"),
        GlobalAvgPool2d("squeeze", ("depth",), keep_dims=True), Sigmoid("gate", ("squeeze",)),
        Mul("scaled", ("depth", "gate")), Conv2d("project", ("scaled",), 16, (1, 1)),
        Add("sum", ("project", "stem_relu")), Relu("sum_relu", ("sum",)), Split("halves", ("sum_relu",), 2),
        Conv2d("grouped", ("halves:0",), 8, groups=4), Concat("joined", ("grouped", "halves:1")),
        GlobalAvgPool2d("pool", ("joined",)), Reshape("flat", ("pool",), (1, 16)), Dense("logits", ("flat",), 10),
    ]  # fmt: skip
    return Network("example", [TensorSpec("x", (1, 32, 32, 3))], operators, ["logits"])


def test_a_network_s_own_kernels_come_first() -> None:
    own = list(dict.fromkeys(fuse(example_network(), RULES)))
    sampled = sample_kernels([example_network()], 60, np.random.default_rng(0), rules=RULES, around=0.5)
    assert sampled[: len(own)] == own
    assert len(sampled) == len(set(sampled)) == 60


def test_common_kernels_win_when_few_are_asked_for() -> None:
    rare = Network("rare", [TensorSpec("x", (1, 8, 8, 4))], [Conv2d("a", ("x",), 12)], ["a"])
    sampled = sample_kernels(
        [rare, example_network(), example_network()], 3, np.random.default_rng(0), rules=RULES, around=0
    )
    assert fuse(rare, RULES)[0] not in sampled
    assert len(sampled) == 3


def test_around_sets_a_share_aside() -> None:
    own = set(fuse(example_network(), RULES))
    sampled = sample_kernels([example_network()], 10, np.random.default_rng(0), rules=RULES, around=0.5)
    assert sum(kernel in own for kernel in sampled) == 5


def test_sampling_is_seeded() -> None:
    first, again = (sample_kernels([example_network()], 50, np.random.default_rng(7), rules=RULES) for _ in range(2))
    assert [kernel.key for kernel in first] == [kernel.key for kernel in again]


def test_unknown_operators_are_not_measured() -> None:
    strange = Network("s", [TensorSpec("x", (1, 4))], [Opaque("o", ("x",), "NMS", (TensorSpec("o", (1, 4)),))], ["o"])
    assert sample_kernels([strange], 10, np.random.default_rng(0), rules=RULES) == []


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_perturbed_kernels_are_valid_and_near(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for kernel in fuse(example_network(), RULES):
        changed = perturb(kernel, rng)
        assert changed.kind == kernel.kind
        assert changed.network.name == kernel.network.name
        for old, new in zip(kernel.input_shapes, changed.input_shapes, strict=True):
            assert len(old) == len(new)
            for before, after in zip(old[1:], new[1:], strict=True):
                assert (after == 1) if before == 1 else (before / 5 <= after <= max(3 * before, before + 8))


@pytest.mark.parametrize("kind", sorted(RECIPES))
def test_perturbing_changes_configurations(kind: str) -> None:
    rng = np.random.default_rng(3)
    kernels = random_kernels(20, rng, kinds=(kind,))
    assert sum(perturb(kernel, rng) != kernel for kernel in kernels) >= 15


def test_a_tensor_read_twice_in_a_chain_is_left_alone() -> None:
    residual = Network("r", [TensorSpec("x", (1, 8, 8, 4))], [Conv2d("a", ("x",), 4), Add("b", ("a", "x"))], ["b"])
    (kernel,) = fuse(residual, RULES)
    assert perturb(kernel, np.random.default_rng(0)) is kernel


def test_random_kernels_are_different_bounded_and_seeded() -> None:
    kernels = random_kernels(260, np.random.default_rng(5), kinds=tuple(RECIPES))
    assert len(set(kernels)) == 260
    assert {kernel.family for kernel in kernels} == set(RECIPES)
    assert max(kernel.network.cost().macs for kernel in kernels) <= 30e6
    again = random_kernels(260, np.random.default_rng(5), kinds=tuple(RECIPES))
    assert kernels == again


@pytest.mark.parametrize(
    "ask",
    [
        lambda rng: random_kernels(-1, rng),
        lambda rng: random_kernels(1, rng, kinds=("conv9d",)),
        lambda rng: random_kernels(1, rng, kinds=()),
        lambda rng: sample_kernels([], -2, rng, rules=RULES),
        lambda rng: sample_kernels([], 2, rng, rules=RULES, around=1.5),
    ],
)
def test_impossible_requests_are_refused(ask: object) -> None:
    with pytest.raises(ConfigError):
        ask(np.random.default_rng(0))  # type: ignore[operator]


def test_kernels_survive_json() -> None:
    for kernel in random_kernels(30, np.random.default_rng(1), kinds=tuple(RECIPES)):
        assert Kernel(Network.from_json(kernel.network.to_json())) == kernel
