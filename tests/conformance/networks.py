"""Networks that every backend must be able to run, small and large."""

from __future__ import annotations

import numpy as np

from profiler.network import (
    Add,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    Network,
    Opaque,
    Operator,
    Relu,
    Relu6,
    TensorSpec,
)


def tiny(channels: int = 4) -> Network:
    """One convolution of some microseconds; each number of channels is another workload."""
    return Network("tiny", [TensorSpec("x", (1, 8, 8, 3))], [Conv2d("y", ("x",), channels)], ["y"])


def inverted_residuals(blocks: int = 4, channels: int = 24, size: int = 96) -> Network:
    """Return a network of a few milliseconds, in the shape of MobileNetV2's blocks, with weights."""
    operators: list[Operator] = [Conv2d("stem", ("image",), channels, stride=(2, 2)), Relu6("stem_act", ("stem",))]
    last = "stem_act"
    for index in range(blocks):
        operators += [
            Conv2d(f"expand{index}", (last,), 4 * channels, kernel=(1, 1)),
            Relu6(f"expand_act{index}", (f"expand{index}",)),
            DepthwiseConv2d(f"depth{index}", (f"expand_act{index}",)),
            Relu6(f"depth_act{index}", (f"depth{index}",)),
            Conv2d(f"project{index}", (f"depth_act{index}",), channels, kernel=(1, 1)),
            Add(f"sum{index}", (last, f"project{index}")),
        ]
        last = f"sum{index}"
    operators += [GlobalAvgPool2d("pool", (last,)), Dense("logits", ("pool",), 10)]
    image = TensorSpec("image", (1, size, size, 3))
    return Network("inverted_residuals", [image], operators, ["logits"]).with_random_weights(np.random.default_rng(0))


def oddly_named() -> Network:
    """Return a network whose names would run something, were they ever put into a command or a path."""
    name = "$(id)\n-rf ../; touch canary \N{ROCKET}"
    return Network(name, [TensorSpec("x", (1, 4))], [Relu("y", ("x",))], ["y"])


def opaque() -> Network:
    """Return a network with an operator that no writer knows."""
    made = TensorSpec("y", (1, 4))
    return Network("opaque", [TensorSpec("x", (1, 4))], [Opaque("y", ("x",), "Mystery", (made,))], ["y"])
