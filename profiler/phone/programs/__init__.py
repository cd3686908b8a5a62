"""The programs that an emulated phone runs when their files are pushed: virtual ones by its law, others really."""

from profiler.phone.programs._elf import Tool, abi_of, bits_of, tool_of, virtual_program
from profiler.phone.programs._programs import VirtualPrograms
from profiler.phone.programs.native import NativePrograms

__all__ = ["NativePrograms", "Tool", "VirtualPrograms", "abi_of", "bits_of", "tool_of", "virtual_program"]
