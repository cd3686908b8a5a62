"""Reads what tools and phones print, and claims no more than is there.

One module an output.  All keep to the same rules: input is bytes; unknown is None and never 0; a number comes from a
line that is all there and matches as a whole; units end the names; what is no such output is a ToolOutputError.
"""

from profiler.tool_outputs._benchmark_run import BenchmarkOutput, BenchmarkRun
from profiler.tool_outputs._delegate import DelegateUse
from profiler.tool_outputs._kinds import PARSERS, parse_tool_output, parse_tool_output_file
from profiler.tool_outputs._operator_table import NodeType, Operator
from profiler.tool_outputs._thermal_zones import ThermalZone
from profiler.tool_outputs.adb_devices import AdbDevice, AdbDevicesOutput, parse_adb_devices
from profiler.tool_outputs.adb_message import AdbMessage, AdbTrouble, parse_adb_message
from profiler.tool_outputs.battery import BatteryState, parse_battery
from profiler.tool_outputs.benchmark_model import parse_benchmark_model
from profiler.tool_outputs.benchmark_proto import (
    BenchmarkResultFile,
    OpProfileFile,
    ProfiledOperator,
    parse_benchmark_result,
    parse_op_profile,
)
from profiler.tool_outputs.cpufreq import CpuFrequencies, CpuFrequency, parse_cpufreq
from profiler.tool_outputs.cpuinfo import CpuInfo, Processor, parse_cpuinfo
from profiler.tool_outputs.df import DfOutput, FileSystem, parse_df
from profiler.tool_outputs.meminfo import MemoryInfo, parse_meminfo
from profiler.tool_outputs.onnxruntime_perf_test import PerfTestOutput, PerfTestRun, parse_onnxruntime_perf_test
from profiler.tool_outputs.onnxruntime_profile import ProfiledNode, ProfileOutput, parse_onnxruntime_profile
from profiler.tool_outputs.power import PowerState, parse_power
from profiler.tool_outputs.properties import parse_properties
from profiler.tool_outputs.thermal import Temperature, ThermalState, parse_thermal

__all__ = [
    "PARSERS",
    "AdbDevice",
    "AdbDevicesOutput",
    "AdbMessage",
    "AdbTrouble",
    "BatteryState",
    "BenchmarkOutput",
    "BenchmarkResultFile",
    "BenchmarkRun",
    "CpuFrequencies",
    "CpuFrequency",
    "CpuInfo",
    "DelegateUse",
    "DfOutput",
    "FileSystem",
    "MemoryInfo",
    "NodeType",
    "OpProfileFile",
    "Operator",
    "PerfTestOutput",
    "PerfTestRun",
    "PowerState",
    "Processor",
    "ProfileOutput",
    "ProfiledNode",
    "ProfiledOperator",
    "Temperature",
    "ThermalState",
    "ThermalZone",
    "parse_adb_devices",
    "parse_adb_message",
    "parse_battery",
    "parse_benchmark_model",
    "parse_benchmark_result",
    "parse_cpufreq",
    "parse_cpuinfo",
    "parse_df",
    "parse_meminfo",
    "parse_onnxruntime_perf_test",
    "parse_onnxruntime_profile",
    "parse_op_profile",
    "parse_power",
    "parse_properties",
    "parse_thermal",
    "parse_tool_output",
    "parse_tool_output_file",
]
