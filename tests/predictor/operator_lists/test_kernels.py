from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor.operator_lists import OperatorLists
from predictor.operator_lists._kernels import KINDS

CONV = ["conv", 8, 8, 16, 8, 8, 32, 3, 1]
RELU = ["relu", 8, 8, 32, 8, 8, 32, 0, 0]
CONCAT = ["concat", 8, 8, 32, 8, 8, 32, 2, 0]
SQUEEZE = ["se", 8, 8, 32, 8, 8, 32, 8, 0]


def _executed(graph: list[list[str | int]]) -> dict[str, float]:
    networks = OperatorLists.of([graph])
    return {
        KINDS[kind]: float(networks.counts[:, np.flatnonzero(networks.kernels.kind == kind)].sum())
        for kind in np.unique(networks.kernels.kind)
    }


def test_a_relu_after_a_convolution_is_one_kernel_with_it() -> None:
    assert _executed([CONV, RELU]) == {"conv3": 1.0}


def test_a_relu_after_a_concat_is_a_batch_norm_that_costs() -> None:
    assert _executed([CONCAT, RELU]) == {"concat": 1.0, "normalised": 1.0}


def test_a_relu_after_a_squeeze_excite_is_a_pass_of_its_own() -> None:
    assert _executed([SQUEEZE, RELU]) == {"squeeze_excite": 1.0, "activation": 1.0}


def test_fusing_does_not_reach_into_the_next_network() -> None:
    networks = OperatorLists.of([[CONV], [RELU]])
    assert networks.counts.sum(axis=1).tolist() == [1.0, 1.0]


def test_an_operator_without_a_kind_is_kept_as_unknown() -> None:
    assert _executed([["softmax", 1, 1, 10, 1, 1, 10, 0, 0]]) == {"unknown": 1.0}


def test_a_convolution_of_an_image_is_a_first_layer() -> None:
    assert _executed([["conv", 8, 8, 3, 8, 8, 32, 3, 1]]) == {"first": 1.0}


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(st.sampled_from([CONV, RELU, CONCAT, SQUEEZE]), min_size=1, max_size=8), min_size=1, max_size=6)
)
def test_networks_together_are_what_they_are_alone(graphs: list[list[list[str | int]]]) -> None:
    together = OperatorLists.of(graphs)
    for index, graph in enumerate(graphs):
        alone, picked = OperatorLists.of([graph]), together.selected(np.array([index]))
        assert alone.counts.sum() == picked.counts.sum()
        assert sorted(alone.kernels.kind) == sorted(picked.kernels.kind)


@pytest.mark.parametrize(
    "row",
    [["conv", 8, 8], ["conv", 8, 8, -1, 8, 8, 32, 3, 1], ["conv", 8, 8, float("nan"), 8, 8, 32, 3, 1], [1] * 9],
)
def test_a_row_that_is_none_is_refused(row: list[str | int]) -> None:
    with pytest.raises(ValueError, match=r"."):
        OperatorLists.of([[row]])


def test_a_network_without_operators_is_refused() -> None:
    with pytest.raises(ValueError, match="network 2 has no operators"):
        OperatorLists.of([[CONV], []])
