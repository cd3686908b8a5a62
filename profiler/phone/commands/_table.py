"""The one table of commands: every module's part of it."""

from collections.abc import Mapping

from profiler.phone.commands._call import Command
from profiler.phone.commands._dumpsys import DUMPSYS_COMMANDS
from profiler.phone.commands._file_commands import FILE_COMMANDS
from profiler.phone.commands._listing import LISTING_COMMANDS
from profiler.phone.commands._process_commands import PROCESS_COMMANDS
from profiler.phone.commands._system_commands import SYSTEM_COMMANDS
from profiler.phone.commands._text_commands import TEXT_COMMANDS

COMMANDS: Mapping[str, Command] = {
    **TEXT_COMMANDS,
    **FILE_COMMANDS,
    **LISTING_COMMANDS,
    **PROCESS_COMMANDS,
    **SYSTEM_COMMANDS,
    **DUMPSYS_COMMANDS,
}
