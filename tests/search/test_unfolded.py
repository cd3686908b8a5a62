from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from profiler.network import Add, Conv2d, Dense, DepthwiseConv2d, GlobalAvgPool2d, Network, Relu, TensorSpec
from search.errors import SupernetError
from search.unfolded import (
    EPSILON,
    FixedStatistics,
    RecordingStatistics,
    UnfoldedNetwork,
    batch_statistics,
    initial_weights,
)
from tests.runtimes import run_torch

NETWORK = Network(
    "small",
    [TensorSpec("image", (1, 6, 6, 2))],
    [
        Conv2d("first", ("image",), 4, stride=(2, 2)),
        Relu("active", ("first",)),
        DepthwiseConv2d("second", ("active",), dilation=(2, 2)),
        Add("sum", ("second", "active")),
        GlobalAvgPool2d("pool", ("sum",)),
        Dense("logits", ("pool",), 3),
    ],
    ["logits"],
)


def unfolded_with_weights() -> tuple[UnfoldedNetwork, dict[str, torch.Tensor]]:
    unfolded = UnfoldedNetwork(NETWORK)
    rng = np.random.default_rng(0)
    drawn = {name: rng.uniform(0.5, 1.5, shape) for name, shape in unfolded.weight_shapes.items()}
    return unfolded, {name: torch.from_numpy(value.astype(np.float32)) for name, value in drawn.items()}


def test_a_biased_convolution_carries_a_batch_norm_and_a_dense_layer_its_bias() -> None:
    shapes = UnfoldedNetwork(NETWORK).weight_shapes
    assert shapes == {
        "first/kernel": (4, 2, 3, 3),
        "first/scale": (4,),
        "first/shift": (4,),
        "second/kernel": (4, 1, 3, 3),
        "second/scale": (4,),
        "second/shift": (4,),
        "logits/kernel": (3, 4),
        "logits/bias": (3,),
    }


def test_a_folded_network_computes_the_same() -> None:
    unfolded, weights = unfolded_with_weights()
    images = torch.randn(5, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    recording = RecordingStatistics()
    unfolded.run(weights, images, recording)
    expected = unfolded.run(weights, images, FixedStatistics(recording.statistics()))
    folded = unfolded.fold(weights, recording.statistics())
    found = run_torch(folded, [images.permute(0, 2, 3, 1).numpy()])[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)
    assert folded.key == NETWORK.key


def test_recorded_statistics_of_one_batch_are_the_batch_s() -> None:
    unfolded, weights = unfolded_with_weights()
    images = torch.randn(8, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    recording = RecordingStatistics()
    by_record = unfolded.run(weights, images, recording)
    torch.testing.assert_close(by_record, unfolded.run(weights, images, batch_statistics))
    fixed = unfolded.run(weights, images, FixedStatistics(recording.statistics()))
    torch.testing.assert_close(fixed, by_record, rtol=1e-4, atol=1e-5)


def test_statistics_of_parts_add_up_to_those_of_the_whole() -> None:
    values = torch.randn(10, 3, 4, 4, generator=torch.Generator().manual_seed(2)) * 3 + 5
    recording = RecordingStatistics()
    for part in values.split([3, 7]):
        recording("here", part)
    found = recording.statistics()["here"]
    torch.testing.assert_close(found.mean, values.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(found.variance, values.var(dim=(0, 2, 3), correction=0), rtol=1e-4, atol=1e-5)


def test_batch_norm_is_that_of_torch() -> None:
    network = Network(
        "one",
        [TensorSpec("image", (1, 4, 4, 2))],
        [
            Conv2d("first", ("image",), 2, (1, 1)),
            GlobalAvgPool2d("pool", ("first",)),
            Dense("logits", ("pool",), 2, False),
        ],
        ["logits"],
    )
    unfolded = UnfoldedNetwork(network)
    weights = {name: torch.ones(shape) for name, shape in unfolded.weight_shapes.items()}
    weights["logits/kernel"] = torch.eye(2)
    images = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(3))
    convolved = functional.conv2d(images, weights["first/kernel"])
    expected = functional.batch_norm(convolved, None, None, torch.ones(2), torch.ones(2), True, eps=EPSILON)
    torch.testing.assert_close(unfolded.run(weights, images, batch_statistics), expected.mean(dim=(2, 3)))


def test_a_kernel_is_cut_into_the_parts_of_its_input() -> None:
    shapes = UnfoldedNetwork(NETWORK, {"logits": ("left", "right"), "absent": ("x",)}).weight_shapes
    assert shapes["logits/kernel/left"] == shapes["logits/kernel/right"] == (3, 2)
    assert "logits/kernel" not in shapes


def test_parts_must_divide_the_channels() -> None:
    with pytest.raises(SupernetError, match="do not divide into 3 parts"):
        UnfoldedNetwork(NETWORK, {"logits": ("a", "b", "c")})


def test_initial_weights_depend_on_the_generator_alone() -> None:
    shapes = UnfoldedNetwork(NETWORK).weight_shapes
    first, again, other = (initial_weights(shapes, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) and first[name].requires_grad for name in shapes)
    assert not torch.equal(first["first/kernel"], other["first/kernel"])
    assert first["first/kernel"].std().item() == pytest.approx((2 / 18) ** 0.5, rel=0.3)
    assert first["first/scale"].min() == 1 and first["logits/bias"].abs().max() == 0
