"""Owns which lines of a benchmark's log say that it failed, and which only sound like it.

Tools end in failure with and without "Benchmarking failed.", and succeed while they print errors: a cache
that is not there yet, a GPU API that another one replaces.  A line that always means failure counts
wherever it stands; one that may mean failure counts when no result follows.
"""

from __future__ import annotations

import re

_ALWAYS = re.compile(
    r"Unconsumed cmdline flags|unrecognized commandline flag"
    r"|[Tt]hough \S{1,40} delegate is .{0,40}applied, the model graph will not be executed by the delegate"
    r"|Could not create \S{1,40} delegate|[Ff]ailed to (?:apply|create|load) (?:\S{1,40} )?[Dd]elegate"
    r"|(?:acceleration|delegate) (?:is unsupported|is not supported|isn't supported)"
    r"|Disallowing CPU fallback|couldn't find the specified accelerator"
)
_VERDICT = "Benchmarking failed"
_SHELL = re.compile(
    r"not executable: |CANNOT LINK EXECUTABLE|can't execute: |inaccessible or not found|: not found$"
    r"|Segmentation fault|Illegal instruction|Bus error|Text file busy|Exec format error|^(?:Aborted|Killed)\b"
)
_PERHAPS = re.compile(
    r"\bfail(?:ed|ure)?\b|\bFAILED\b|\bFailed\b|\bFailure\b|[Cc]ould(?: not|n't) |\bCannot |\bcannot |Please specify"
    r"|No such file|Permission denied|[Oo]ut of memory|\breturned error\b|terminating with uncaught|Fatal signal"
)
_HARMLESS = re.compile(
    r"Error in cpuinfo|prctl\(|error_during_init|couldn't be opened|unable to open library|requires android sdk"
    r"|Falling back|No selector for|default TensorFlow Lite delegate|\]$|^Loaded model|benchmark with args"
)


class Failures:
    """What a log has said about failure so far."""

    def __init__(self) -> None:
        self._certain: str | None = None
        self._possible: str | None = None
        self._verdict: str | None = None
        self.in_shell = False

    def read(self, text: str) -> None:
        """Take one more line, without its prefix."""
        if _ALWAYS.search(text) and "default TensorFlow Lite delegate" not in text:
            self._certain = self._certain or text
        elif _VERDICT in text:
            self._verdict = text
        elif _SHELL.search(text):
            self._possible, self.in_shell = text, True
        elif _PERHAPS.search(text) and not _HARMLESS.search(text):
            self._possible = self._possible or text

    def certain(self, reason: str) -> None:
        """Note a failure that was found elsewhere."""
        self._certain = self._certain or reason

    def result(self) -> None:
        """Forget what only may have been a failure: a result came after it."""
        self._possible = None

    def reason(self) -> str | None:
        """Return why the log is one of a failure, as one line of it; None when it is none."""
        if self._certain or not self._verdict:
            return self._certain or self._possible
        return self._possible or self._verdict
