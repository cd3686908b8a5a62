"""Random classifiers of all operators that can be trained, for property tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from profiler.errors import ShapeError
from profiler.network import (
    Add,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    MaxPool2d,
    Mul,
    Network,
    Operator,
    PRelu,
    Relu,
    Relu6,
    Reshape,
    ResizeBilinear,
    Sigmoid,
    Split,
    TensorSpec,
)

CLASSES = 3
_ACTIVATIONS: tuple[type[Operator], ...] = (Relu, Relu6, HardSwish, HardSigmoid, Sigmoid, PRelu)

_Tensors = dict[str, tuple[int, ...]]


class _Builder:
    """Operators put so far, and the maps that others may read."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.operators: list[Operator] = []
        self.tensors: _Tensors = {"image": (1, *shape)}

    def put(self, operator: Operator) -> str:
        specs = tuple(TensorSpec(name, self.tensors[name]) for name in operator.inputs)
        for name, shape in zip(operator.outputs, operator.infer(specs), strict=True):
            self.tensors[name] = shape
        self.operators.append(operator)
        return operator.name

    def maps(self, like: tuple[int, ...] | None = None) -> list[str]:
        """Return the tensors of rank 4, or those of one shape."""
        return [name for name, shape in self.tensors.items() if len(shape) == 4 and like in (None, shape)]


def _pair(draw: st.DrawFn, most: int) -> tuple[int, int]:
    return draw(st.integers(1, most)), draw(st.integers(1, most))


def _divisor(draw: st.DrawFn, number: int) -> int:
    return draw(st.sampled_from([part for part in range(1, number + 1) if number % part == 0]))


def _convolution(draw: st.DrawFn, build: _Builder, name: str, source: str) -> None:
    groups = _divisor(draw, build.tensors[source][3])
    padding, bias = draw(st.sampled_from(("same", "valid"))), draw(st.booleans())
    channels = groups * draw(st.integers(1, max(1, 8 // groups)))
    build.put(Conv2d(name, (source,), channels, _pair(draw, 5), _pair(draw, 3), _pair(draw, 2), groups, padding, bias))


def _depthwise(draw: st.DrawFn, build: _Builder, name: str, source: str) -> None:
    multiplier, padding = draw(st.integers(1, 2)), draw(st.sampled_from(("same", "valid")))
    bias = draw(st.booleans())
    build.put(
        DepthwiseConv2d(name, (source,), _pair(draw, 5), _pair(draw, 3), _pair(draw, 2), multiplier, padding, bias)
    )


def _pool(draw: st.DrawFn, build: _Builder, name: str, source: str) -> None:
    kind = draw(st.sampled_from((MaxPool2d, AvgPool2d)))
    build.put(kind(name, (source,), _pair(draw, 3), _pair(draw, 3), draw(st.sampled_from(("same", "valid")))))


def _activation(draw: st.DrawFn, build: _Builder, name: str, source: str) -> None:
    build.put(draw(st.sampled_from(_ACTIVATIONS))(name, (source,)))


def _sum(draw: st.DrawFn, build: _Builder, name: str, source: str) -> None:
    other = draw(st.sampled_from(build.maps(like=build.tensors[source])))
    build.put(draw(st.sampled_from((Add, Mul)))(name, (source, other)))


def _concat(draw: st.DrawFn, build: _Builder, name: str, source: str) -> None:
    others = [name for name in build.maps() if build.tensors[name][:3] == build.tensors[source][:3]]
    build.put(Concat(name, (source, draw(st.sampled_from(others))), draw(st.sampled_from((-1, 3)))))


def _split(draw: st.DrawFn, build: _Builder, name: str, source: str) -> None:
    axis = draw(st.sampled_from((1, 2, 3, -1)))
    size = build.tensors[source][axis]
    if size > 1:
        parts = draw(st.sampled_from([part for part in range(2, size + 1) if size % part == 0]))
        build.put(Split(name, (source,), parts, axis))


def _shuffle(draw: st.DrawFn, build: _Builder, name: str, source: str) -> None:
    build.put(ChannelShuffle(name, (source,), _divisor(draw, build.tensors[source][3])))


def _resize(draw: st.DrawFn, build: _Builder, name: str, source: str) -> None:
    coordinates = draw(st.sampled_from(("half_pixel", "align_corners", "asymmetric")))
    build.put(ResizeBilinear(name, (source,), _pair(draw, 9), coordinates))


def _excite(draw: st.DrawFn, build: _Builder, name: str, source: str) -> None:
    """Put a squeeze-and-excite block, either as dense layers or as convolutions of what the pool leaves."""
    channels = build.tensors[source][3]
    if draw(st.booleans()):
        tensor = build.put(GlobalAvgPool2d(f"{name}/pool", (source,)))
        tensor = build.put(Dense(f"{name}/reduce", (tensor,), draw(st.integers(1, 4))))
        tensor = build.put(Relu(f"{name}/relu", (tensor,)))
        tensor = build.put(Dense(f"{name}/restore", (tensor,), channels, draw(st.booleans())))
        tensor = build.put(HardSigmoid(f"{name}/gate", (tensor,)))
        tensor = build.put(Reshape(f"{name}/map", (tensor,), (1, 1, 1, channels)))
    else:
        tensor = build.put(GlobalAvgPool2d(f"{name}/pool", (source,), keep_dims=True))
        tensor = build.put(Conv2d(f"{name}/reduce", (tensor,), draw(st.integers(1, 4)), (1, 1)))
        tensor = build.put(PRelu(f"{name}/prelu", (tensor,)))
        tensor = build.put(Conv2d(f"{name}/restore", (tensor,), channels, (1, 1)))
        tensor = build.put(Sigmoid(f"{name}/gate", (tensor,)))
    build.put(Mul(name, (source, tensor)))


_MAKERS: Sequence[Callable[[st.DrawFn, _Builder, str, str], None]] = (
    _convolution,
    _depthwise,
    _pool,
    _activation,
    _sum,
    _concat,
    _split,
    _shuffle,
    _resize,
    _excite,
)


@st.composite
def classifiers(draw: st.DrawFn, *, most_operators: int = 7) -> Network:
    """Draw a classifier of small images."""
    build = _Builder((draw(st.integers(3, 9)), draw(st.integers(3, 9)), draw(st.sampled_from((1, 2, 3, 4, 6)))))
    for index in range(draw(st.integers(1, most_operators))):
        newest = build.maps()[-3:]
        try:
            draw(st.sampled_from(_MAKERS))(draw, build, f"op{index}", draw(st.sampled_from(newest)))
        except ShapeError:  # a window that does not fit
            continue
    features = build.maps()[-1]
    if draw(st.booleans()):
        features = build.put(GlobalAvgPool2d("pool", (features,)))
    else:
        height, width, channels = build.tensors[features][1:]
        features = build.put(Reshape("flat", (features,), (1, height * width * channels)))
    logits = build.put(Dense("logits", (features,), CLASSES))
    return Network("random", [TensorSpec("image", build.tensors["image"])], build.operators, [logits])
