"""Whatever comes in, a reader returns or raises our error, soon, and lets no control character through."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.errors import ToolOutputError
from profiler.tool_outputs import PARSERS, parse_tool_output
from tests.profiler.tool_outputs._numbers import new_numbers

FRAGMENTS = [
    "STARTING!",
    "INFO: ",
    "> ",
    "05-31 10:38:42.585 22206 22206 I tflite  : ",
    "count=",
    "count=5 first=1 curr=2 min=1 max=3 avg=2.5 std=1",
    "Inference timings in us: Init: 5, First inference: 9, Warmup (avg): 8, Inference (avg): 2.5",
    "Operator-wise Profiling Info for Regular Benchmark Runs:",
    "===== Run Order =====",
    "[node type]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]",
    "node type, first, avg_ms, %, cdf%, mem KB, times called, name",
    "\tCONV\t1\t2\t3%\t100%\t0\t1\t[a]:0",
    "CONV, 1, 2, 3%, 100%, 0, 1, [a]:0",
    "Benchmarking failed.",
    "Average inference time cost: 1.5 ms",
    "P50 Latency is 0.5sec",
    '[{"cat":"Node","dur":5,"ts":1,"name":"a_kernel_time","args":{"op_name":"Conv"}}',
    ",",
    "]",
    "List of devices attached",
    "emulator-5554\tdevice usb:1-2 transport_id:3",
    "Current Battery Service state:",
    "  level: 40",
    "  scale: 50",
    "  temperature: 300",
    "Thermal Status: 2",
    "Temperature{mValue=30.5, mType=3, mName=battery, mStatus=0}",
    "==> /sys/class/thermal/thermal_zone0/temp <==",
    "37000",
    "battery: 37000",
    "processor\t: 0",
    "CPU part\t: 0xd03",
    "Filesystem 1K-blocks Used Available Use% Mounted on",
    "/dev/fuse 27240188 988872 26251316 4% /data",
    "MemTotal: 123 kB",
    "[ro.product.model]: [Pixel",
    "a.b=c",
    "mWakefulness=Awake",
    "==> /sys/devices/system/cpu/online <==",
    "0-3,6",
    "\x1b[2J",
    "[/x]",
    "<script>",
    "\x00",
    "\r",
    "1e300",
    "-1",
    "nan",
    "9" * 30,
    "٣",
    "\t",
    "  ",
    "\n",
]


def outcome(data: bytes, kind: str) -> dict[str, Any]:
    try:
        return parse_tool_output(data, kind)
    except ToolOutputError as error:
        assert error.kind == kind
        return {}


@pytest.mark.parametrize("kind", PARSERS)
@settings(max_examples=60, deadline=None)
@given(lines=st.lists(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=3).map("".join), max_size=14))
def test_any_mixture_of_lines_gives_a_document_or_our_error(kind: str, lines: list[str]) -> None:
    said = outcome("\n".join(lines).encode(), kind)
    json.dumps(said, allow_nan=False)
    assert "\x1b" not in json.dumps(said, ensure_ascii=False)


@pytest.mark.parametrize("kind", PARSERS)
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_give_a_document_or_our_error(kind: str, data: bytes) -> None:
    json.dumps(outcome(data, kind), allow_nan=False)


@pytest.mark.parametrize("kind", ["benchmark_model", "onnxruntime_perf_test", "battery", "thermal", "df", "cpuinfo"])
@settings(max_examples=40, deadline=None)
@given(lines=st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=10), share=st.floats(0, 1))
def test_a_part_of_any_mixture_says_no_other_number_in_its_last_line(kind: str, lines: list[str], share: float) -> None:
    """Up to a line's end a part may be read in another light; inside a line it says no more than before the line."""
    data = "\n".join(lines).encode()
    at = int(share * len(data))
    before = data[: data.rfind(b"\n", 0, at) + 1]
    following = data[: (data.find(b"\n", at) + 1) or len(data)]
    found = new_numbers(outcome(data[:at], kind), outcome(before, kind))
    assert found == [] or new_numbers(outcome(data[:at], kind), outcome(following + b"\n", kind)) == []


HOSTILE = {
    "50 MB line": b"A" * (50 << 20),
    "5 MB of digits": b"count=" + b"9" * (5 << 20),
    "many lines": b"x=1: 2 [a] %\n" * 20_000,
    "stage tokens": (b"count=1 " * 2000 + b"\n") * 60,
    "percent tokens": b"[node type] [first] [avg ms] [%] [cdf%] [mem KB] [times called] [Name]\n"
    + b"1 2% " * 3000
    + b"\n",
    "brackets": b"[" * 200_000,
    "braces": b'{"cat":' * 100_000,
    "escapes": b"\x1b[" * 500_000,
    "open titles": b"\x1b]" * 500_000,
    "commas": (b"node type," * 1500 + b"\n") * 40,
    "spaces": b"List of devices attached\n" + (b"a " * 8000 + b"\n") * 40,
    "colons": (b"a:" * 8000 + b"\n") * 40,
    "glued battery": b"Current Battery Service state:" + b"level: 1" * 1900 + b"\n",
    "blank": b" " * 16_000 + b"x\n",
    "nested": b"[" + b'{"a":' * 900 + b"1",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_outputs_end_soon(name: str) -> None:
    started_s = time.process_time()
    for kind in PARSERS:
        outcome(HOSTILE[name], kind)
    assert time.process_time() - started_s < 6


def test_a_line_that_is_too_long_is_not_read_and_makes_a_log_incomplete() -> None:
    log = b"Inference timings in us: Init: 5, First inference: 9, Inference (avg): 2.5\n"
    assert parse_tool_output(log, "benchmark_model")["complete"]
    said = parse_tool_output(log + b"y" * (1 << 20) + b"\n", "benchmark_model")
    assert (said["complete"], said["runs"][0]["inference_avg_us"]) == (False, 2.5)


def test_more_than_any_output_is_refused() -> None:
    for kind in PARSERS:
        with pytest.raises(ToolOutputError, match="larger than"):
            parse_tool_output(b"\n" * ((64 << 20) + 1), kind)


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ToolOutputError, match="benchmark_model, "):
        parse_tool_output(b"", "weather")
