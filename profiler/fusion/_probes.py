"""Probes: small networks that ask a runtime whether it runs a chain of operators as one step.

A chain of kinds is asked about with three networks: all of it but the last operator (A), the last alone on what it
would read (B), and the whole (AB). Shapes are such that the last operator moves much and the first computes little:
on those of real networks the operator in question is a few percent of the whole, and below what clocks can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from profiler.fusion.evidence import Chain
from profiler.network import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    HardSigmoid,
    HardSwish,
    MaxPool2d,
    Mul,
    Network,
    Operator,
    Pad,
    PRelu,
    Relu,
    Relu6,
    Sigmoid,
    TensorSpec,
    Transpose,
    TransposeConv2d,
)

_NARROW = 16
"""Channels that a convolution writes where it must not cost much; ONNX Runtime's blocked layout takes no fewer."""

_DENSE_ROWS_PER_SIDE = 4
"""Rows that a dense layer gets for each pixel of a side, so that what follows it has as much to move."""

_THINNEST = 3
"""Channels of an image: those that a window of 3x3 before a wide map can afford."""


@dataclass(frozen=True)
class Size:
    """How large the maps of a probe are.

    Attributes:
        side: Height and width.
        channels: Channels; a multiple of 16, which runtimes with blocked layouts ask for.
        window: Side of the window of a convolution that begins the chain.
        thin: Channels that a convolution which begins the chain reads: few, so that it is cheap.
    """

    side: int
    channels: int
    window: int = 1
    thin: int = 16

    @property
    def map(self) -> tuple[int, int, int, int]:
        """Shape of the maps that chains pass on."""
        return (1, self.side, self.side, self.channels)


SIZES: tuple[Size, ...] = (Size(56, 64), Size(40, 96, window=3, thin=3), Size(28, 256))
"""About 0.6 to 0.8 MB a map in float32: far above the clock, within the caches of a phone's fast cores."""


class _Draft:
    """A probe's network under construction.

    Args:
        chain: All kinds of the probe.
        size: How large its maps are.
    """

    def __init__(self, chain: Chain, size: Size) -> None:
        self.chain, self.size = chain, size
        self.inputs: list[TensorSpec] = []
        self.operators: list[Operator] = []
        self.carried: TensorSpec | None = None

    @property
    def ends_in_window(self) -> bool:
        """Whether a convolution or a depthwise one is the last operator, and a pad before it has to matter."""
        return self.chain[-1] in ("conv2d", "depthwise_conv2d")

    def read(self, shape: tuple[int, ...]) -> str:
        """Return the tensor that the next operator reads: what the chain carries, else an input of this shape."""
        return self.carried.name if self.carried else self.side(shape)

    def side(self, shape: tuple[int, ...]) -> str:
        """Return a further input."""
        self.inputs.append(TensorSpec(f"x{len(self.inputs)}", shape))
        return self.inputs[-1].name

    def twin(self) -> str:
        """Return what the chain so far gives for other inputs: the other branch of a sum.

        Runtimes that change the layout of data fuse a sum only where both sides have that layout.
        """
        names = {spec.name: self.side(spec.shape) for spec in tuple(self.inputs)}
        for operator in tuple(self.operators):
            renamed = replace(
                operator, name=f"twin/{operator.name}", inputs=tuple(names[name] for name in operator.inputs)
            )
            names[operator.name] = renamed.name
            self.operators.append(renamed)
        return self.operators[-1].name

    def append(self, operator: Operator) -> None:
        self.operators.append(operator)
        self.carried = Network("kernel", self.inputs, self.operators, (operator.name,)).tensors[operator.name]

    @property
    def name(self) -> str:
        return f"k{len(self.operators)}"


def _conv2d(draft: _Draft) -> Operator:
    size = draft.size
    if draft.carried is None:
        source = draft.side((1, size.side, size.side, size.thin))
        return Conv2d(draft.name, (source,), size.channels, (size.window, size.window))
    if draft.ends_in_window:
        # Behind a pad of wide maps, and no longer than it needs to be.
        return Conv2d(draft.name, (draft.carried.name,), _NARROW, (3, 3), (2, 2), padding="valid")
    return Conv2d(draft.name, (draft.carried.name,), size.channels, (3, 3), padding="valid")


def _depthwise(draft: _Draft) -> Operator:
    if draft.carried is None:
        return DepthwiseConv2d(draft.name, (draft.side(draft.size.map),))
    stride = (2, 2) if draft.ends_in_window else (1, 1)
    return DepthwiseConv2d(draft.name, (draft.carried.name,), (3, 3), stride, padding="valid")


def _transpose_conv2d(draft: _Draft) -> Operator:
    half = draft.size.side // 2
    return TransposeConv2d(draft.name, (draft.read((1, half, half, _NARROW)),), draft.size.channels)


def _dense(draft: _Draft) -> Operator:
    rows = _DENSE_ROWS_PER_SIDE * draft.size.side
    return Dense(draft.name, (draft.read((rows, _NARROW)),), draft.size.side * draft.size.channels // 4)


def _joining(kind: type[Add] | type[Mul]) -> Callable[[_Draft], Operator]:
    def make(draft: _Draft) -> Operator:
        if draft.carried is None:
            return kind(draft.name, (draft.side(draft.size.map), draft.side(draft.size.map)))
        return kind(draft.name, (draft.carried.name, draft.twin()))

    return make


def _concat(draft: _Draft) -> Operator:
    side, half = draft.size.side, draft.size.channels // 2
    return Concat(draft.name, (draft.side((1, side, side, half)), draft.side((1, side, side, half))))


def _pool(kind: type[MaxPool2d] | type[AvgPool2d]) -> Callable[[_Draft], Operator]:
    return lambda draft: kind(draft.name, (draft.read(draft.size.map),), (2, 2), (1, 1), "same")


def _pad(draft: _Draft) -> Operator:
    wide = draft.ends_in_window or "conv2d" not in draft.chain
    shape = (*draft.size.map[:3], draft.size.channels if wide else _THINNEST)
    return Pad(draft.name, (draft.read(shape),), ((0, 0), (1, 1), (1, 1), (0, 0)))


def _transpose(draft: _Draft) -> Operator:
    return Transpose(draft.name, (draft.read(draft.size.map),), (0, 2, 1, 3))


def _plain(kind: Callable[[str, tuple[str, ...]], Operator]) -> Callable[[_Draft], Operator]:
    return lambda draft: kind(draft.name, (draft.read(draft.size.map),))


_MAKERS: Mapping[str, Callable[[_Draft], Operator]] = MappingProxyType(
    {
        "conv2d": _conv2d,
        "depthwise_conv2d": _depthwise,
        "transpose_conv2d": _transpose_conv2d,
        "dense": _dense,
        "add": _joining(Add),
        "mul": _joining(Mul),
        "concat": _concat,
        "max_pool2d": _pool(MaxPool2d),
        "avg_pool2d": _pool(AvgPool2d),
        "pad": _pad,
        "transpose": _transpose,
        "relu": _plain(Relu),
        "relu6": _plain(Relu6),
        "hard_swish": _plain(HardSwish),
        "hard_sigmoid": _plain(HardSigmoid),
        "sigmoid": _plain(Sigmoid),
        "prelu": _plain(PRelu),
    }
)


@dataclass(frozen=True)
class Probe:
    """A chain at one size, as three networks.

    Attributes:
        chain: Kinds of operators, at least two.
        size: How large the maps are.
    """

    chain: Chain
    size: Size

    @cached_property
    def whole(self) -> Network:
        """The chain (AB), with both branches where it sums."""
        draft = _Draft(self.chain, self.size)
        for kind in self.chain:
            draft.append(_MAKERS[kind](draft))
        return Network("kernel", draft.inputs, draft.operators, draft.operators[-1].outputs)

    @cached_property
    def before(self) -> Network:
        """All that comes before the last operator (A)."""
        last = self.whole.operators[-1]
        return Network("kernel", self.whole.inputs, self.whole.operators[:-1], tuple(dict.fromkeys(last.inputs)))

    @cached_property
    def last(self) -> Network:
        """The last operator (B) on the shapes that it has in the chain."""
        operator = self.whole.operators[-1]
        specs = [self.whole.tensors[name] for name in operator.inputs]
        return Network("kernel", specs, [operator], operator.outputs)


def call_network() -> Network:
    """Return a network that computes next to nothing: its latency is that of a call."""
    return Network("kernel", [TensorSpec("x0", (1, 1, 1, 16))], [Relu("k0", ("x0",))], ("k0",))


def kind_of(network: Network) -> str:
    """Return what a probe is measured as: a kernel, so that runtimes are given it as it stands inside of networks."""
    return "+".join(operator.kind for operator in network.operators)
