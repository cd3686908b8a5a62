"""What verification keeps: measurements of the very weights, and candidates until the places are filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from pocketnas.contest import fill_places
from pocketnas.measuring import trained_label
from pocketnas.result import Candidate, Dropped
from profiler.network import Network


def weights_of(network: Network) -> Mapping[str, npt.NDArray[np.float32]]:
    assert network.weights is not None
    return network.weights


def test_same_weights_have_the_same_label(network: Network) -> None:
    again = Network.from_json(network.to_json()).with_weights(dict(reversed([*weights_of(network).items()])))
    other = network.with_random_weights(np.random.default_rng(1))
    assert trained_label({"a": network, "b": other}) == trained_label({"b": other, "a": again})
    assert trained_label({"a": network}).startswith("finalists-")


def test_other_weights_have_another_label(network: Network) -> None:
    kernel = weights_of(network)["conv/kernel"].copy()
    kernel.flat[-1] = np.nextafter(kernel.flat[-1], np.float32(np.inf))
    moved = network.with_weights({**weights_of(network), "conv/kernel": kernel})
    assert moved.key == network.key
    labels = {
        trained_label(found) for found in ({"a": network}, {"a": moved}, {"b": network}, {"a": network, "b": moved})
    }
    assert len(labels) == 4


def candidate(name: str) -> Candidate:
    return Candidate(
        name=name,
        genotype={},
        network_key=name,
        search_accuracy=0.5,
        predicted_ms=1.0,
        predicted_low_ms=0.9,
        predicted_high_ms=1.1,
    )


@pytest.mark.parametrize(
    ("too_slow", "kept", "tried", "waiting"),
    [
        ("", "abc", ["abc"], "def"),
        ("b", "acd", ["abc", "d"], "ef"),
        ("abd", "cef", ["abc", "de", "f"], ""),
        ("abcdf", "e", ["abc", "def"], ""),
        ("abcdef", "", ["abc", "def"], ""),
    ],
)
def test_places_of_the_dropped_go_to_the_next(too_slow: str, kept: str, tried: list[str], waiting: str) -> None:
    batches: list[str] = []

    def attempt(batch: Sequence[Candidate]) -> tuple[list[Candidate], list[Dropped]]:
        batches.append("".join(entry.name for entry in batch))
        good = [entry for entry in batch if entry.name not in too_slow]
        bad = [Dropped(**entry.model_dump(), reason="slow") for entry in batch if entry.name in too_slow]
        return good, bad

    found, dropped, left = fill_places([candidate(name) for name in "abcdef"], 3, attempt)
    assert "".join(entry.name for entry in found) == kept
    assert batches == tried
    assert "".join(entry.name for entry in left) == waiting
    assert {entry.name for entry in dropped} == set(too_slow) & set("".join(tried))
