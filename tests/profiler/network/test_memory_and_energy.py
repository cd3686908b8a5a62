"""Memory by hand on small networks, and energy at its published prices."""

from __future__ import annotations

import numpy as np
import pytest

from profiler.network import (
    PICOJOULES_PER_BYTE,
    PICOJOULES_PER_MAC,
    Add,
    Concat,
    Dense,
    Network,
    Relu,
    Split,
    TensorSpec,
    energy_uj,
    peak_memory_bytes,
)
from profiler.zoo import mobilenet_v2

X = TensorSpec("x", (1, 10))


def test_a_chain_holds_two_tensors_at_a_time() -> None:
    network = Network("chain", [X], [Dense("a", ("x",), 20), Relu("b", ("a",)), Dense("c", ("b",), 5)], ["c"])
    weights = 4 * (10 * 20 + 20 + 20 * 5 + 5)
    assert peak_memory_bytes(network) == weights + 4 * (20 + 20)


def test_what_a_sum_needs_later_stays_alive() -> None:
    operators = [Dense("a", ("x",), 10), Dense("b", ("a",), 30), Dense("c", ("b",), 10), Add("d", ("x", "c"))]
    network = Network("residual", [X], operators, ["d"])
    weights = 4 * (10 * 10 + 10 + 10 * 30 + 30 + 30 * 10 + 10)
    # x waits for the sum while b and c are alive together.
    assert peak_memory_bytes(network) == weights + 4 * (10 + 30 + 10)


def test_outputs_stay_to_the_end_and_unread_parts_go_at_once() -> None:
    both = Network("outputs", [X], [Dense("a", ("x",), 50), Dense("b", ("a",), 1), Dense("c", ("b",), 40)], ["a", "c"])
    weights = 4 * (10 * 50 + 50 + 50 + 1 + 40 + 40)
    assert peak_memory_bytes(both) == weights + 4 * (50 + 1 + 40)
    split = Network("parts", [X], [Split("s", ("x",), 2), Relu("r", ("s:0",))], ["r"])
    assert peak_memory_bytes(split) == 4 * (10 + 5 + 5)


def test_a_tensor_that_is_read_twice_counts_once() -> None:
    network = Network("twice", [X], [Relu("r", ("x",)), Concat("c", ("r", "r"))], ["c"])
    assert peak_memory_bytes(network) == 4 * (10 + 20)


def test_energy_is_arithmetic_and_traffic_at_their_prices() -> None:
    network = Network("dense", [X], [Dense("a", ("x",), 20)], ["a"])
    moved = 4 * (10 + 20 + 10 * 20 + 20)
    expected_pj = PICOJOULES_PER_MAC * 200 + PICOJOULES_PER_BYTE * moved
    assert energy_uj(network) == pytest.approx(expected_pj * 1e-6)


def test_a_real_network_needs_more_than_its_weights_and_wider_ones_more() -> None:
    small, large = (mobilenet_v2(width=width) for width in (0.5, 1.0))
    for network in (small, large):
        largest = max(spec.size_bytes for spec in network.tensors.values())
        assert peak_memory_bytes(network) >= 4 * network.cost().parameters + largest
    assert peak_memory_bytes(large) > peak_memory_bytes(small)
    assert energy_uj(large) > energy_uj(small)
    assert np.isfinite(energy_uj(large))
