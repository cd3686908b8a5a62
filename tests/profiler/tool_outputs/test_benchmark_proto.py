"""The binary files of benchmark_model, written with the wire format's rules or with LiteRT's own classes."""

from __future__ import annotations

import struct

import pytest

from profiler.errors import ToolOutputError
from profiler.tool_outputs import ProfiledOperator, parse_benchmark_result, parse_op_profile


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def field(number: int, value: int | float | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


LATENCY = b"".join(
    field(number, value) for number, value in enumerate([2.5, 2.0, 4.0, 0.5, 2.25, 2.125, 3.5, 9.0, 8.0, 2.75], 1)
)
MEMORY = field(1, 1024) + field(2, -1)
MISC = field(1, 16.5) + field(2, 50) + field(3, 9)
RESULT = field(1, b"net") + field(2, LATENCY) + field(3, MEMORY) + field(4, MISC)


def test_result() -> None:
    said = parse_benchmark_result(RESULT)
    assert (said.average_ms, said.min_ms, said.max_ms, said.std_ms, said.median_ms) == (2.5, 2, 4, 0.5, 2.25)
    assert (said.p5_ms, said.p95_ms, said.init_ms, said.first_ms, said.warmup_average_ms) == (2.125, 3.5, 9, 8, 2.75)
    assert (said.runs, said.warmup_runs) == (50, 9)
    assert (said.footprint_init_bytes, said.footprint_overall_bytes) == (1 << 20, None)


@pytest.mark.parametrize("average", [0.0, -1.0, float("nan"), float("inf")])
def test_a_mean_that_is_no_latency(average: float) -> None:
    with pytest.raises(ToolOutputError, match="is no latency"):
        parse_benchmark_result(field(2, field(1, average)) + field(4, MISC))


def test_no_cut_of_a_result_is_one() -> None:
    for at in range(len(RESULT)):
        with pytest.raises(ToolOutputError):
            parse_benchmark_result(RESULT[:at])


def operator(
    kind: bytes, name: bytes, total_us: int, count: int, called: int, order: int, *, longest_us: int | None = None
) -> bytes:
    longest = b"" if longest_us is None else field(7, longest_us)
    stat = field(1, 7) + field(3, 0) + longest + field(8, total_us) + field(9, count)
    return field(1, kind) + field(2, stat) + field(4, called) + field(5, name) + field(6, order)


def profile(*rows: bytes, inside: tuple[bytes, ...] = ()) -> bytes:
    graph = field(1, b"main") + b"".join(field(3, row) for row in rows)
    body = field(2, 1) + field(3, operator(b"ADD", b"in a loop", 5, 1, 1, 0))
    delegate = field(2, field(1, b"xnnpack") + b"".join(field(2, row) for row in inside)) if inside else b""
    regular = field(1, graph) + field(1, body) + delegate
    initialisation = field(1, field(3, operator(b"AllocateTensors", b"x", 9000, 1, 1, 0)))
    return field(2, initialisation) + field(3, regular)


def test_operators_in_run_order_by_sum_over_count() -> None:
    said = parse_op_profile(
        profile(
            operator(b"SOFTMAX", b"[b]:1", 25, 100, 2, 2),
            operator(b"CONV_2D", b"[a]:0", 1234, 50, 1, 1),
            inside=(operator(b"Convolution (NHWC, F32) IGEMM", b"", 50, 50, 1, 1),),
        )
    )
    assert [_row(one) for one in said.operators] == [("CONV_2D", "[a]:0", 0.02468, 1), ("SOFTMAX", "[b]:1", 0.00025, 2)]
    assert [_row(one) for one in said.delegate_operators] == [("Convolution (NHWC, F32) IGEMM", None, 0.001, 1)]


def _row(operator: ProfiledOperator) -> tuple[str, str | None, float, int]:
    return operator.type, operator.name, operator.avg_ms, operator.times_called


@pytest.mark.parametrize(("total_us", "longest_us", "count", "calm_us"), [(9102, 9002, 11, 10), (30, 20, 2, 15)])
def test_one_call_that_was_interrupted_does_not_count(
    total_us: int, longest_us: int, count: int, calm_us: float
) -> None:
    stat = field(7, longest_us) + field(8, total_us) + field(9, count)
    row = field(1, b"CONV_2D") + field(2, stat) + field(4, 1) + field(6, 1)
    (operator,) = parse_op_profile(profile(row)).operators
    assert operator.calls == count
    assert operator.calm_ms == pytest.approx(calm_us / 1000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 20,
        b"hello world",
        RESULT,
        profile(),
        profile(operator(b"CONV", b"", 5, 0, 1, 0)),
        profile(operator(b"CONV", b"", -5, 1, 1, 0)),
        field(3, 5),
        field(9, b"later"),
        b"\x1b",
    ],
)
def test_what_is_no_profile(data: bytes) -> None:
    with pytest.raises(ToolOutputError):
        parse_op_profile(data)


def test_no_cut_of_a_profile_makes_a_number() -> None:
    whole = profile(operator(b"CONV", b"a", 700, 100, 1, 0), operator(b"ADD", b"b", 900, 100, 1, 1))
    for at in range(len(whole)):
        with pytest.raises(ToolOutputError):
            parse_op_profile(whole[:at])


def test_litert_writes_what_we_read() -> None:
    profiles = pytest.importorskip("ai_edge_litert.profiling_info_pb2")
    message = profiles.BenchmarkProfilingData()
    row = message.runtime_profile.subgraph_profiles.add(subgraph_index=0).per_op_profiles.add(
        node_type="CONV_2D", name="[a]:0", times_called=3, run_order=1
    )
    row.inference_microseconds.sum, row.inference_microseconds.count = 300, 150
    (found,) = parse_op_profile(message.SerializeToString()).operators
    assert _row(found) == ("CONV_2D", "[a]:0", 0.002, 3)
