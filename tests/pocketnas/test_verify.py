"""The second campaign of a verification is of the weights that were trained, not of those before them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pocketnas.verify import finalists_label
from profiler.network import Network


def weights_of(network: Network) -> Mapping[str, npt.NDArray[np.float32]]:
    assert network.weights is not None
    return network.weights


def test_same_weights_have_the_same_label(network: Network) -> None:
    again = Network.from_json(network.to_json()).with_weights(dict(reversed([*weights_of(network).items()])))
    other = network.with_random_weights(np.random.default_rng(1))
    assert finalists_label({"a": network, "b": other}) == finalists_label({"b": other, "a": again})
    assert finalists_label({"a": network}).startswith("finalists-")


def test_other_weights_have_another_label(network: Network) -> None:
    kernel = weights_of(network)["conv/kernel"].copy()
    kernel.flat[-1] = np.nextafter(kernel.flat[-1], np.float32(np.inf))
    moved = network.with_weights({**weights_of(network), "conv/kernel": kernel})
    assert moved.key == network.key
    labels = {
        finalists_label(found) for found in ({"a": network}, {"a": moved}, {"b": network}, {"a": network, "b": moved})
    }
    assert len(labels) == 4
