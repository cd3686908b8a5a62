"""Owns the list of outputs that we read, and how one in a file is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs import (
    adb_devices,
    adb_message,
    battery,
    benchmark_model,
    benchmark_proto,
    cpufreq,
    cpuinfo,
    df,
    meminfo,
    onnxruntime_perf_test,
    onnxruntime_profile,
    power,
    properties,
    thermal,
)
from profiler.tool_outputs._lines import MAX_BYTES

PARSERS: Final[Mapping[str, Callable[[bytes], object]]] = {
    benchmark_model.KIND: benchmark_model.parse_benchmark_model,
    benchmark_proto.RESULT_KIND: benchmark_proto.parse_benchmark_result,
    benchmark_proto.PROFILE_KIND: benchmark_proto.parse_op_profile,
    onnxruntime_perf_test.KIND: onnxruntime_perf_test.parse_onnxruntime_perf_test,
    onnxruntime_profile.KIND: onnxruntime_profile.parse_onnxruntime_profile,
    adb_devices.KIND: adb_devices.parse_adb_devices,
    adb_message.KIND: adb_message.parse_adb_message,
    battery.KIND: battery.parse_battery,
    thermal.KIND: thermal.parse_thermal,
    power.KIND: power.parse_power,
    cpuinfo.KIND: cpuinfo.parse_cpuinfo,
    cpufreq.KIND: cpufreq.parse_cpufreq,
    meminfo.KIND: meminfo.parse_meminfo,
    df.KIND: df.parse_df,
    properties.KIND: properties.parse_properties,
}
"""What reads an output, by the kind's name."""


def parse_tool_output(data: bytes, kind: str) -> dict[str, Any]:
    """Return what an output says as a JSON document: fields of the kind's result, by name; None is unknown.

    Args:
        data: The output as it was saved.
        kind: One of PARSERS.

    Raises:
        ToolOutputError: It is no such output, or there is no such kind.
    """
    parser = PARSERS.get(kind)
    if parser is None:
        raise ToolOutputError(kind, f"no such kind; there are {', '.join(PARSERS)}")
    output = parser(data)
    if is_dataclass(output) and not isinstance(output, type):
        return asdict(output)
    return {kind: output}


def parse_tool_output_file(path: Path, kind: str) -> dict[str, Any]:
    """Return what the output in a file says; see parse_tool_output.

    Raises:
        ToolOutputError: It is no such output.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        # One byte more than any output may have: a device file has no end.
        return parse_tool_output(file.read(MAX_BYTES + 1), kind)
