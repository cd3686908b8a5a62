"""Finds the program that a pushed file is."""

from __future__ import annotations

from collections.abc import Mapping

from profiler.phone.commands import Command
from profiler.phone.programs._elf import Tool, tool_of
from profiler.phone.programs.benchmark_model import BenchmarkModel
from profiler.phone.programs.onnxruntime_perf_test import OnnxruntimePerfTest


class VirtualPrograms:
    """The programs of one phone; each keeps what it knows of the models that it was given last."""

    def __init__(self) -> None:
        self._commands: Mapping[Tool, Command] = {
            "benchmark_model": BenchmarkModel().run,
            "onnxruntime_perf_test": OnnxruntimePerfTest().run,
        }

    def __call__(self, content: bytes) -> Command | None:
        """Return what runs when a file of this content is started; None when it is none of the programs."""
        tool = tool_of(content)
        return None if tool is None else self._commands.get(tool)
