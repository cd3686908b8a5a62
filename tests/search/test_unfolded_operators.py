"""All operators that can be trained compute what the exported network computes, gradients included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.formats import build_torch
from profiler.network import (
    Concat,
    Conv2d,
    Dense,
    GlobalAvgPool2d,
    Network,
    Operator,
    Reshape,
    Softmax,
    Split,
    TensorSpec,
)
from profiler.zoo import mobilenet_v2, mobilenet_v3_small, shufflenet_v2
from search.errors import SupernetError
from search.unfolded import (
    FixedStatistics,
    RecordingStatistics,
    UnfoldedNetwork,
    batch_statistics,
    initial_weights,
)
from tests.search._networks import classifiers


def drawn_weights(unfolded: UnfoldedNetwork, seed: int) -> dict[str, torch.Tensor]:
    """Weights none of which is at rest: not 0, not the identity."""
    rng = np.random.default_rng(seed)
    weights = initial_weights(unfolded.weight_shapes, rng)
    with torch.no_grad():
        for name, weight in weights.items():
            if "/kernel" not in name:
                weight.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, tuple(weight.shape)).astype(np.float32)))
    return weights


def images_for(network: Network, count: int, seed: int) -> torch.Tensor:
    _, height, width, channels = network.inputs[0].shape
    drawn = np.random.default_rng(seed).standard_normal((count, height, width, channels), dtype=np.float32)
    return torch.from_numpy(drawn).permute(0, 3, 1, 2)


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Compare within 1e-4 of the largest value: rounding grows with the values it happens to."""
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * max(1.0, float(expected.detach().abs().max())))


@settings(deadline=None, max_examples=100)
@given(classifiers(), st.integers(0, 2**32 - 1))
def test_what_is_trained_computes_what_is_exported(network: Network, seed: int) -> None:
    unfolded = UnfoldedNetwork(network)
    weights, images = drawn_weights(unfolded, seed), images_for(network, 3, seed)
    recording = RecordingStatistics()
    with torch.no_grad():
        unfolded.run(weights, images, recording)
    statistics = recording.statistics()
    images.requires_grad_()
    logits = unfolded.run(weights, images, FixedStatistics(statistics))
    (exported,) = build_torch(unfolded.fold(weights, statistics))(images.permute(0, 2, 3, 1))
    assert_close(logits, exported)
    towards = torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed % 2**31))
    found, expected = (torch.autograd.grad(values, images, towards)[0] for values in (logits, exported))
    assert_close(found, expected)


@pytest.mark.parametrize(
    "network",
    [mobilenet_v2(32, 0.25, 4), mobilenet_v3_small(32, 4), shufflenet_v2(32, 4)],
    ids=lambda network: network.name,
)
def test_networks_of_the_zoo_can_be_trained(network: Network) -> None:
    unfolded = UnfoldedNetwork(network)
    weights = initial_weights(unfolded.weight_shapes, np.random.default_rng(0))
    unfolded.run(weights, images_for(network, 4, 0), batch_statistics).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in weights.values())


def test_a_gate_after_a_global_pool_keeps_its_bias() -> None:
    shapes = UnfoldedNetwork(mobilenet_v3_small(32, 4)).weight_shapes
    gates = {name for name in shapes if "/excite/" in name}
    assert gates
    assert {name.rpartition("/")[2] for name in gates} == {"kernel", "bias"}


def network_of(*operators: Operator) -> Network:
    return Network("odd", [TensorSpec("image", (1, 4, 4, 2))], operators, [operators[-1].outputs[0]])


@pytest.mark.parametrize(
    ("operator", "problem"),
    [
        (Softmax("odd", ("image",)), "'odd' of kind 'softmax' cannot be trained"),
        (Concat("odd", ("image", "image"), axis=0), "'odd' works across images"),
        (Reshape("odd", ("image",), (2, 16)), "'odd' works across images"),
    ],
)
def test_an_operator_that_cannot_be_trained_is_named(operator: Operator, problem: str) -> None:
    with pytest.raises(SupernetError, match=problem):
        UnfoldedNetwork(network_of(operator))


def test_only_the_kernel_of_the_output_starts_at_zero() -> None:
    network = network_of(
        GlobalAvgPool2d("pool", ("image",)), Dense("hidden", ("pool",), 40), Dense("logits", ("hidden",), 3)
    )
    unfolded = UnfoldedNetwork(network, {"logits": ("a", "b")})
    assert unfolded.output_kernels == {"logits/kernel/a", "logits/kernel/b"}
    weights = initial_weights(unfolded.weight_shapes, np.random.default_rng(0), zero=unfolded.output_kernels)
    assert all(weights[name].abs().max() == 0 for name in unfolded.output_kernels)
    assert weights["hidden/kernel"].std().item() == pytest.approx(1.0, rel=0.3)


def test_a_network_that_ends_in_a_convolution_has_no_output_kernel() -> None:
    unfolded = UnfoldedNetwork(network_of(Conv2d("maps", ("image",), 3), GlobalAvgPool2d("logits", ("maps",))))
    assert unfolded.output_kernels == frozenset()


def test_parts_of_a_split_that_nothing_reads_do_no_harm() -> None:
    network = network_of(Split("halves", ("image",), 2), GlobalAvgPool2d("logits", ("halves:1",)))
    images = images_for(network, 2, 0)
    found = UnfoldedNetwork(network).run({}, images, RecordingStatistics())
    torch.testing.assert_close(found, images[:, 1:].mean(dim=(2, 3)))
