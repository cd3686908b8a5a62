"""Owns how bytes from a tool become lines: decoded, capped, and free of what could move a cursor.

Whether a line was ended by a newline is kept, because a number at the end of a line that was not may be
the first half of another number.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from profiler.errors import ToolOutputError

# Ten times the longest logs that we know of; more is a mistake or an attack.
MAX_BYTES = 64 << 20
# The longest honest lines are names of operators with many outputs, a few thousand characters.
MAX_LINE = 16_384
# A profile of ten thousand operators has some tens of thousands of lines.
MAX_LINES = 400_000
# Longest name that is kept of what a tool prints.
MAX_NAME = 512

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_SHELL_PROMPT = re.compile(r"\S{0,80} ?[#$] ?")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an output.

    Attributes:
        number: Place in the output, counted from 1.
        text: The line without its end; escape sequences and control characters other than tabs are spaces.
        whole: Whether the line is known to be all of it: ended by a newline and not longer than MAX_LINE.
    """

    number: int
    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Text:
    """An output as lines.

    Attributes:
        lines: All lines; the empty rest behind the last newline is none.
    """

    lines: tuple[Line, ...]

    @property
    def cut(self) -> bool:
        """Whether the output ends inside a line, or a line was too long to be read."""
        return any(not line.whole and line.text.strip() for line in self.lines)

    def whole(self) -> Iterator[Line]:
        """Iterate over the lines that are known to be all there."""
        return (line for line in self.lines if line.whole)


def read_text(data: bytes, kind: str) -> Text:
    """Return an output's lines.

    Bytes that are no UTF-8 become U+FFFD; UTF-16 with a byte order mark, which PowerShell's `>` writes, is read.

    Args:
        data: The output as it was saved.
        kind: Kind of output, for the error.

    Raises:
        ToolOutputError: The output is empty, or larger than MAX_BYTES or MAX_LINES.
    """
    if len(data) > MAX_BYTES:
        raise ToolOutputError(kind, f"larger than {MAX_BYTES >> 20} MiB, which no output of this kind is")
    pieces = _decoded(data).split("\n")
    if len(pieces) > MAX_LINES:
        raise ToolOutputError(kind, f"more than {MAX_LINES} lines, which no output of this kind has")
    rest = pieces.pop()
    lines = [_line(number, piece, ended=True) for number, piece in enumerate(pieces, 1)]
    if rest:
        lines.append(_line(len(lines) + 1, rest, ended=False))
    if not any(line.text.strip() or not line.whole for line in lines):
        raise ToolOutputError(kind, "empty")
    return Text(tuple(lines))


def without_prompt(text: str) -> str:
    """Return a line without its end, its indent and a shell's bare prompt."""
    stripped = text.strip()
    return "" if len(stripped) <= 90 and _SHELL_PROMPT.fullmatch(stripped) else stripped


def short(text: str) -> str:
    """Return a name as it is kept: without surrounding space, at most MAX_NAME characters."""
    return text.strip()[:MAX_NAME]


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def _line(number: int, text: str, *, ended: bool) -> Line:
    if len(text) > MAX_LINE:
        return Line(number, text[:MAX_NAME].translate(_BLANK), whole=False)
    if not text.isprintable():
        text = _CONTROLS.sub(" ", _ESCAPES.sub(" ", text.removesuffix("\r")))
    return Line(number, text, whole=ended)


_BLANK = {code: " " for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}
