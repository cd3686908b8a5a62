"""The program that a user brings for a phone: what it is, whether it fits, and how it gets there."""

from __future__ import annotations

import hashlib

from profiler.adb import RemoteFolder
from profiler.backends.android.elf import abi_of
from profiler.backends.android.facts import PhoneFacts
from profiler.errors import RuntimeNotSupportedError
from profiler.runtimes.phone_tools import PhoneTool


class PhoneProgram:
    """A program as the tool that it should be.

    Args:
        tool: The tool.
        content: The program.

    Attributes:
        version: The program's version.
        path: The program on the phone, as it was put there last.
    """

    def __init__(self, tool: PhoneTool, content: bytes) -> None:
        self._tool, self._content = tool, content
        self.version = tool.version(content, hashlib.sha256(content).hexdigest())
        self.path = ""

    def require_fits(self, serial: str, facts: PhoneFacts) -> None:
        """Refuse a program that cannot run there, before it is sent.

        Raises:
            RuntimeNotSupportedError: It is no program, is built for another processor, or is too old.
        """
        abi, name = abi_of(self._content), self._tool.name
        if abi is None:
            raise RuntimeNotSupportedError(serial, name, "the program is no ELF file; give one built for Android")
        if facts.abis and abi not in facts.abis:
            problem = f"the program is built for {abi}, and the phone runs {', '.join(facts.abis)}"
            raise RuntimeNotSupportedError(serial, name, problem)
        self._tool.require_flags(serial, self._content)

    def put(self, folder: RemoteFolder) -> None:
        """Have it on the phone.

        Raises:
            DeviceError: It cannot be sent.
        """
        self.path = folder.put(self._content, executable=True)
