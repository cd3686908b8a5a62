from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from profiler.catalogues.once_for_all import OnceForAllBlock
from profiler.network import Network, ResizeBilinear
from search.errors import GenotypeError, SearchError
from search.spaces.mobilenetv3 import Layer, MobileNetV3Genotype, MobileNetV3Params, MobileNetV3Space
from search.unfolded import UnfoldedNetwork
from tests.runtimes import run_litert, run_onnxruntime, run_torch

PUBLISHED = MobileNetV3Space(MobileNetV3Params((224, 224, 3), 1000, stages=5, width=1.0))
SMALL = MobileNetV3Space(
    MobileNetV3Params((20, 10, 2), 5, stages=3, depths=(1, 2, 4), resolutions=(12, 20, 16), squeeze_excite="choice")
)
SEEDS = st.integers(0, 2**32 - 1)


def uniform(space: MobileNetV3Space, depth: int, kernel: int, expansion: int) -> MobileNetV3Genotype:
    params = space.params
    layers = [Layer(kernel, expansion, params.excites(stage)[-1]) for stage in range(params.stages)]
    return MobileNetV3Genotype(params.heights[0], tuple((layer,) * depth for layer in layers))


def test_size_of_the_published_space() -> None:
    assert PUBLISHED.size == (9**2 + 9**3 + 9**4) ** 5  # about 2e19, as once-for-all's paper says


def test_every_choice_counts() -> None:
    layers = 3 * 3 * 2
    assert SMALL.size == 3 * (layers + layers**2 + layers**4) ** 3


@pytest.mark.parametrize(("depth", "kernel", "expansion"), [(4, 7, 6), (3, 5, 4), (2, 3, 3)])
def test_blocks_are_those_of_the_lookup_tables(depth: int, kernel: int, expansion: int) -> None:
    """The keys of once-for-all's tables spell out the sizes of each block; each block costs what its key says."""
    network = PUBLISHED.lower(uniform(PUBLISHED, depth, kernel, expansion))
    costs = {place: block_cost(network, place) for place in places(network)}
    size, channels = 112, 16
    outputs = ((24, 2, 0, 0), (40, 2, 1, 0), (80, 2, 0, 1), (112, 1, 1, 1), (160, 2, 1, 1))
    for stage, (output, first_stride, excite, hard_swish) in enumerate(outputs):
        for index in range(depth):
            stride = first_stride if index == 0 else 1
            made, skips = size // stride, int(index > 0)
            block = OnceForAllBlock.parse(
                f"expanded_conv-input:{size}x{size}x{channels}-output:{made}x{made}x{output}"
                f"-expand:{channels * expansion}-kernel:{kernel}-stride:{stride}"
                f"-idskip:{skips}-se:{excite}-hs:{hard_swish}"
            ).to_network()
            assert costs[f"stage{stage}/layer{index}"] == (block.cost().macs, block.cost().parameters)
            size, channels = made, output
    assert network.tensors["head"].shape == (1, 7, 7, 960)
    assert network.tensors["features"].shape == (1, 1280)
    assert len(costs) == 5 * depth


def places(network: Network) -> set[str]:
    return {"/".join(op.name.split("/")[:2]) for op in network.operators if op.name.startswith("stage")}


def block_cost(network: Network, place: str) -> tuple[int, int]:
    """Return multiply-accumulates and parameters of the operators of one place."""
    own = [op for op in network.operators if op.name.startswith(f"{place}/")]
    written = {name for op in own for name in op.outputs}
    read = dict.fromkeys(name for op in own for name in op.inputs if name not in written)
    cost = Network("block", [network.tensors[name] for name in read], own, own[-1].outputs).cost()
    return cost.macs, cost.parameters


def test_the_largest_published_network_has_its_size() -> None:
    cost = PUBLISHED.lower(PUBLISHED.largest()).cost()
    assert cost.parameters / 1e6 == pytest.approx(7.7, abs=0.1)
    assert cost.macs / 1e6 == pytest.approx(566, rel=0.01)


@pytest.mark.parametrize(
    ("image_shape", "stages", "last_map"),
    [
        ((224, 224, 3), 5, (7, 7)),
        ((64, 64, 3), 5, (4, 4)),
        ((32, 32, 3), 4, (4, 4)),
        ((28, 28, 1), 3, (4, 4)),
        ((8, 8, 1), 5, (4, 4)),
        ((2, 9, 1), 1, (2, 9)),
    ],
)
def test_small_images_are_halved_less_often(
    image_shape: tuple[int, int, int], stages: int, last_map: tuple[int, int]
) -> None:
    space = MobileNetV3Space(MobileNetV3Params(image_shape, 10, stages=stages))
    network = space.lower(space.largest())
    assert network.tensors["head"].shape[1:3] == last_map
    assert network.inputs[0].shape == (1, *image_shape)


def test_resolution_is_an_operator_of_the_network() -> None:
    genotype = SMALL.sample(np.random.default_rng(0))
    for resolution, size in ((12, (12, 6)), (16, (16, 8))):
        first = SMALL.lower(replace(genotype, resolution=resolution)).operators[0]
        assert isinstance(first, ResizeBilinear) and first.size == size
    kept = SMALL.lower(replace(genotype, resolution=20))
    assert not any(isinstance(operator, ResizeBilinear) for operator in kept.operators)
    assert kept.inputs[0].shape == (1, 20, 10, 2)


def test_a_narrower_layer_has_parts_of_the_same_weights() -> None:
    wide = UnfoldedNetwork(PUBLISHED.lower(uniform(PUBLISHED, 4, 5, 6))).weight_shapes
    narrow = UnfoldedNetwork(PUBLISHED.lower(uniform(PUBLISHED, 3, 5, 3))).weight_shapes
    assert narrow.keys() < wide.keys()
    assert all(np.less_equal(narrow[name], wide[name]).all() for name in narrow)
    assert wide["stage4/layer1/expand/kernel"] == (960, 160, 1, 1)
    assert narrow["stage4/layer1/expand/kernel"] == (480, 160, 1, 1)
    assert narrow["stage4/layer1/excite/reduce/kernel"] == (120, 480)


def test_windows_have_weights_of_their_own_and_share_the_rest() -> None:
    small = UnfoldedNetwork(PUBLISHED.lower(uniform(PUBLISHED, 2, 3, 3))).weight_shapes
    large = UnfoldedNetwork(PUBLISHED.lower(uniform(PUBLISHED, 2, 7, 3))).weight_shapes
    assert {name for name in small if name not in large} == {name for name in small if "depthwise3x3" in name}
    shared = small.keys() & large.keys()
    assert {name: small[name] for name in shared} == {name: large[name] for name in shared}


def test_a_shallower_stage_is_the_beginning_of_a_deeper_one() -> None:
    deep, shallow = (PUBLISHED.lower(uniform(PUBLISHED, depth, 3, 3)) for depth in (4, 2))
    of_stage = [
        {op.name: op for op in network.operators if op.name.startswith("stage0/")} for network in (deep, shallow)
    ]
    assert of_stage[1].items() <= of_stage[0].items()


def test_covering_has_every_weight_where_squeeze_excite_is_a_choice() -> None:
    covered: dict[str, tuple[int, ...]] = {}
    for genotype in SMALL.covering():
        for name, shape in UnfoldedNetwork(SMALL.lower(genotype)).weight_shapes.items():
            covered[name] = tuple(np.maximum(shape, covered.get(name, shape)))
    rng = np.random.default_rng(0)
    for _ in range(30):
        for name, shape in UnfoldedNetwork(SMALL.lower(SMALL.sample(rng))).weight_shapes.items():
            assert np.less_equal(shape, covered[name]).all()
    resized = {
        op.name for genotype in SMALL.covering() for op in SMALL.lower(genotype).operators if "resize" in op.name
    }
    assert resized == {"resize12x6", "resize16x8"}


def test_depths_are_as_frequent_as_their_networks() -> None:
    rng = np.random.default_rng(0)
    depths = [len(stage) for _ in range(400) for stage in PUBLISHED.sample(rng).stages]
    expected = np.array([9**2, 9**3, 9**4]) / 7371 * len(depths)
    assert stats.chisquare([depths.count(depth) for depth in (2, 3, 4)], expected).pvalue > 0.01


def choices(genotype: MobileNetV3Genotype) -> dict[tuple[object, ...], int]:
    """Return every choice of a genotype by its place."""
    found: dict[tuple[object, ...], int] = {("resolution",): genotype.resolution}
    for stage, layers in enumerate(genotype.stages):
        found["depth", stage] = len(layers)
        for index, layer in enumerate(layers):
            for field in ("kernel", "expansion", "excite"):
                found[field, stage, index] = getattr(layer, field)
    return found


def test_mutation_changes_something_and_most_often_little() -> None:
    rng = np.random.default_rng(0)
    counts, wanted = [], []
    for _ in range(300):
        genotype = SMALL.sample(rng)
        before, after = choices(genotype), choices(SMALL.mutate(genotype, rng))
        counts.append(sum(after.get(place, value) != value for place, value in before.items()))
        wanted.append(0.1 * len(before) + 0.9 ** len(before))
        assert before != after
    # A change in a layer that is then cut off does not count.
    assert 0.85 * np.mean(wanted) < np.mean(counts) < 1.1 * np.mean(wanted)


def test_a_space_of_one_network_has_nothing_to_mutate() -> None:
    params = MobileNetV3Params((8, 8, 1), 4, stages=1, depths=(2,), kernels=(3,), expansions=(3,))
    space, rng = MobileNetV3Space(params), np.random.default_rng(0)
    assert space.size == 1
    assert space.mutate(space.sample(rng), rng) == space.sample(rng) == space.largest()


@settings(deadline=None, max_examples=40)
@given(SEEDS)
def test_children_have_each_choice_from_a_parent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = SMALL.sample(rng), SMALL.sample(rng)
    child = choices(SMALL.crossover(first, second, rng))
    ours, theirs = choices(first), choices(second)
    assert all(value in (ours.get(place), theirs.get(place)) for place, value in child.items())


def test_children_mix_their_parents() -> None:
    rng = np.random.default_rng(0)
    first, second = (uniform(SMALL, 4, kernel, expansion) for kernel, expansion in ((3, 3), (7, 6)))
    children = [SMALL.crossover(first, second, rng) for _ in range(20)]
    layers = [layer for child in children for stage in child.stages for layer in stage]
    assert {(layer.kernel, layer.expansion) for layer in layers} == set(itertools.product((3, 7), (3, 6)))


def test_features_are_one_hot() -> None:
    rng = np.random.default_rng(0)
    genotypes = [SMALL.sample(rng) for _ in range(20)]
    rows = SMALL.features(genotypes)
    assert rows.shape == (20, 3 + 3 * (3 + 4 * (3 + 3 + 2)))
    assert set(np.unique(rows)) == {0.0, 1.0}
    assert rows.sum(axis=1).tolist() == [len(choices(genotype)) for genotype in genotypes]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"image_shape": (0, 8, 1)}, "images must have"),
        ({"classes": 1}, "classes >= 2"),
        ({"stages": 6}, "stages must be from 1 to 5"),
        ({"stages": 0}, "stages must be from 1 to 5"),
        ({"width": 0.0}, "width must be > 0"),
        ({"width": float("nan")}, "width must be > 0"),
        ({"depths": ()}, "depths must be different whole numbers from 1 to 8"),
        ({"depths": (2, 2)}, "depths must be different"),
        ({"kernels": (3, 4)}, "kernels must be odd"),
        ({"expansions": (0,)}, "expansions must be different whole numbers from 1"),
        ({"resolutions": (-8,)}, "resolutions must be different"),
        ({"squeeze_excite": "always"}, "one of published, choice, never, not 'always'"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, object], message: str) -> None:
    params = {"image_shape": (8, 8, 1), "classes": 4, **setting}
    with pytest.raises(SearchError, match=message):
        MobileNetV3Space(MobileNetV3Params(**params))  # type: ignore[arg-type]


LAYER = [3, 3, True]


@pytest.mark.parametrize(
    ("resolution", "stages", "message"),
    [
        (20.0, [[LAYER]] * 3, "resolution: must be one of 12, 20, 16"),
        (True, [[LAYER]] * 3, "resolution: must be one of"),
        (20, [[LAYER]] * 2, "stages: must be a list of 3 stages"),
        (20, [[LAYER], [], [LAYER]], r"stages\[1\]: must be a list of layers, as many as one of 1, 2, 4"),
        (20, [[LAYER]] * 2 + [[LAYER] * 3], r"stages\[2\]: must be a list of layers"),
        (20, [[LAYER]] * 2 + [[[3, 3]]], r"stages\[2\]\[0\]: must be \[kernel, expansion, excite\]"),
        (20, [[LAYER]] * 2 + [[[3, 3, 1]]], r"stages\[2\]\[0\]: must be \[kernel, expansion, excite\]"),
        (20, [[LAYER]] * 2 + [[LAYER, [9, 3, True]]], r"stages\[2\]\[1\]: kernel must be one of 3, 5, 7"),
        (20, [[[3, 5, False]]] + [[LAYER]] * 2, r"stages\[0\]\[0\]: expansion must be one of 3, 4, 6"),
    ],
)
def test_damaged_encodings_say_where_and_why(resolution: object, stages: object, message: str) -> None:
    with pytest.raises(GenotypeError, match=message):
        SMALL.decode({"resolution": resolution, "stages": stages})


def test_squeeze_excite_is_where_it_is_published() -> None:
    encoded = PUBLISHED.encode(PUBLISHED.largest())
    stages = encoded["stages"]
    assert isinstance(stages, list)
    stages[0][0] = [3, 3, True]
    with pytest.raises(GenotypeError, match=r"stages\[0\]\[0\]: excite must be False"):
        PUBLISHED.decode(encoded)


@settings(deadline=None, max_examples=6)
@given(SEEDS)
def test_networks_run_alike_everywhere(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = SMALL.lower(SMALL.sample(rng)).with_random_weights(rng)
    image = rng.random((1, 20, 10, 2), dtype=np.float32)
    expected = run_torch(network, [image])[0]
    tolerance = 1e-4 * float(np.abs(expected).max())
    for run in (run_litert, run_onnxruntime):
        np.testing.assert_allclose(run(network, [image])[0], expected, rtol=1e-4, atol=tolerance)
