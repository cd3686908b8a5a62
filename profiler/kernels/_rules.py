"""Which operators each runtime folds into one step, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class FusionRules:
    """What a runtime runs as one kernel.

    Attributes:
        chains: Kinds of operators that become one kernel, in execution order. Every beginning of a chain
            is itself in the set or a single operator, so that fusion may grow one operator at a time.
    """

    chains: frozenset[tuple[str, ...]]

    def may_grow(self, chain: tuple[str, ...], following: str) -> bool:
        """Say whether an operator of the kind `following` joins operators of these kinds."""
        return (*chain, following) in self.chains


def _after(anchors: tuple[tuple[str, ...], ...], activations: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    chains = {(*anchor, activation) for anchor in anchors for activation in activations}
    chains |= {anchor for anchor in anchors if len(anchor) > 1}
    return frozenset(chains)


# XNNPACK folds clamps into what produced their input, and zero padding into the convolution after it; hard-swish,
# sigmoid and prelu stay steps of their own (XNNPACK src/subgraph.c, "Fuse Clamp", "Fuse Constant Pad").
_LITERT = FusionRules(
    _after(
        (
            *((anchor,) for anchor in ("conv2d", "depthwise_conv2d", "transpose_conv2d", "dense", "add", "mul")),
            *((anchor,) for anchor in ("max_pool2d", "avg_pool2d")),
            ("pad", "conv2d"),
            ("pad", "depthwise_conv2d"),
        ),
        ("relu", "relu6"),
    )
)

# ONNX Runtime at ORT_ENABLE_ALL, as its optimised graphs show: a sum joins the convolution before it in the blocked
# layout, where Clip (relu6) after a sum does not follow; dense layers take what FusedGemm knows.
_ONNXRUNTIME = FusionRules(
    _after((("conv2d",), ("depthwise_conv2d",)), ("relu", "relu6", "sigmoid", "hard_sigmoid", "hard_swish"))
    | _after((("conv2d", "add"), ("depthwise_conv2d", "add")), ("relu", "sigmoid", "hard_sigmoid", "hard_swish"))
    | _after((("dense",),), ("relu", "sigmoid", "hard_sigmoid"))
)

# ncnn fuses nothing by itself: what its layers do beside their own work is written so by profiler.formats.write_ncnn.
_NCNN = FusionRules(
    _after(
        (
            *((anchor,) for anchor in ("conv2d", "depthwise_conv2d", "transpose_conv2d", "dense")),
            ("pad", "conv2d"),
            ("pad", "depthwise_conv2d"),
        ),
        ("relu", "relu6", "hard_swish", "sigmoid"),
    )
)

FUSION_RULES: Mapping[str, FusionRules] = MappingProxyType(
    {
        "litert": _LITERT,
        "agent-litert": _LITERT,
        "tflite-runtime": _LITERT,
        "benchmark_model": _LITERT,
        "onnxruntime": _ONNXRUNTIME,
        "onnxruntime_perf_test": _ONNXRUNTIME,
        "ncnn": _NCNN,
        "agent-ncnn": _NCNN,
    }
)
"""Fusion rules by the name of the runtime, as `Device.runtime` and the column `runtime` spell it."""
