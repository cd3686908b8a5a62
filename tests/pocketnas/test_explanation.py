"""Explanations add up, say what kernels wait for and rest on, and advise nothing that would not help."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from pocketnas._advice import advise
from pocketnas.explanation import Amounts, DeviceExplanation, Evidence, ExplainedKernel, explain_network
from predictor import Bound, NetworkPredictor, Roofline, training_rows
from predictor.errors import OutOfDomainError
from profiler.network import Conv2d, HardSwish, Network, TensorSpec
from tests.predictor._synthetic import law_table, some_networks


@pytest.fixture(scope="module")
def predictor() -> NetworkPredictor:
    return NetworkPredictor().fit(law_table(200, networks=12))


def test_parts_sum_to_the_prediction(predictor: NetworkPredictor) -> None:
    for network in some_networks(5, np.random.default_rng(3)):
        told = explain_network(predictor, network)
        prediction = told.prediction
        assert prediction == predictor.predict(network)
        call_share = prediction.call_ms / prediction.latency_ms
        kernels_ms = sum(kernel.amounts.latency_ms for kernel in told.kernels)
        assert kernels_ms + prediction.call_ms == pytest.approx(prediction.latency_ms)
        assert sum(kind.latency_ms for kind in told.kinds) + prediction.call_ms == pytest.approx(prediction.latency_ms)
        assert sum(kind.share for kind in told.kinds) + call_share == pytest.approx(1.0)
        assert sum(told.bounds.values()) == pytest.approx(1.0)
        assert sum(kind.kernels for kind in told.kinds) == len(told.kernels) == len(prediction.kernels)
        assert all(sum(kind.bounds.values()) == pytest.approx(1.0) for kind in told.kinds)
        shares = [kind.share for kind in told.kinds]
        assert shares == sorted(shares, reverse=True)


def test_kernels_are_those_of_the_prediction_with_their_work(predictor: NetworkPredictor) -> None:
    (network,) = some_networks(1, np.random.default_rng(4))
    told = explain_network(predictor, network, model="mine")
    assert told.model == "mine"
    shown = [(kernel.amounts.kernel, kernel.kind, kernel.amounts.bound) for kernel in told.kernels]
    assert shown == [(share.kernel, share.kind, share.bound) for share in told.prediction.kernels]
    assert sum(kernel.amounts.mega_macs for kernel in told.kernels) == pytest.approx(network.cost().macs / 1e6)
    for kernel in told.kernels:
        at = kernel.amounts
        assert at.gmac_per_s == pytest.approx(at.macs_per_byte * at.gb_per_s)
        assert 0.0 <= at.weight_share < 1.0
        assert kernel.work_share is not None and kernel.work_share > 0
        assert kernel.evidence in ("measured", "unlike")


def test_a_kind_never_measured_is_an_error_or_called_a_bound(predictor: NetworkPredictor) -> None:
    operators = [Conv2d("conv", ("x",), 16, (3, 3)), HardSwish("swish", ("conv",))]
    network = Network("new", [TensorSpec("x", (1, 28, 28, 8))], operators, ["swish"])
    with pytest.raises(OutOfDomainError, match="hard_swish"):
        explain_network(predictor, network)
    told = explain_network(predictor, network, allow_unknown=True)
    (unknown,) = (kind for kind in told.kinds if kind.kind == "hard_swish")
    assert unknown.evidence == "never"
    assert any("never measured" in line for line in told.advice)


def test_a_table_explains_its_device() -> None:
    rows = training_rows(law_table(200))
    about = DeviceExplanation.of_rows(rows)
    assert about.roofline == Roofline.of_rows(rows)
    assert len(about.kernels) == 200
    document = json.loads(json.dumps(about.document(), allow_nan=False))
    assert sum(family["kernels"] for family in document["families"]) == 200
    for family in document["families"]:
        told = family["compute"] + family["memory"] + family["overhead"] + family["undetermined"]
        assert told == family["kernels"]


def test_a_card_explains_its_device_without_rows_and_with_them(predictor: NetworkPredictor) -> None:
    alone = DeviceExplanation.of_card(predictor.card)
    beside = DeviceExplanation.of_card(predictor.card, training_rows(law_table(200, networks=12)))
    assert alone.roofline == beside.roofline == predictor.card.roofline
    assert alone.kernels == () and len(beside.kernels) == 200
    assert "bench, litert" in alone.configuration


def kernel(
    bound: Bound | None,
    share: float,
    *,
    kind: str = "conv2d",
    window: int = 1,
    weights: float = 0.0,
    work: float = 0.9,
    evidence: Evidence = "measured",
) -> ExplainedKernel:
    amounts = Amounts(f"{kind} 1x8x8x8", kind.split("+", maxsplit=1)[0], window, 1.0, 0.1, weights, share, bound)
    return ExplainedKernel(amounts, kind, share, work, evidence)


def roofline(*undetermined: Bound) -> Roofline:
    return Roofline.fit([], []).model_copy(update={"undetermined": undetermined})


def told(*kernels: ExplainedKernel, limits: Roofline | None = None) -> str:
    call_share = 1.0 - math.fsum(kernel.share for kernel in kernels)
    return "\n".join(advise(kernels, call_share=call_share, roofline=limits or roofline()))


def test_advice_follows_from_what_kernels_wait_for() -> None:
    wide = told(kernel("compute", 0.98, window=9))
    assert wide.startswith("98% waits for arithmetic") and "depthwise" in wide
    assert "depthwise and" not in told(kernel("compute", 0.98)), "a 1x1 convolution cannot be split so"
    assert "depthwise and" not in told(kernel("compute", 0.9), kernel("compute", 0.08, window=9))
    assert "fewer units" in told(kernel("compute", 0.98, kind="dense"))
    assert "activations" in told(kernel("memory", 0.98, kind="add"))
    assert "weights" in told(kernel("memory", 0.98, kind="dense", weights=0.9))
    assert "fewer layers" in told(kernel("overhead", 0.5), kernel("overhead", 0.48))
    assert "the call of the network" in told(kernel("compute", 0.5))


def test_advice_comes_largest_first_and_not_about_trifles() -> None:
    lines = told(kernel("compute", 0.3), kernel("memory", 0.63, kind="add"), kernel("overhead", 0.05)).splitlines()
    assert [line.split()[0] for line in lines] == ["63%", "30%"]


def test_kernels_far_from_the_limits_are_said_to_be_the_runtime_s() -> None:
    slow = told(kernel("memory", 0.6, kind="depthwise_conv2d", work=0.2), kernel("compute", 0.38))
    assert "depthwise_conv2d takes 5.0 times as long" in slow
    assert "times as long" not in told(kernel("memory", 0.6, kind="add", work=0.2, evidence="unlike"))
    assert "times as long" not in told(kernel("overhead", 0.9, work=0.1)), "that is its call"


def test_what_is_not_known_is_said() -> None:
    text = told(kernel(None, 0.5), kernel("memory", 0.48), limits=roofline("compute"))
    assert "For 50% it is not known" in text and "peak" in text
    nothing = "\n".join(advise([kernel(None, 0.9)], call_share=0.1, roofline=None))
    assert "no kernel measured alone" in nothing
    assert "rough bound of 1 kernel" in told(kernel("memory", 0.02, evidence="never"), kernel("memory", 0.96))
