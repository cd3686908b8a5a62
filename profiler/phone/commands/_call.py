"""What a command of the emulated phone is given, and what it gives back."""

from __future__ import annotations

import posixpath
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from profiler.phone._io import Pipes

if TYPE_CHECKING:
    from profiler.phone.files import FileSystem
    from profiler.phone.phone import Phone
    from profiler.phone.processes import Process


@dataclass(frozen=True)
class Answer:
    """What a command printed and how it ended."""

    stdout: bytes | bytearray = b""
    stderr: str = ""
    code: int = 0


@dataclass(frozen=True)
class Call:
    """A command as it was called.

    Attributes:
        phone: Where it runs.
        name: What it was called by.
        arguments: Its arguments.
        pipes: Its standard streams; what prints as it goes writes to them itself.
        folder: Its working folder.
        variables: Variables of its shell.
        process: The process it runs in.
        run: Runs another command and gives its exit code; in a process that is given, which becomes that command.
    """

    phone: Phone
    name: str
    arguments: tuple[str, ...]
    pipes: Pipes
    folder: str
    variables: Mapping[str, str]
    process: Process
    run: Callable[[Sequence[str], Pipes, Process | None], Awaitable[int]]

    @property
    def files(self) -> FileSystem:
        """The phone's file system."""
        return self.phone.files

    def path(self, argument: str) -> str:
        """Return an argument as an absolute path."""
        return posixpath.join(self.folder, argument)

    def as_process(self, process: Process) -> Call:
        """Return the same call in a process of its own."""
        return replace(self, process=process)

    def failure(self, text: str, code: int = 1) -> Answer:
        """Return the answer of a command that failed with a message."""
        return Answer(stderr=f"{self.name}: {text}\n", code=code)

    def options(self, flags: str) -> tuple[set[str], list[str]]:
        """Return the one-letter options given and the other arguments.

        Args:
            flags: Letters that are options; an argument with any other is no option.
        """
        given: set[str] = set()
        rest = list(self.arguments)
        while rest and rest[0].startswith("-") and len(rest[0]) > 1:
            word = rest.pop(0)
            if word == "--":
                break
            if not all(letter in flags for letter in word[1:]):
                rest.insert(0, word)
                break
            given.update(word[1:])
        return given, rest


Command = Callable[[Call], Answer] | Callable[[Call], Coroutine[Any, Any, Answer]]
"""A command that answers at once, or, as a coroutine, one that takes time and may be killed in it."""


def text(value: str) -> Answer:
    """Return the answer of a command that printed a text."""
    return Answer(value.encode(errors="surrogateescape"))
