"""Programs that run models on a phone: how each is called, and how what it leaves behind is read."""

from profiler.runtimes.phone_tools._benchmark_model import BenchmarkModel
from profiler.runtimes.phone_tools._onnxruntime_perf_test import OnnxruntimePerfTest
from profiler.runtimes.phone_tools.phone_tool import PhoneTool, ToolEnd, ToolReading, ToolRun

PHONE_TOOLS: dict[str, PhoneTool] = {
    "benchmark_model": BenchmarkModel(),
    "onnxruntime_perf_test": OnnxruntimePerfTest(),
}
"""Every program by its name, as devices.yaml's `runtime:` has it."""

__all__ = [
    "PHONE_TOOLS",
    "BenchmarkModel",
    "OnnxruntimePerfTest",
    "PhoneTool",
    "ToolEnd",
    "ToolReading",
    "ToolRun",
]
