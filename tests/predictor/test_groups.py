import numpy as np

from predictor._groups import LEAST_NETWORKS, network_groups
from predictor._through_sum import count_kernels
from profiler.kernels import FUSION_RULES, fuse
from profiler.network import Conv2d, Dense, DepthwiseConv2d, GlobalAvgPool2d, Network, Operator, TensorSpec


def chain(kind: str, depth: int, width: int) -> Network:
    operators: list[Operator] = [Conv2d("stem", ("x",), width)]
    last = "stem"
    for index in range(depth):
        name = f"o{index}"
        operators.append(
            DepthwiseConv2d(name, (last,)) if kind == "depthwise" else Conv2d(name, (last,), width, (5, 5))
        )
        last = name
    operators += [GlobalAvgPool2d("pool", (last,)), Dense("logits", ("pool",), 10)]
    return Network(kind, [TensorSpec("x", (1, 16, 16, 3))], operators, ["logits"])


def groups_of(networks: list[Network]) -> np.ndarray | None:
    return network_groups(*count_kernels([fuse(network, FUSION_RULES["litert"]) for network in networks]))


def test_skeletons_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    kinds = ["depthwise"] * 10 + ["wide"] * 10
    groups = groups_of([chain(kind, int(rng.integers(2, 5)), int(rng.choice((8, 16)))) for kind in kinds])
    assert groups is not None
    assert not set(groups[:10].tolist()) & set(groups[10:].tolist())


def test_few_or_equal_networks_are_no_groups() -> None:
    assert groups_of([chain("wide", 2, 8 + index) for index in range(LEAST_NETWORKS - 1)]) is None
    assert groups_of([chain("wide", 2, 8)] * 30) is None


def test_no_group_is_nearly_everything_and_none_is_alone() -> None:
    rng = np.random.default_rng(1)
    groups = groups_of([chain("wide", int(rng.integers(1, 9)), int(rng.choice((8, 16, 32, 64)))) for _ in range(60)])
    assert groups is not None
    sizes = np.bincount(groups)
    assert sizes.min() >= 2
    assert sizes.max() <= 45
