"""Predicting counts of kernels says the same as predicting the networks one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor import NetworkPredictor
from predictor.errors import NotFittedError, OutOfDomainError, PredictorError
from profiler.kernels import Fuser, Kernel, random_kernels
from profiler.network import Add, Conv2d, HardSwish, Network, TensorSpec
from tests.predictor._synthetic import law_table, network_rows, some_networks, table_of_rows


@pytest.fixture(scope="module")
def whole_predictor() -> NetworkPredictor:
    """Learned from whole networks alone: its kernels share their errors."""
    rng = np.random.default_rng(7)
    return NetworkPredictor().fit(table_of_rows(network_rows(some_networks(40, rng), rng)))


def counted(networks: Sequence[Network], predictor: NetworkPredictor) -> tuple[list[Kernel], np.ndarray]:
    fuser = Fuser(predictor.fusion)
    own = [Counter(fuser(network)) for network in networks]
    kernels = list(dict.fromkeys(kernel for counts in own for kernel in counts))
    return kernels, np.array([[counts[kernel] for kernel in kernels] for counts in own], dtype=np.uint8)


def assert_same(predictor: NetworkPredictor, networks: Sequence[Network], *, order: np.random.Generator) -> None:
    kernels, counts = counted(networks, predictor)
    columns = order.permutation(len(kernels))
    found = predictor.predict_counts([kernels[column] for column in columns], counts[:, columns], allow_unknown=True)
    expected = predictor.predict_many(networks, allow_unknown=True)
    assert len(found) == len(networks)
    for name in ("latency_ms", "low_ms", "high_ms"):
        np.testing.assert_allclose(getattr(found, name), [getattr(one, name) for one in expected], rtol=1e-9)
    assert found.in_domain.tolist() == [one.in_domain for one in expected]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_counts_are_predicted_like_networks(network_predictor: NetworkPredictor, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    assert_same(network_predictor, some_networks(count, rng), order=rng)


def test_shared_errors_are_composed_likewise(whole_predictor: NetworkPredictor) -> None:
    rng = np.random.default_rng(8)
    assert_same(whole_predictor, some_networks(30, rng), order=rng)


def test_without_measured_networks_too() -> None:
    rng = np.random.default_rng(9)
    assert_same(NetworkPredictor().fit(law_table(100)), some_networks(10, rng), order=rng)


def test_a_network_with_an_unknown_kernel_is_out_of_domain_and_the_others_are_not(
    network_predictor: NetworkPredictor,
) -> None:
    rng = np.random.default_rng(10)
    strange = Network("strange", [TensorSpec("x", (1, 14, 14, 8))], [HardSwish("a", ("x",))], ["a"])
    networks = [*some_networks(3, rng), strange]
    assert_same(network_predictor, networks, order=rng)
    kernels, counts = counted(networks, network_predictor)
    found = network_predictor.predict_counts(kernels, counts, allow_unknown=True)
    assert found.in_domain.any()
    assert not found.in_domain[-1]
    assert (found.latency_ms > 0).all()
    with pytest.raises(OutOfDomainError, match="hard_swish"):
        network_predictor.predict_counts(kernels, counts)
    # A kernel that no network has is no reason to refuse.
    network_predictor.predict_counts(kernels, counts[:3])


def test_a_chunk_changes_nothing(network_predictor: NetworkPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels, counts = counted(some_networks(50, np.random.default_rng(11)), network_predictor)
    whole = network_predictor.predict_counts(kernels, counts)
    monkeypatch.setattr("predictor._batch._CHUNK_CELLS", 7 * len(kernels))
    parts = network_predictor.predict_counts(kernels, counts)
    np.testing.assert_allclose(parts.high_ms, whole.high_ms, rtol=1e-12)


def test_none_are_predicted_of_none(network_predictor: NetworkPredictor) -> None:
    assert len(network_predictor.predict_counts([], np.zeros((0, 0), dtype=np.uint8))) == 0


def test_counts_of_another_form_are_refused(network_predictor: NetworkPredictor) -> None:
    kernels = random_kernels(2, np.random.default_rng(12), kinds=("conv2d",))
    for counts, problem in (
        (np.ones((3, 1), dtype=np.uint8), "shape"),
        (np.ones(2, dtype=np.uint8), "shape"),
        (np.array([[1, -1]]), "below 0"),
        (np.array([[1.0, np.nan]]), "no number"),
        (np.array([[1, 0], [0, 0]]), "network 2 has no kernels"),
    ):
        with pytest.raises(PredictorError, match=problem):
            network_predictor.predict_counts(kernels, counts)
    with pytest.raises(PredictorError, match="two columns"):
        network_predictor.predict_counts([kernels[0], kernels[0]], np.ones((1, 2)))
    with pytest.raises(NotFittedError):
        NetworkPredictor().predict_counts(kernels, np.ones((1, 2)))


def test_sums_read_twice_are_their_own_kernel(network_predictor: NetworkPredictor) -> None:
    operators = [Conv2d("a", ("x",), 8, (1, 1)), Add("b", ("a", "a"))]
    network = Network("double", [TensorSpec("x", (1, 14, 14, 8))], operators, ["b"])
    assert_same(network_predictor, [network], order=np.random.default_rng(13))
