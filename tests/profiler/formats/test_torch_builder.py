from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from profiler.errors import NetworkError, ShapeError
from profiler.formats import NetworkModule, build_torch
from profiler.network import (
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthToSpace,
    GlobalAvgPool2d,
    Mean,
    Network,
    Opaque,
    PRelu,
    Relu,
    ResizeBilinear,
    Split,
    TensorSpec,
    TransposeConv2d,
)
from tests.runtimes import random_inputs
from tests.strategies import networks

IMAGE = TensorSpec("image", (2, 8, 8, 4))


def classifier() -> Network:
    operators = [
        Conv2d("conv", ("image",), 8, stride=(2, 2)),
        Relu("relu", ("conv",)),
        GlobalAvgPool2d("pool", ("relu",)),
        Dense("logits", ("pool",), 3),
    ]
    return Network("classifier", [IMAGE], operators, ["logits"]).with_random_weights(np.random.default_rng(0))


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_the_module_gives_back_the_very_network(network: Network) -> None:
    returned = build_torch(network).to_network()
    assert returned.weights is not None
    assert returned == network.with_weights(network.weights or {})


def test_it_learns_and_gives_back_what_it_learned() -> None:
    network = classifier()
    module = build_torch(network)
    images = torch.from_numpy(np.concatenate(random_inputs(network, 0)))
    labels = torch.tensor([0, 2])
    losses = []
    for _ in range(30):
        (logits,) = module(images)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    trained = module.to_network()
    assert trained.key == network.key
    assert trained != network
    with torch.no_grad():
        torch.testing.assert_close(build_torch(trained)(images), module(images), rtol=0, atol=0)


def test_weights_that_are_not_finite_are_refused() -> None:
    module = build_torch(classifier())
    with torch.no_grad():
        next(module.parameters())[0] = float("nan")
    with pytest.raises(ShapeError, match="not finite"):
        module.to_network()


def test_torch_export_takes_it() -> None:
    operators = [
        Conv2d("conv", ("image",), 8, stride=(2, 2)),
        PRelu("prelu", ("conv",)),
        Split("split", ("prelu",), 2),
        AvgPool2d("average", ("split:0",), (3, 3), (2, 2), "same"),
        TransposeConv2d("up", ("average",), 4, (3, 3)),
        Concat("concat", ("up", "split:1")),
        ChannelShuffle("shuffle", ("concat",), 2),
        DepthToSpace("pixels", ("shuffle",), 2),
        ResizeBilinear("small", ("pixels",), (5, 5), "asymmetric"),
        Mean("mean", ("small",), (1, -2)),
    ]
    network = Network("export", [IMAGE], operators, ["mean"]).with_random_weights(np.random.default_rng(0))
    module = build_torch(network).eval()
    inputs = tuple(map(torch.from_numpy, random_inputs(network, 0)))
    exported = torch.export.export(module, inputs)
    torch.testing.assert_close(exported.module()(*inputs), module(*inputs))


def test_convolutions_move_no_data_to_change_the_layout() -> None:
    module = build_torch(classifier())
    convolution = module.operators[0]
    image = torch.randn(2, 8, 8, 4)
    output = convolution(image)
    assert image.permute(0, 3, 1, 2).is_contiguous(memory_format=torch.channels_last)
    assert output.is_contiguous()  # NHWC as it lies in memory


def test_a_stride_along_an_axis_with_one_output_does_no_harm() -> None:
    """oneDNN 3.12 reads beyond the image here when it is told the stride."""
    image = TensorSpec("image", (2, 15, 1, 1))
    network = Network("idle", [image], [Conv2d("c", ("image",), 1, (3, 2), (1, 3))], ["c"])
    module = build_torch(network.with_random_weights(np.random.default_rng(0)))
    values = torch.from_numpy(random_inputs(network, 0)[0])
    with torch.no_grad():
        (single,) = module(values)
        (double,) = module.double()(values.double())
    assert single.shape == network.tensors["c"].shape
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-5)


def test_every_tensor_can_be_seen() -> None:
    network = classifier()
    tensors = build_torch(network).run_all(random_inputs(network, 0))
    assert {name: array.shape for name, array in tensors.items()} == {
        name: spec.shape for name, spec in network.tensors.items()
    }


def test_inputs_that_do_not_fit_are_refused() -> None:
    module = build_torch(classifier())
    with pytest.raises(NetworkError, match=r"wanted image \(2, 8, 8, 4\)"):
        module.run_all([np.zeros((2, 4, 8, 8), np.float32)])
    with pytest.raises(NetworkError, match="not finite"):
        module.run_all([np.full(IMAGE.shape, np.nan, np.float32)])


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(NetworkError, match="has no weights"):
        build_torch(classifier().without_weights())
    opaque = Opaque("mystery", ("image",), "WHERE_AM_I", (TensorSpec("out", (1, 2)),))
    with pytest.raises(NetworkError, match="WHERE_AM_I"):
        build_torch(Network("test", [IMAGE], [opaque], ["out"]))


def test_a_built_module_is_a_network_module() -> None:
    assert isinstance(build_torch(classifier()), NetworkModule)
