"""The commands of the emulated phone's /system/bin, by name."""

from profiler.phone.commands._call import Answer, Call, Command
from profiler.phone.commands._table import COMMANDS

__all__ = ["COMMANDS", "Answer", "Call", "Command"]
