"""Shapes, weights and attributes of every operator kind, against values worked out by hand."""

from __future__ import annotations

import pytest

from profiler.errors import NetworkError, ShapeError
from profiler.network import (
    OPERATOR_KINDS,
    Add,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthToSpace,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    MaxPool2d,
    Mean,
    Mul,
    Opaque,
    Operator,
    Pad,
    PRelu,
    Relu,
    Relu6,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Sigmoid,
    Softmax,
    Split,
    TensorSpec,
    Transpose,
    TransposeConv2d,
    same_padding,
)

X = ("x",)
IMAGE = (2, 9, 8, 12)

CASES: list[tuple[Operator, list[tuple[int, ...]], tuple[int, ...]]] = [
    (Conv2d("o", X, 16, (3, 3), (2, 2)), [IMAGE], (2, 5, 4, 16)),
    (Conv2d("o", X, 16, (3, 3), (2, 2), padding="valid"), [IMAGE], (2, 4, 3, 16)),
    (Conv2d("o", X, 6, (3, 5), dilation=(2, 1), groups=3, padding="valid"), [IMAGE], (2, 5, 4, 6)),
    (DepthwiseConv2d("o", X, (5, 5), (1, 2), multiplier=2), [IMAGE], (2, 9, 4, 24)),
    (DepthwiseConv2d("o", X, (3, 3), dilation=(3, 3), padding="valid"), [IMAGE], (2, 3, 2, 12)),
    (TransposeConv2d("o", X, 5, (3, 3), (2, 2)), [IMAGE], (2, 18, 16, 5)),
    (TransposeConv2d("o", X, 5, (3, 4), (2, 3), padding="valid"), [IMAGE], (2, 19, 25, 5)),
    (Dense("o", X, 10), [(3, 12)], (3, 10)),
    (Add("o", ("x", "y")), [IMAGE, (2, 1, 1, 12)], IMAGE),
    (Mul("o", ("x", "y")), [(2, 1, 8, 1), (1, 9, 1, 12)], IMAGE),
    (Concat("o", ("x", "y"), axis=1), [IMAGE, (2, 3, 8, 12)], (2, 12, 8, 12)),
    (Split("o", X, 3), [IMAGE], (2, 9, 8, 4)),
    (ChannelShuffle("o", X, 4), [IMAGE], IMAGE),
    (MaxPool2d("o", X, (3, 3), (2, 2), "same"), [IMAGE], (2, 5, 4, 12)),
    (AvgPool2d("o", X), [IMAGE], (2, 4, 4, 12)),
    (GlobalAvgPool2d("o", X), [IMAGE], (2, 12)),
    (GlobalAvgPool2d("o", X, keep_dims=True), [IMAGE], (2, 1, 1, 12)),
    (Relu("o", X), [IMAGE], IMAGE),
    (Relu6("o", X), [IMAGE], IMAGE),
    (PRelu("o", X), [IMAGE], IMAGE),
    (HardSwish("o", X), [IMAGE], IMAGE),
    (HardSigmoid("o", X), [IMAGE], IMAGE),
    (Sigmoid("o", X), [IMAGE], IMAGE),
    (Softmax("o", X), [(2, 7)], (2, 7)),
    (Pad("o", X, ((0, 0), (1, 2), (0, 3), (0, 0))), [IMAGE], (2, 12, 11, 12)),
    (ResizeBilinear("o", X, (18, 4)), [IMAGE], (2, 18, 4, 12)),
    (ResizeNearest("o", X, (3, 3)), [IMAGE], (2, 3, 3, 12)),
    (DepthToSpace("o", X, 2), [IMAGE], (2, 18, 16, 3)),
    (Reshape("o", X, (18, 96)), [IMAGE], (18, 96)),
    (Transpose("o", X, (0, 3, 1, 2)), [IMAGE], (2, 12, 9, 8)),
    (Mean("o", X, (-3, 2)), [IMAGE], (2, 12)),
    (Mean("o", X, (1,), keep_dims=True), [IMAGE], (2, 1, 8, 12)),
    (Opaque("o", X, "CUSTOM", (TensorSpec("o:0", (4, 4)),)), [IMAGE], (4, 4)),
]


def specs(shapes: list[tuple[int, ...]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, shape) for name, shape in zip("xyz", shapes, strict=False))


@pytest.mark.parametrize(("operator", "inputs", "expected"), CASES, ids=lambda value: getattr(value, "kind", ""))
def test_shape(operator: Operator, inputs: list[tuple[int, ...]], expected: tuple[int, ...]) -> None:
    inferred = operator.infer(specs(inputs))
    assert inferred[0] == expected
    assert len(inferred) == len(operator.outputs)


def test_every_kind_has_a_case() -> None:
    assert {operator.kind for operator, _, _ in CASES} == set(OPERATOR_KINDS)


@pytest.mark.parametrize(
    ("operator", "shapes"),
    [
        (Conv2d("o", X, 16, (3, 5), groups=4), {"kernel": (16, 3, 5, 3), "bias": (16,)}),
        (Conv2d("o", X, 16, use_bias=False), {"kernel": (16, 3, 3, 12)}),
        (DepthwiseConv2d("o", X, (5, 3), multiplier=2), {"kernel": (1, 5, 3, 24), "bias": (24,)}),
        (TransposeConv2d("o", X, 7), {"kernel": (7, 2, 2, 12), "bias": (7,)}),
        (PRelu("o", X), {"alpha": (12,)}),
        (Relu("o", X), {}),
    ],
)
def test_weight_shapes(operator: Operator, shapes: dict[str, tuple[int, ...]]) -> None:
    assert operator.weight_shapes(specs([IMAGE])) == shapes


@pytest.mark.parametrize(
    ("operator", "inputs", "message"),
    [
        (Conv2d("o", X, 16, (3, 3), padding="valid"), [(1, 2, 9, 4)], "3x3 window does not fit"),
        (Conv2d("o", X, 16, groups=5), [IMAGE], "do not divide into 5 groups"),
        (Conv2d("o", X, 16), [(1, 12)], "takes a rank-4 tensor"),
        (Dense("o", X, 4), [IMAGE], "takes a rank-2 tensor"),
        (Add("o", ("x", "y")), [IMAGE, (2, 9, 8, 11)], "do not broadcast"),
        (Add("o", ("x", "y")), [IMAGE, (12,)], "do not broadcast"),
        (Concat("o", ("x", "y")), [IMAGE, (2, 9, 7, 12)], "differ outside axis 3"),
        (Concat("o", ("x", "y"), axis=4), [IMAGE, IMAGE], "axis 4 does not exist"),
        (Split("o", X, 5), [IMAGE], "does not divide into 5 parts"),
        (ChannelShuffle("o", X, 5), [IMAGE], "do not divide into 5 groups"),
        (DepthToSpace("o", X, 5), [IMAGE], "do not divide by 5"),
        (Reshape("o", X, (5, 5)), [IMAGE], "has not as many elements"),
        (Transpose("o", X, (0, 1, 1, 2)), [IMAGE], "no permutation"),
        (Pad("o", X, ((0, 0),)), [IMAGE], "1 paddings"),
        (Mean("o", X, (1, -3)), [IMAGE], "without repetition"),
    ],
)
def test_shapes_that_do_not_fit(operator: Operator, inputs: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ShapeError, match=message) as caught:
        operator.infer(specs(inputs))
    assert caught.value.operator == "o"


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("conv2d", {"out_channels": 0}),
        ("conv2d", {"out_channels": 4, "kernel": (3,)}),
        ("conv2d", {"out_channels": 4, "stride": (1, 0)}),
        ("conv2d", {"out_channels": 4, "padding": "full"}),
        ("conv2d", {"out_channels": 4.0}),
        ("transpose_conv2d", {"out_channels": 4, "kernel": (2, 2), "stride": (3, 3)}),
        ("dense", {"units": -1}),
        ("split", {"parts": 1}),
        ("resize_bilinear", {"size": (2, 2), "coordinates": "corner"}),
        ("pad", {"paddings": ((0, -1),)}),
        ("depth_to_space", {"block": 0}),
        ("reshape", {"shape": (-1, 4)}),
    ],
)
def test_attributes_out_of_range(kind: str, arguments: dict[str, object]) -> None:
    with pytest.raises(NetworkError):
        OPERATOR_KINDS[kind]("o", X, **arguments)  # type: ignore[arg-type]


def test_wrong_number_of_inputs() -> None:
    with pytest.raises(NetworkError, match="add takes 2 input"):
        Add("o", ("x",))
    with pytest.raises(NetworkError, match="concat takes at least 1 input"):
        Concat("o", ())


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "expected"),
    [(224, 3, 2, 1, (0, 1)), (7, 3, 2, 1, (1, 1)), (8, 5, 1, 2, (4, 4)), (8, 1, 2, 1, (0, 0)), (5, 2, 1, 1, (0, 1))],
)
def test_same_padding(size: int, kernel: int, stride: int, dilation: int, expected: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride, dilation) == expected
