"""Intervals of networks widen with distance from what was measured."""

import numpy as np
import pytest

from predictor import NetworkPredictor
from profiler.network import Add, Conv2d, Dense, DepthwiseConv2d, GlobalAvgPool2d, Network, Operator, Relu, TensorSpec
from tests.predictor._synthetic import law_table, records, some_networks, table_of_rows


def width(predictor: NetworkPredictor, network: Network) -> float:
    prediction = predictor.predict(network)
    return float(np.log(prediction.high_ms / prediction.low_ms))


def block(size: int, channels: int, window: int = 3, stride: int = 1) -> Network:
    operators: list[Operator] = [
        Conv2d("a", ("x",), channels, (1, 1)), Relu("ar", ("a",)),
        DepthwiseConv2d("d", ("ar",), (window, window), (stride, stride)), Relu("dr", ("d",)),
        GlobalAvgPool2d("p", ("dr",)), Dense("l", ("p",), 10),
    ]  # fmt: skip
    return Network("block", [TensorSpec("x", (1, size, size, channels))], operators, ["l"])


def usual_width(predictor: NetworkPredictor) -> float:
    return float(np.median([width(predictor, n) for n in some_networks(30, np.random.default_rng(90))]))


@pytest.mark.parametrize(
    ("far", "name"),
    [(block(28, 4096), "more channels"), (block(1024, 32), "larger maps"), (block(28, 32, window=21), "wider windows")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_sizes_and_shapes_are_less_certain(network_predictor: NetworkPredictor, far: Network, name: str) -> None:
    assert width(network_predictor, far) > 1.5 * usual_width(network_predictor)
    prediction = network_predictor.predict(far)
    assert not prediction.in_domain
    assert prediction.out_of_domain


def test_width_grows_with_the_distance(network_predictor: NetworkPredictor) -> None:
    widths = [width(network_predictor, block(size, 64)) for size in (56, 224, 896, 3584)]
    assert widths == sorted(widths)
    assert widths[-1] > 2 * widths[0]


def test_families_with_few_rows_are_less_certain() -> None:
    rows = records(law_table(200, networks=25))
    dense = [index for index, record in enumerate(rows) if record["kind"].startswith("dense")]
    adds = Network("adds", [TensorSpec("x", (1, 56, 56, 64))],
                   [Add("a", ("x", "x")), Add("b", ("a", "x")), Add("c", ("b", "a"))], ["c"])  # fmt: skip
    layers = Network("layers", [TensorSpec("x", (1, 512))],
                     [Dense("a", ("x",), 512), Dense("b", ("a",), 512), Dense("c", ("b",), 512)], ["c"])  # fmt: skip
    few = NetworkPredictor().fit(table_of_rows([record for i, record in enumerate(rows) if i not in dense[3:]]))
    many = NetworkPredictor().fit(table_of_rows(rows))
    assert width(few, layers) > 1.5 * width(many, layers)
    assert width(few, adds) < 1.5 * width(many, adds)


def test_the_card_tells_what_to_expect_of_unlike_networks(network_predictor: NetworkPredictor) -> None:
    card = network_predictor.card
    assert card.groups >= 2
    assert card.unlike_networks.cases == card.networks.cases > 0
    assert card.unlike_networks.coverage is not None
    assert card.roofline is not None
    bounds = {share.bound for network in some_networks(5, np.random.default_rng(91))
              for share in network_predictor.predict(network).kernels}  # fmt: skip
    assert bounds <= {"compute", "memory", "overhead", None}
    conv = next(family for family in card.families if family.family == "conv2d")
    low, high = conv.domain["output_channels"]
    assert 1 <= low < high
