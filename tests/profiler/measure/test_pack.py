"""Packs: how they are cut, what their network is, and whose each row of a profile is; on LiteRT as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from profiler.backends import Backend, BlockRequest, open_backend
from profiler.devices import HostDevice
from profiler.errors import MeasurementError, MergedProfileError
from profiler.kernels import random_kernels
from profiler.measure import pack as packing
from profiler.measure.pack import Pack, cut_packs
from profiler.network import (
    AvgPool2d,
    Conv2d,
    Dense,
    DepthToSpace,
    HardSigmoid,
    MaxPool2d,
    Network,
    Operator,
    Pad,
    Relu,
    ResizeBilinear,
    ResizeNearest,
    Softmax,
    Split,
    TensorSpec,
    TransposeConv2d,
)
from profiler.runtimes.operator_profile import OperatorTime
from profiler.workload import Dtype, Workload


def kernel(*operators: Operator, shape: tuple[int, ...] = (1, 14, 14, 32), dtype: Dtype = "float32") -> Workload:
    kind = "+".join(operator.kind for operator in operators)
    return Workload(Network("k", [TensorSpec("x", shape)], operators, operators[-1].outputs), dtype, kind)


CONV = kernel(Conv2d("a", ("x",), 32))
POOL = kernel(AvgPool2d("a", ("x",)))
SOFTMAX = kernel(Softmax("a", ("x",)))


def row(kind: str, ms: float | None = 0.01) -> OperatorTime:
    return OperatorTime(kind, kind, ms, 10)


MARK = row("Depth To Space (NHWC, X32) Transpose", 0.001)


def branch(*rows: OperatorTime) -> list[OperatorTime]:
    return [row("Transpose (ND)", 9.0), MARK, *rows, MARK, row("Mean (ND)", 9.0)]


def test_rows_between_markers_are_the_kernels() -> None:
    pack = Pack((CONV, POOL), references=False)
    reading = pack.read(
        [*branch(row("Convolution", 2.0), row("Clamp", None)), *branch(row("Copy", 0.5), row("Pool", 1.0))]
    )
    assert reading.latencies_ms == (2.0, 1.5)
    assert reading.references_ms == ()


def test_rows_of_the_references_are_told_apart_from_the_members() -> None:
    rows = [entry for ms in (1.0, 2.0, 3.0) for entry in branch(row("Convolution", ms))]
    reading = Pack((CONV,)).read(rows)
    assert (reading.latencies_ms, reading.references_ms) == ((1.0,), (2.0, 3.0))
    with pytest.raises(MeasurementError, match="reference"):
        Pack((CONV,)).read([*rows[:-5], *branch(row("Convolution", None))])


def test_a_kernel_whose_rows_are_all_below_the_resolution_has_no_latency() -> None:
    rows = [*branch(row("Convolution", None), row("Clamp", None)), *branch()]
    assert Pack((CONV, POOL), references=False).read(rows).latencies_ms == (None, None)


@pytest.mark.parametrize("first", [True, False])
def test_what_a_delegate_leaves_to_the_interpreter_is_found_by_its_order(first: bool) -> None:
    pack = Pack((POOL, CONV, SOFTMAX), references=False)
    inside = [*branch(), *branch(row("Convolution", 1.0)), *branch()]
    left = [row("AVERAGE_POOL_2D", 2.0), row("SOFTMAX", 3.0)]
    rows = [*left, *inside] if first else [*inside, *left, row("Mean (ND)")]
    assert pack.read(rows).latencies_ms == (2.0, 1.0, 3.0)


def test_the_interpreters_own_profile_has_rows_of_one_kind_only() -> None:
    pack = Pack((CONV, POOL), references=False)
    mark = row("DEPTH_TO_SPACE")
    rows = [row("TRANSPOSE"), mark, row("PAD"), row("CONV_2D"), mark, row("MEAN"), row("TRANSPOSE"), mark]
    assert pack.read([*rows, row("AVERAGE_POOL_2D"), mark, row("MEAN")]).latencies_ms == (0.02, 0.01)


def test_a_row_that_is_of_another_operator_too_is_an_error() -> None:
    pack = Pack((CONV, POOL), references=False)
    joined = replace(row("Mean (ND)"), runs=20)
    with pytest.raises(MeasurementError, match="20 calls"):
        pack.read([*branch(row("Convolution")), *branch(joined)])
    around = [row("Transpose (ND)"), MARK, row("Pool", 2.0), MARK, joined]
    assert pack.read([*branch(row("Convolution", 1.0)), *around]).latencies_ms == (1.0, 2.0), "glue may be joined"


def test_rows_that_cannot_be_told_apart_are_an_error() -> None:
    pack = Pack((CONV, POOL), references=False)
    rows = [*branch(row("Convolution")), *branch(row("Pool"))]
    for odd in (rows[:-2], [*rows, MARK], [*rows, row("CONV_2D")], rows[:5]):
        with pytest.raises(MeasurementError):
            pack.read(odd)
    for merged in ([row("TfLiteGpuDelegateV2")], []):
        with pytest.raises(MergedProfileError):
            pack.read(merged)
    alone = Pack((CONV,), references=False)
    assert alone.read([*branch(row("Pad", 1.0)), row("CONV_2D", 2.0)]).latencies_ms == (3.0,)


def test_the_marker_is_an_operator_that_no_kernel_has() -> None:
    kernels = [
        kernel(DepthToSpace("a", ("x",), 2)),
        kernel(ResizeBilinear("a", ("x",), (28, 28))),
        kernel(MaxPool2d("a", ("x",))),
        kernel(TransposeConv2d("a", ("x",), 8)),
    ]
    for count, expected in enumerate(("depth_to_space", "resize_bilinear", "max_pool2d", "transpose_conv2d")):
        operators = Pack((CONV, *kernels[:count])).workload.network.operators
        markers = [operator for operator in operators if operator.name.startswith("marker/")]
        assert [operator.kind for operator in markers] == [expected] * 2 * (count + 3)
    with pytest.raises(MeasurementError, match="no operator"):
        Pack(tuple(kernels))


def test_a_pack_is_of_one_numeric_type_and_not_empty() -> None:
    for members in ((), (CONV, kernel(Softmax("a", ("x",)), dtype="int8"))):
        with pytest.raises(MeasurementError, match="one numeric type"):
            Pack(members)


def test_branches_keep_their_operators_in_order_and_share_inputs_of_one_shape() -> None:
    pack = Pack((CONV, POOL, kernel(Dense("a", ("x",), 8), shape=(1, 16))), references=False)
    network = pack.workload.network
    kinds = [operator.kind for operator in network.operators]
    mark = "depth_to_space"
    assert kinds[:5] == ["transpose", mark, "conv2d", mark, "mean"]
    assert kinds[5:] == ["transpose", mark, "avg_pool2d", mark, "mean", mark, "dense", mark]
    assert [spec.shape for spec in network.inputs] == [(1, 2, 2, 4), (1, 14, 14, 32), (1, 16)]


def test_packs_are_cut_in_order_by_count_type_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = [kernel(Dense("a", ("x",), units), shape=(1, 16)) for units in range(1, 8)]
    assert [len(group) for group in cut_packs(vectors, 3)] == [3, 3, 1]
    assert [member for group in cut_packs(vectors, 3) for member in group] == vectors
    mixed = [Workload(work.network, "int8" if index % 2 else "float32") for index, work in enumerate(vectors)]
    assert [[member.dtype for member in group] for group in cut_packs(mixed, 3)] == [
        ["float32"] * 3, ["int8"] * 3, ["float32"],
    ]  # fmt: skip
    monkeypatch.setattr(packing, "MAX_WEIGHT_BYTES", 4 * 17 * 6)
    assert [len(group) for group in cut_packs(vectors, 64)] == [3, 1, 1, 1, 1]
    monkeypatch.setattr(packing, "MAX_INPUT_BYTES", 0)
    assert [len(group) for group in cut_packs(vectors, 64)] == [1] * 7


HARD = {
    "pad+conv2d+relu": kernel(
        Pad("p", ("x",), ((0, 0), (1, 1), (1, 1), (0, 0))), Conv2d("a", ("p",), 16, padding="valid"), Relu("r", ("a",))
    ),
    "relu": kernel(Relu("a", ("x",))),
    "hard_sigmoid": kernel(HardSigmoid("a", ("x",))),
    "split": kernel(Split("a", ("x",), 2)),
    "resize_nearest": kernel(ResizeNearest("a", ("x",), (28, 28))),
    "large": kernel(Conv2d("a", ("x",), 200), shape=(1, 28, 28, 64)),
}


@pytest.fixture(scope="module")
def profile() -> Iterator[Callable[[Pack], tuple[OperatorTime, ...]]]:
    with open_backend(HostDevice(name="host"), wait_s=120.0) as backend:
        yield lambda pack: _profile(backend, pack)


def _profile(backend: Backend, pack: Pack) -> tuple[OperatorTime, ...]:
    (result,) = backend.run_blocks([BlockRequest(pack.workload, 2, 10, profiled=True)])
    assert result.failure is None
    return result.operators


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_litert_rows_find_their_kernels(profile: Callable[[Pack], tuple[OperatorTime, ...]], dtype: Dtype) -> None:
    """Kernels of very unequal cost and of several rows, in two orders: they rank the same in both."""
    drawn = [Workload(found.network, kind=found.kind) for found in random_kernels(12, np.random.default_rng(5))]
    work = [Workload(each.network, dtype, each.kind) for each in (*drawn, *HARD.values())]
    there, back = Pack(tuple(work)), Pack(tuple(reversed(work)))
    first = there.read(profile(there)).latencies_ms
    second = back.read(profile(back)).latencies_ms[::-1]
    pairs = [(one, two) for one, two in zip(first, second, strict=True) if one and two]
    assert len(pairs) >= 10
    assert spearmanr([one for one, _ in pairs], [two for _, two in pairs]).statistic > 0.8
    for name in ("large", "resize_nearest"):
        place = len(drawn) + list(HARD).index(name)
        assert first[place] is not None
        assert second[place] is not None
