from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from profiler.kernels import FUSION_RULES, Fuser, FusionRules
from profiler.network import ChannelShuffle, Concat, Conv2d, DepthwiseConv2d, Split
from search.errors import GenotypeError, SearchError
from search.spaces.shufflenetv2 import (
    OPERATIONS,
    Block,
    Operation,
    ShuffleNetV2Genotype,
    ShuffleNetV2Params,
    ShuffleNetV2Space,
)

SMALL = ShuffleNetV2Params(image_shape=(32, 32, 3), classes=10)
PUBLISHED = ShuffleNetV2Params(
    image_shape=(224, 224, 3),
    classes=1000,
    blocks=(4, 4, 8, 4),
    channels=(64, 160, 320, 640),
    head=1024,
    ratios=tuple(step / 5 for step in range(1, 11)),
)
SPACE = ShuffleNetV2Space(SMALL)


def uniform(space: ShuffleNetV2Space, operation: Operation, ratio: float = 1.0) -> ShuffleNetV2Genotype:
    return ShuffleNetV2Genotype((Block(operation, ratio),) * len(space.choices))


def test_sizes() -> None:
    assert SPACE.size == 16**8
    assert ShuffleNetV2Space(PUBLISHED).size == 40**20
    # 4^20 is the size that the paper gives without the search of channels.
    assert ShuffleNetV2Space(replace(PUBLISHED, ratios=(1.0,))).size == 4**20


def test_published_networks_have_about_the_work_of_the_paper_s_limit() -> None:
    space = ShuffleNetV2Space(PUBLISHED)
    macs = {operation: space.lower(uniform(space, operation)).cost().macs / 1e6 for operation in OPERATIONS}
    # The paper searches below 330 MFLOPs.
    assert list(macs) == sorted(macs, key=lambda operation: macs[operation])
    assert all(290 < work < 370 for work in macs.values())
    assert space.params.strides == (2, 2, 2, 2, 2)


@pytest.mark.parametrize(
    ("side", "strides"),
    [(8, (1, 1, 1, 2)), (28, (1, 2, 2, 2)), (32, (1, 2, 2, 2)), (64, (2, 2, 2, 2)), (224, (2, 2, 2, 2))],
)
def test_small_images_are_halved_by_the_last_stages_alone(side: int, strides: tuple[int, ...]) -> None:
    params = replace(SMALL, image_shape=(side, side, 1))
    assert params.strides == strides
    space = ShuffleNetV2Space(params)
    network = space.lower(space.largest())
    side = -(-side // int(np.prod(strides)))
    assert network.tensors["blocks.7"].shape == (1, side, side, 128)


def test_a_block_passes_half_of_its_input_on() -> None:
    network = SPACE.lower(uniform(SPACE, "shuffle_5x5", 1.5))
    operators = {operator.name: operator for operator in network.operators}
    assert operators["blocks.1.shuffle"] == ChannelShuffle("blocks.1.shuffle", ("blocks.0",), 2)
    assert operators["blocks.1.split"] == Split("blocks.1.split", ("blocks.1.shuffle",), 2)
    joined = operators["blocks.1"]
    assert isinstance(joined, Concat) and joined.inputs[0] == "blocks.1.split:0"
    expand, depthwise = (operators[f"blocks.1.shuffle_5x5.{part}"] for part in ("expand", "depthwise"))
    assert isinstance(expand, Conv2d) and expand.inputs == ("blocks.1.split:1",) and expand.out_channels == 24
    assert isinstance(depthwise, DepthwiseConv2d) and depthwise.kernel == (5, 5)
    # The first block of a stage reads all of its input twice and shuffles nothing.
    assert "blocks.2.shuffle" not in operators and "blocks.2.shuffle_5x5.left.depthwise" in operators


def test_widths_share_names_and_the_channels_inside_alone_differ() -> None:
    for operation in OPERATIONS:
        narrow, wide = (SPACE.lower(uniform(SPACE, operation, ratio)) for ratio in (0.5, 2.0))
        assert [operator.name for operator in narrow.operators] == [operator.name for operator in wide.operators]
        for index in range(8):
            assert narrow.tensors[f"blocks.{index}"].shape == wide.tensors[f"blocks.{index}"].shape


def test_the_multiplier_keeps_channels_even() -> None:
    for width in (0.1, 0.3, 0.77, 1.25, 3.0):
        space = ShuffleNetV2Space(replace(SMALL, width=width))
        network = space.lower(space.sample(np.random.default_rng(0)))
        assert all(network.tensors[f"blocks.{index}"].shape[3] % 8 == 0 for index in range(8))


def test_ratios_that_round_to_the_same_channels_are_one_choice() -> None:
    space = ShuffleNetV2Space(replace(SMALL, channels=(8, 16, 128), ratios=(0.25, 0.5, 1.0)))
    assert [sorted({block.ratio for block in choices}) for choices in space.choices] == [
        [0.25], [0.25], [0.25, 1.0], [0.25, 1.0], [0.25, 1.0], [0.25, 1.0], [0.25, 0.5, 1.0], [0.25, 0.5, 1.0],
    ]  # fmt: skip
    with pytest.raises(GenotypeError, match=r"blocks\[0\]: .*ratio one of 0.25$"):
        space.decode({"blocks": [["xception", 0.5]] * 8})


def test_a_mutation_changes_one_choice_and_few_more() -> None:
    rng = np.random.default_rng(1)
    changed = []
    for _ in range(300):
        parent = SPACE.sample(rng)
        pairs = list(zip(parent.blocks, SPACE.mutate(parent, rng).blocks, strict=True))
        changed.append(sum((a.operation != b.operation) + (a.ratio != b.ratio) for a, b in pairs))
    assert min(changed) == 1
    assert np.mean(changed) == pytest.approx(1 + 15 * 0.1, abs=0.2)


def test_a_child_has_whole_blocks_of_its_parents() -> None:
    rng = np.random.default_rng(2)
    first, second = SPACE.sample(rng), SPACE.sample(rng)
    child = SPACE.crossover(first, second, rng)
    for ours, theirs, inherited in zip(first.blocks, second.blocks, child.blocks, strict=True):
        assert inherited in (ours, theirs)
    assert child not in (first, second)


@pytest.mark.parametrize(
    "rules",
    [FUSION_RULES["litert"], FUSION_RULES["onnxruntime"], FusionRules(frozenset()),
     FusionRules(frozenset({("concat", "channel_shuffle"), ("concat", "channel_shuffle", "split")})),
     FusionRules(frozenset({("concat", "conv2d"), ("relu", "depthwise_conv2d"), ("channel_shuffle", "split")}))],
)  # fmt: skip
@pytest.mark.parametrize(
    "params", [SMALL, replace(SMALL, image_shape=(9, 7, 1), blocks=(1, 3), channels=(8, 16), ratios=(1.0,))]
)
def test_counted_kernels_are_those_of_fused_networks(params: ShuffleNetV2Params, rules: FusionRules) -> None:
    space, fuser = ShuffleNetV2Space(params), Fuser(rules)
    array = space.sample_array(6, np.random.default_rng(3))
    kernels, counts = space.kernel_counts(array, rules)
    for genotype, row in zip(space.from_array(array), counts, strict=True):
        counted = {kernel: count for kernel, count in zip(kernels, row.tolist(), strict=True) if count}
        assert counted == Counter(fuser(space.lower(genotype)))


def test_arrays_are_the_genotypes() -> None:
    genotypes = [SPACE.sample(np.random.default_rng(seed)) for seed in range(5)]
    array = SPACE.to_array(genotypes)
    assert SPACE.from_array(array) == genotypes
    assert SPACE.to_array([]).shape == (0, 8)
    for wrong in (array[0], array[:, :3], array.astype(float), array + 16, array.astype(int) - 16):
        with pytest.raises(GenotypeError):
            SPACE.kernel_counts(wrong, FUSION_RULES["litert"])


@pytest.mark.parametrize(
    ("setting", "value"),
    [("blocks", ()), ("blocks", (2, 2)), ("blocks", (2, 0, 2)), ("channels", (8, 8, 0)), ("stem", 0), ("head", 0),
     ("width", 0.0), ("ratios", ()), ("ratios", (1.0, 1.0)), ("ratios", (0.0,)), ("operations", ()), ("classes", 1),
     ("operations", ("shuffle_9x9",)), ("image_shape", (8, 8))],
)  # fmt: skip
def test_settings_out_of_range_are_refused(setting: str, value: object) -> None:
    with pytest.raises(SearchError):
        ShuffleNetV2Space(replace(SMALL, **{setting: value}))  # type: ignore[arg-type]
