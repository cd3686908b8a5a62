"""Asks a phone many things in one round trip; what it refuses is not in the answer."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from profiler.adb import Transport
from profiler.errors import ToolOutputError

_END = "end"

Reading = TypeVar("Reading")


class ProbeScript:
    """A shell script that runs commands one after the other and marks where the output of each begins.

    Args:
        probes: Command by the name of its section; a name is a word.  What a command says on standard error is dropped,
            for refusals there are phrased differently on every phone.
    """

    def __init__(self, probes: Mapping[str, str]) -> None:
        self._probes = dict(probes)
        # Outputs are foreign text; no phone can know what marks their end.
        self._mark = f"pocketnas-{secrets.token_hex(8)}"

    @property
    def text(self) -> str:
        """The script."""
        lines = [f"{self._marked(name)}; {{ {command}; }}" for name, command in self._probes.items()]
        return "\n".join([*lines, self._marked(_END)])

    def sections(self, output: str) -> dict[str, bytes]:
        """Return what each command printed, by section; one that is cut or missing is left out."""
        parts = re.split(rf"\n{self._mark} (\w+)\n", "\n" + output)
        # Text before the first mark is nobody's; the last section ends only where the next mark begins.
        names, texts = parts[1::2], parts[2::2]
        return {name: text.encode() for name, text in zip(names, texts, strict=True) if name in names[:-1]}

    def _marked(self, name: str) -> str:
        return rf"printf '\n{self._mark} {name}\n'"


def ask(transport: Transport, probes: Mapping[str, str], *, timeout_s: float = 30.0) -> dict[str, bytes]:
    """Return what commands print on a phone, in one round trip; what is cut or missing is left out.

    Args:
        transport: The way to the phone.
        probes: Command by the name of its section.
        timeout_s: For all of them together.

    Raises:
        DeviceError: The phone cannot be reached.
    """
    script = ProbeScript(probes)
    return script.sections(transport.shell(script.text, timeout_s=timeout_s).stdout)


def silent(command: str) -> str:
    """Return a command that keeps its complaints to itself."""
    return f"{command} 2>/dev/null"


def listing(files: Iterable[str]) -> str:
    """Return a command that prints files of a line, patterns allowed, each under a line "==> path <=="."""
    # A second file, which is empty, makes sure of the names; what cannot be read is left out.
    return silent(f"head -n 1 /dev/null {' '.join(files)}")


def known(parse: Callable[[bytes], Reading], answer: bytes | None) -> Reading | None:
    """Return what an answer says; None when there is none, or it is not what was asked for."""
    if not answer or not answer.strip():
        return None
    try:
        return parse(answer)
    except ToolOutputError:
        return None


def line(answer: bytes | None) -> str:
    """Return an answer of one line, capped; empty when there is none."""
    return (answer or b"").decode(errors="replace").strip().partition("\n")[0][:200]
