"""The programs that an emulated phone runs when their files are pushed: they take their times from its law."""

from profiler.phone.programs._elf import Tool, abi_of, bits_of, tool_of, virtual_program
from profiler.phone.programs._programs import VirtualPrograms

__all__ = ["Tool", "VirtualPrograms", "abi_of", "bits_of", "tool_of", "virtual_program"]
