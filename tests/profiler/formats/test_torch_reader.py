"""Torch modules read as networks compute the module's numbers, directly and by way of an exported .onnx file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from profiler.errors import ModelFileError
from profiler.formats import read_onnx, read_torch
from profiler.network import Network, Opaque, operator_cost
from tests.runtimes import run_torch


class Residual(nn.Module):
    """A ResNet block with a projection."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out_channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(out_channels)
        self.projection = nn.Sequential(
            nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.first_norm(self.first(x)), inplace=True)
        return functional.relu(self.second_norm(self.second(y)) + self.projection(x))


class InvertedResidual(nn.Module):
    """A MobileNetV3 block with squeeze-and-excite."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 3 * channels
        self.expand = nn.Sequential(nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish())
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 5, 1, 2, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()
        )
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, 4, 1), nn.ReLU(), nn.Conv2d(4, wide, 1), nn.Hardsigmoid()
        )
        self.project = nn.Sequential(nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depthwise(self.expand(x))
        return x + self.project(y * self.squeeze(y))


class ShuffleBlock(nn.Module):
    """ShuffleNet's split, concatenation and shuffle, spelled out as its authors do."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(4, 4, 3, padding="same", padding_mode="zeros"), nn.PReLU(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, changed = x.chunk(2, dim=1)
        joined = torch.cat([kept, self.branch(changed)], dim=1)
        batch, channels, height, width = joined.shape
        joined = joined.view(batch, 2, channels // 2, height, width)
        return joined.transpose(1, 2).contiguous().view(batch, channels, height, width)


class SpelledOut(nn.Module):
    """Activations and constants as people write them by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 6)
        self.norm = nn.BatchNorm2d(6)
        self.register_buffer("mean", torch.linspace(0.2, 0.7, 6).view(1, 6, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - self.mean) / 0.25
        x = x * functional.relu6(x + 3) / 6
        weights = functional.relu6(self.gate(x.mean([2, 3])) + 3) / 6
        x = x * weights.view(x.shape[0], 6, 1, 1)
        return functional.silu(1.5 * self.norm(x) + x.clamp(0, 6)).permute(0, 2, 3, 1).reshape(-1, 6).softmax(1)


def residual_classifier() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
        Residual(8, 12, 2), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 5),
    )  # fmt: skip


def pixel_shuffle_upscaler() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 27, 3, padding=1), nn.PixelShuffle(3),
        nn.Conv2d(3, 12, 3, padding=1), nn.LeakyReLU(0.1), nn.PixelShuffle(2),
    )  # fmt: skip


def flattened_images() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.AvgPool2d(3, 2, 1), nn.ZeroPad2d((1, 0, 2, 0)),
        nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(96, 6), nn.Softmax(-1),
    )  # fmt: skip


def upsampler() -> nn.Module:
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.ConvTranspose2d(3, 4, 4, 2, 1),
        nn.UpsamplingNearest2d(scale_factor=2), nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1),
        nn.UpsamplingBilinear2d(size=(11, 13)), nn.MaxPool2d(2), nn.ConvTranspose2d(4, 2, 2, 2, bias=False),
    )  # fmt: skip


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (residual_classifier, (1, 3, 32, 32)),
    "inverted residual": (lambda: InvertedResidual(4), (2, 4, 9, 7)),
    "shuffle": (ShuffleBlock, (1, 8, 6, 5)),
    "pixel shuffle": (pixel_shuffle_upscaler, (1, 3, 8, 6)),
    "flattened images": (flattened_images, (2, 3, 19, 15)),
    "upsampling": (upsampler, (1, 3, 5, 4)),
    "spelled out": (SpelledOut, (2, 6, 5, 4)),
}


def made(name: str) -> tuple[nn.Module, torch.Tensor]:
    """Return a module with statistics that matter, and an input."""
    make, shape = MODULES[name]
    torch.manual_seed(3)
    module = make()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return module, torch.randn(shape)


def exported(module: nn.Module, x: torch.Tensor) -> bytes:
    """Return what torch's own exporter (the one that needs no further package) writes."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (x,), stream, dynamo=False)
    return stream.getvalue()


def assert_same_numbers(network: Network, module: nn.Module, x: torch.Tensor) -> None:
    with torch.no_grad():
        expected = module.eval()(x).numpy()
    (actual,) = run_torch(network, [x.permute(0, 2, 3, 1).contiguous().numpy()])
    if actual.ndim == 4:
        actual = actual.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_read_with_its_numbers(name: str) -> None:
    module, x = made(name)
    network = read_torch(module, (x,))
    assert "opaque" not in {operator.kind for operator in network.operators}
    assert_same_numbers(network, module, x)


@pytest.mark.parametrize("name", MODULES)
def test_the_exported_onnx_file_is_the_same_network(name: str) -> None:
    module, x = made(name)
    network = read_onnx(exported(module, x))
    assert_same_numbers(network, module, x)
    assert network.key == read_torch(module, (x,)).key


def kinds(network: Network) -> list[str]:
    return [operator.kind for operator in network.operators]


def test_batch_norms_dropout_and_flattening_leave_no_trace() -> None:
    module, x = made("residual")
    assert kinds(read_torch(module, (x,))) == [
        "pad", "conv2d", "relu", "pad", "max_pool2d", "pad", "conv2d", "relu", "conv2d", "conv2d", "add", "relu",
        "global_avg_pool2d", "dense",
    ]  # fmt: skip


def test_spelled_out_activations_become_the_kind_that_they_are() -> None:
    module, x = made("spelled out")
    found = kinds(read_torch(module, (x,)))
    assert found.count("hard_swish") == found.count("hard_sigmoid") == 1
    assert "transpose" not in found


def test_a_shuffle_is_recognised() -> None:
    module, x = made("shuffle")
    assert kinds(read_torch(module, (x,))) == ["split", "conv2d", "prelu", "concat", "channel_shuffle"]


def test_a_pixel_shuffle_costs_nothing_after_a_convolution() -> None:
    module, x = made("pixel shuffle")
    assert kinds(read_torch(module, (x,))) == [
        "conv2d", "relu", "conv2d", "depth_to_space", "conv2d", "prelu", "channel_shuffle", "depth_to_space",
    ]  # fmt: skip


def test_inputs_and_outputs_are_channels_last() -> None:
    network = read_torch(nn.Conv2d(3, 5, 1), (torch.zeros(2, 3, 7, 9),))
    assert network.inputs[0].shape == (2, 7, 9, 3)
    assert network.tensors[network.outputs[0]].shape == (2, 7, 9, 5)


def test_the_module_keeps_its_modes() -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout()).train()
    module[1].eval()
    read_torch(module, (torch.zeros(1, 3, 4, 4),))
    assert [part.training for part in module.modules()] == [True, True, False, True]


def test_what_is_not_known_is_opaque() -> None:
    class Unusual(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            values, _ = torch.sort(functional.relu(x), dim=3)
            return functional.gelu(values)

    network = read_torch(Unusual(), (torch.zeros(1, 3, 4, 6),))
    unknown = [operator for operator in network.operators if isinstance(operator, Opaque)]
    assert [operator.op_type for operator in unknown] == ["aten.sort", "aten.gelu"]
    assert network.tensors[network.outputs[0]].shape == (1, 4, 6, 3)
    assert operator_cost(network, unknown[0]).macs == 0


def test_control_flow_on_data_passes_torchs_message_on() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelFileError, match=r"(?s)data-dependent.*torch\.where") as caught:
        read_torch(Branching(), (torch.zeros(1, 3, 4, 4),))
    assert "\n" not in str(caught.value)


def test_values_that_are_no_tensors_are_refused() -> None:
    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
            return functional.relu(x), None

    with pytest.raises(ModelFileError, match="not a tensor"):
        read_torch(Pair(), (torch.zeros(1, 3, 4, 4),))
