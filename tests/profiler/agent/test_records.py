"""Records say what the agent said; what does not add up is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.agent import BlockRecord, EndRecord, ErrorRecord, Frame, Hello, OperatorRecord, read_record
from profiler.errors import ToolOutputError
from tests.profiler.agent import record_bytes


def test_hello() -> None:
    record = read_record(Frame(0, 16, record_bytes.hello()))
    assert isinstance(record, Hello)
    assert (record.engine, record.engine_version, record.mask, record.cores) == ("ncnn", "1.0", 0x80, 8)
    assert record.isa == ("asimd", "fphp") and record.zones == ("cpu0", "skin") and record.positions == 3


def test_block_with_operators() -> None:
    payload = record_bytes.block(4, [5, 6], operators=[("a", "Convolution", [3, 4]), ("b", "", [0, 1])])
    record = read_record(Frame(0, 17, payload))
    assert isinstance(record, BlockRecord)
    assert record.position == 4 and record.samples_ns == (5, 6) and record.khz == (1000, 2000)
    assert record.millidegrees == (40_000, 30_500)
    assert record.operators == (OperatorRecord("a", "Convolution", (3, 4)), OperatorRecord("b", "", (0, 1)))


def test_errors_of_blocks_and_of_jobs() -> None:
    one = read_record(Frame(0, 18, record_bytes.error(3, "INVALID_MODEL no\n such layer")))
    assert isinstance(one, ErrorRecord)
    assert (one.position, one.reason, one.detail, one.of_job) == (3, "INVALID_MODEL", "no such layer", False)
    other = read_record(Frame(0, 18, record_bytes.error(0xFFFFFFFF, "BUSY")))
    assert isinstance(other, ErrorRecord) and other.of_job and other.reason == "BUSY" and other.detail == ""


def test_end() -> None:
    assert read_record(Frame(9, 19, record_bytes.end(3, 1))) == EndRecord(3, 1, 0, 2**20, 1.0)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (15, b""),
        (16, record_bytes.hello(schema=2)),
        (16, b"schema 1\n"),
        (16, record_bytes.hello(mask="zz")),
        (17, record_bytes.block(0, [])),
        (17, record_bytes.block(0, [5, 0])),
        (17, record_bytes.block(0, [5]) + b"\0"),
        (17, record_bytes.block(0, [5])[:-1]),
        (18, b"\0" * 12 + b"lower case"),
        (18, b"\0" * 11),
        (19, record_bytes.end(1, reason=7)),
    ],
)
def test_what_does_not_add_up_is_refused(kind: int, payload: bytes) -> None:
    with pytest.raises(ToolOutputError):
        read_record(Frame(0, kind, payload))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([16, 17, 18, 19]), st.binary(max_size=120))
def test_noise_is_read_or_refused_and_nothing_else(kind: int, payload: bytes) -> None:
    try:
        record = read_record(Frame(0, kind, payload))
    except ToolOutputError:
        return
    assert not isinstance(record, BlockRecord) or min(record.samples_ns) > 0


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_block_cut_short_is_refused(data: st.DataObject) -> None:
    whole = record_bytes.block(4, [5, 6, 7], operators=[("conv", "Convolution", [3, 4, 5])])
    with pytest.raises(ToolOutputError):
        read_record(Frame(0, 17, whole[: data.draw(st.integers(0, len(whole) - 1))]))
