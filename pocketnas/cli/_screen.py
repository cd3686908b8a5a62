"""Owns what goes to stdout and what to stderr: results for people or as JSON, notes, progress, errors.

A command computes and hands its result over; whether a table, a JSON document or a progress bar comes of
it is decided here, so that `--json` holds for every command in the same way.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pocketnas._observer import Advance, OnSearchStep
from pocketnas.cli._search_view import SearchView
from pocketnas.cli._text import inert

if TYPE_CHECKING:
    from search.progress import SearchProgress

# Columns that a table gets when nobody looks at it through a terminal, so that piped tables are not cut.
_PIPED_WIDTH = 160

# What a bar, its figures and the gaps between them take; the title beside them is cut to what is left.
_FIGURES_CHARACTERS = 44
_LEAST_TITLE_CHARACTERS = 16


class Screen:
    """The two output streams of one command.

    Attributes:
        as_json: Whether stdout carries one JSON document instead of text for people.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)

    def note(self, text: str) -> None:
        """Say what is going on, on stderr; silent with --json."""
        if not self.as_json:
            self._err.print(Text(inert(text)), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Point out what makes the result doubtful, on stderr, also with --json."""
        self._err.print(Text.assemble(("warning: ", "yellow"), inert(text)), soft_wrap=True)

    def show(self, *parts: RenderableType) -> None:
        """Print a result for people on stdout; nothing with --json."""
        if not self.as_json:
            for part in parts:
                self._out.print(Text(inert(part)) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))

    def document(self, value: Mapping[str, object] | Sequence[object]) -> None:
        """Print the result as one JSON document on stdout; nothing without --json.

        Control characters and surrogates leave as escapes, so the document is plain ASCII.

        Raises:
            ValueError: The value holds NaN or an infinity, which JSON has no words for.
        """
        if self.as_json:
            sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")

    def line(self, value: Mapping[str, object]) -> None:
        """Print a JSON document as one line at once, for a program that waits for it; nothing without --json."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")
            sys.stdout.flush()

    @contextmanager
    def progress(self, title: str) -> Iterator[Advance]:
        """Show a bar with the time left while the block runs, and one line with its duration at the end.

        Args:
            title: What is being done, as in "measuring kernels".

        Yields:
            A function to call with (done, total).
        """
        with self._bars({"": title}, title) as advance:
            yield partial(advance, "")

    @contextmanager
    def progress_rows(self, title: str, names: Sequence[str]) -> Iterator[Callable[[str, int, int], None]]:
        """Show a bar for each of several things that go on at the same time.

        Args:
            title: What is being done to each, as in "measuring on".
            names: The things; each has its bar from the start.

        Yields:
            A function to call, from any thread, with (name, done, total).
        """
        one = len(names) == 1
        titles = {name: f"{title} {name}" if one else name for name in names}
        with self._bars(titles, f"{title} {names[0] if one else f'{len(names)} devices'}") as advance:
            yield advance

    @contextmanager
    def search(self, title: str) -> Iterator[OnSearchStep]:
        """Show a search on stderr, as a live table or as lines; nothing with --json."""
        if self.as_json:
            yield _unseen
            return
        with SearchView(self._err, title) as view:
            yield view.on_step

    @contextmanager
    def _bars(self, titles: Mapping[str, str], summary: str) -> Iterator[Callable[[str, int, int], None]]:
        started_s = time.monotonic()
        counts = dict.fromkeys(titles, 0)

        def advance(name: str, done: int, total: int) -> None:
            counts[name] = done
            bar.update(tasks[name], completed=done, total=total)

        with self._bar() as bar:
            room = max(_LEAST_TITLE_CHARACTERS, self._err.width - _FIGURES_CHARACTERS)
            tasks = {name: bar.add_task(inert(title, room), total=None) for name, title in titles.items()}
            yield advance
        count = sum(counts.values())
        counted = f" ({count})" if count else ""
        self.note(f"{summary}{counted}: {time.monotonic() - started_s:.1f} s")

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._err,
            transient=True,
            disable=self.as_json or not self._err.is_terminal,
        )


def _unseen(progress: SearchProgress) -> None:
    """Take a step that nobody looks at."""


class _Printer(Console):
    """Rich's console, but a reader that left is left to the program, which knows what that means."""

    def on_broken_pipe(self) -> None:
        raise  # called while the BrokenPipeError is handled


def _console(*, stderr: bool) -> Console:
    console = _Printer(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    return console


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> Table:
    """Return a table of inert text.

    Args:
        title: Line above the table.
        columns: Headings.
        rows: Cells, a row each; any object, shown by its `str`.
        right: Headings of the columns that hold numbers, aligned right and never broken.
        whole: Headings of further columns that are never broken, such as names that are typed again.
    """
    made = Table(title=Text(inert(title)), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(
            Text(column), justify="right" if column in right else "left", no_wrap=column in (*right, *whole)
        )
    for row in rows:
        made.add_row(*(Text(inert(cell)) for cell in row))
    return made


def fail(message: str) -> None:
    """Print an error as one line on stderr."""
    sys.stderr.write(f"error: {inert(message, 2000)}\n")
    sys.stderr.flush()
