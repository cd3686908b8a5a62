"""How a phone says that it does not run a program of ours."""

from __future__ import annotations

import re

from profiler.errors import DeviceRefusedError, ProgramRemovedError, RuntimeNotSupportedError

NOT_FOUND = 127
"""Exit code of a shell whose command is not there."""
_NOT_EXECUTABLE = 126
_REFUSAL = re.compile(r"[Pp]ermission denied|can't execute|not executable|Operation not permitted")
_UNLINKED = re.compile(r"CANNOT LINK EXECUTABLE.{0,200}")


def require_allowed(serial: str, runtime: str, folder: str, code: int | None, log: str) -> None:
    """Refuse to go on where a phone does not run our program at all.

    Args:
        serial: The phone, as errors name it.
        runtime: What the program is.
        folder: Where it is.
        code: Its exit code, as the phone's shell gives it.
        log: What it printed, and the shell.

    Raises:
        DeviceRefusedError: It may not be executed.
        RuntimeNotSupportedError: It needs a library that the phone does not have.
        ProgramRemovedError: It is not there.
    """
    if unlinked := _UNLINKED.search(log):
        raise RuntimeNotSupportedError(serial, runtime, f"the phone says: {unlinked[0]}")
    if code == _NOT_EXECUTABLE and _REFUSAL.search(log):
        said = " ".join(log.split())[-200:]
        raise DeviceRefusedError(serial, f"does not let our program run from {folder} (noexec or a policy): {said}")
    if code == NOT_FOUND:
        raise ProgramRemovedError(serial, folder)
