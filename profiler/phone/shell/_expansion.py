"""Turns words into arguments: variables, what commands print, splitting, and patterns of file names."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Awaitable, Callable

from profiler.phone.files import SHELL_USER, FileSystem
from profiler.phone.shell._grammar import Literal, Script, Substitution, Word

_MAX_FIELDS = 100_000
_PATTERN = re.compile(r"[*?\[]")
_ESCAPE = "\\"


class Expander:
    """Expands words for one shell.

    Args:
        value: Gives a variable's value.
        capture: Runs commands and gives what they print.
        files: Where patterns look for names.
        folder: Gives the working folder.
    """

    def __init__(
        self,
        value: Callable[[str], str],
        capture: Callable[[Script], Awaitable[str]],
        files: FileSystem,
        folder: Callable[[], str],
    ) -> None:
        self._value, self._capture, self._files, self._folder = value, capture, files, folder

    async def fields(self, word: Word) -> list[str]:
        """Return the arguments that a word becomes."""
        pieces: list[tuple[str, bool]] = []
        started = any(part.quoted for part in word)
        for text, quoted, splits in [await self._part(part) for part in word]:
            pieces.extend([(text, quoted)] if not splits else _split(text))
        fields: list[str] = []
        pattern = ""
        for text, quoted in pieces:
            if text == _FIELD_END and not quoted:
                if pattern or started:
                    fields.append(pattern)
                pattern, started = "", False
            else:
                pattern += _literal(text) if quoted else text
        if pattern or started:
            fields.append(pattern)
        found = [name for field in fields for name in self._names(field)]
        return found[:_MAX_FIELDS]

    async def text(self, word: Word) -> str:
        """Return what a word becomes where one string is wanted: no splitting and no patterns."""
        return "".join([(await self._part(part))[0] for part in word])

    async def _part(self, part: object) -> tuple[str, bool, bool]:
        """Return a part's text, whether it is to be taken literally, and whether it is split."""
        if isinstance(part, Literal):
            return part.text, part.quoted, False
        if isinstance(part, Substitution):
            return (await self._capture(part.script)).rstrip("\n"), part.quoted, not part.quoted
        name, quoted = getattr(part, "name", ""), getattr(part, "quoted", False)
        return self._value(name), quoted, not quoted

    def _names(self, pattern: str) -> list[str]:
        """Return the files that a pattern fits; the pattern's own text when there are none."""
        if not _has_pattern(pattern):
            return [_plain(pattern)]
        absolute = pattern.startswith("/")
        found = ["/" if absolute else ""]
        for segment in [part for part in pattern.split("/") if part]:
            found = [path for base in found for path in self._below(base, segment)]
        return found or [_plain(pattern)]

    def _is_there(self, path: str) -> bool:
        try:
            self._files.find(path, SHELL_USER)
        except OSError:
            return False
        return True

    def _below(self, base: str, segment: str) -> list[str]:
        folder = posixpath.join(self._folder(), base)
        if not _has_pattern(segment):
            # A folder that may not be listed may be gone through.
            path = posixpath.join(base, _plain(segment))
            return [path] if self._is_there(posixpath.join(self._folder(), path)) else []
        try:
            names = self._files.names(folder, SHELL_USER)
        except OSError:
            return []
        # fnmatch knows no backslash: what was quoted goes into a class of one character.
        pattern = re.sub(r"\\(.)", lambda match: f"[{match[1]}]" if match[1] in "*?[" else match[1], segment)
        hidden = segment.startswith(".")
        return [
            posixpath.join(base, name)
            for name in names
            if fnmatch.fnmatchcase(name, pattern) and name.startswith(".") == hidden
        ]


def _has_pattern(text: str) -> bool:
    return _PATTERN.search(re.sub(r"\\.", "", text, flags=re.DOTALL)) is not None


def _plain(text: str) -> str:
    """Return a text without the backslashes that keep its characters from being a pattern."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


_FIELD_END = "\0"


def _split(text: str) -> list[tuple[str, bool]]:
    """Split at white space into pieces, with marks where a field ends."""
    pieces: list[tuple[str, bool]] = []
    for place, part in enumerate(re.split(r"[ \t\n]+", text)):
        if place:
            pieces.append((_FIELD_END, False))
        if part:
            pieces.append((part, False))
    return pieces


def _literal(text: str) -> str:
    return re.sub(r"([*?\[\\])", r"\\\1", text)
