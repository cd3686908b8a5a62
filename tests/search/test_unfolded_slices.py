"""A network on weights larger than its own takes leading channels and centred windows of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.network import Dense, GlobalAvgPool2d, Network, TensorSpec
from search._slices import part
from search.errors import SupernetError
from search.unfolded import FixedStatistics, RecordingStatistics, UnfoldedNetwork, batch_statistics
from tests.search._networks import classifiers
from tests.search.test_unfolded_operators import drawn_weights, images_for

TWO_CHANNELS = Network(
    "two",
    [TensorSpec("image", (1, 4, 4, 2))],
    [GlobalAvgPool2d("pool", ("image",)), Dense("logits", ("pool",), 3)],
    ["logits"],
)


def enlarged(weights: dict[str, torch.Tensor], rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Put each weight into a larger one of noise, by hand: channels at the front, windows in the middle."""
    larger = {}
    for name, weight in weights.items():
        more = rng.integers(0, 3, weight.dim())
        padding: list[int] = []
        for axis in reversed(range(weight.dim())):
            padding += [0, int(more[axis])] if axis < 2 else [int(more[axis]), int(more[axis])]
        inside = torch.nn.functional.pad(torch.ones(weight.shape), padding)
        held = torch.nn.functional.pad(weight.detach(), padding)
        noise = torch.from_numpy(rng.standard_normal(tuple(inside.shape), dtype=np.float32))
        larger[name] = torch.where(inside > 0, held, noise).requires_grad_()
    return larger


@settings(deadline=None, max_examples=40)
@given(classifiers(), st.integers(0, 2**32 - 1))
def test_larger_weights_change_nothing(network: Network, seed: int) -> None:
    unfolded = UnfoldedNetwork(network)
    own, images = drawn_weights(unfolded, seed), images_for(network, 3, seed)
    shared = enlarged(own, np.random.default_rng(seed))
    recording = RecordingStatistics()
    with torch.no_grad():
        unfolded.run(own, images, recording)
    statistics = FixedStatistics(recording.statistics())
    towards = torch.ones(3, 3)
    expected, found = (unfolded.run(weights, images, statistics) for weights in (own, shared))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, float(expected.detach().abs().max())))
    unfolded.run(own, images, statistics).backward(towards)
    unfolded.run(shared, images, statistics).backward(towards)
    for name, weight in own.items():
        if weight.grad is None:
            assert shared[name].grad is None
            continue
        gradient = shared[name].grad
        assert gradient is not None
        index = part(tuple(shared[name].shape), tuple(weight.shape))
        scale = max(1.0, float(weight.grad.abs().max()))
        torch.testing.assert_close(gradient[index], weight.grad, rtol=1e-3, atol=1e-4 * scale)
        gradient[index] = 0
        assert gradient.abs().max() == 0
    assert unfolded.fold(own, recording.statistics()) == unfolded.fold(shared, recording.statistics())


def test_parts_of_an_input_are_sliced_each_by_itself() -> None:
    unfolded = UnfoldedNetwork(TWO_CHANNELS, {"logits": ("left", "right")})
    weights = drawn_weights(unfolded, 0)
    shared = enlarged(weights, np.random.default_rng(1))
    images = images_for(TWO_CHANNELS, 4, 0)
    expected, found = (unfolded.run(each, images, batch_statistics) for each in (weights, shared))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("problem", ["missing", "too small"])
def test_weights_that_do_not_hold_the_network_s_are_refused(problem: str) -> None:
    unfolded = UnfoldedNetwork(TWO_CHANNELS)
    weights = drawn_weights(unfolded, 0)
    if problem == "missing":
        del weights["logits/kernel"]
        expected = "there is no weight 'logits/kernel'"
    else:
        weights["logits/kernel"] = torch.ones(3, 1)
        expected = r"weight 'logits/kernel' of shape \(3, 1\) has no part of shape \(3, 2\)"
    with pytest.raises(SupernetError, match=expected):
        unfolded.run(weights, images_for(TWO_CHANNELS, 1, 0), batch_statistics)


def test_a_centred_window_of_even_and_odd_sizes() -> None:
    assert part((1, 1, 7, 4), (1, 1, 3, 2))[2:] == (slice(2, 5), slice(1, 3))
    assert part((8, 6), (5, 6)) == (slice(0, 5), slice(0, 6))
