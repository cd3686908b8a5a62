from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from profiler.network import same_padding
from search._convolution import convolution


@settings(deadline=None, max_examples=80)
@given(
    height=st.integers(3, 9),
    width=st.integers(3, 9),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 3),
    depthwise=st.booleans(),
)
def test_values_and_gradients_are_those_of_torch(
    height: int, width: int, kernel: int, stride: int, dilation: int, depthwise: bool
) -> None:
    torch.manual_seed(0)
    groups = 4 if depthwise else 1
    images = torch.randn(2, 4, height, width).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(4, 4 // groups, kernel, kernel, requires_grad=True)
    rows, columns = same_padding(height, kernel, stride, dilation), same_padding(width, kernel, stride, dilation)
    window, step, spacing = (kernel,) * 2, (stride,) * 2, (dilation,) * 2
    convolve = convolution(groups=groups, kernel=window, stride=step, dilation=spacing, margins=(rows, columns))
    ours = convolve(images, weight)
    theirs = functional.conv2d(functional.pad(images, (*columns, *rows)), weight, None, step, 0, spacing, groups)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    towards = torch.randn_like(theirs)
    found = torch.autograd.grad(ours, (images, weight), towards)
    expected = torch.autograd.grad(theirs, (images, weight), towards)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_single_column_passes_the_right_gradient_through_a_batch_norm() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 1, 3, 5, generator=generator).requires_grad_()
    weight, towards = torch.randn(2, 1, 1, 3, generator=generator), torch.randn(3, 2, generator=generator)
    convolve = convolution(groups=1, kernel=(1, 3), stride=(1, 1), dilation=(1, 2), margins=((0, 0), (0, 0)))

    def gradient(values: torch.Tensor) -> torch.Tensor:
        kept = functional.batch_norm(values, torch.zeros(2), torch.ones(2), training=False)
        return torch.autograd.grad(kept.mean((2, 3)), images, towards)[0]

    ours, theirs = convolve(images, weight), functional.conv2d(images, weight, dilation=(1, 2))
    torch.testing.assert_close(gradient(ours), gradient(theirs))
