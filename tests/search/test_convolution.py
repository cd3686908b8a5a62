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
