"""The seam between steps that take long and whoever watches them: a terminal, or nobody."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from search.progress import SearchProgress

Advance = Callable[[int, int], None]
"""Called with how many items are done and how many there are; the total may change on the way."""

OnSearchStep = Callable[["SearchProgress"], None]
"""Called after each step of a search."""


class Observer(Protocol):
    """Who is told how a long step goes."""

    def note(self, text: str) -> None:
        """Take one line about what is going on."""
        ...

    def warn(self, text: str) -> None:
        """Take one line about what makes the result doubtful."""
        ...

    def progress(self, title: str) -> AbstractContextManager[Advance]:
        """Open a step; the function that it yields is called as items are done."""
        ...

    def search(self, title: str) -> AbstractContextManager[OnSearchStep]:
        """Open a search; the function that it yields is called after each of its steps."""
        ...


class WarningsOnce:
    """An observer that passes each warning on once: a device is opened many times, and is the same each time.

    Args:
        observer: Who is told.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._warned: set[str] = set()

    def note(self, text: str) -> None:
        """Pass a line on."""
        self._observer.note(text)

    def warn(self, text: str) -> None:
        """Pass a warning on, unless it was before."""
        if text not in self._warned:
            self._warned.add(text)
            self._observer.warn(text)

    def progress(self, title: str) -> AbstractContextManager[Advance]:
        """Pass a step on."""
        return self._observer.progress(title)

    def search(self, title: str) -> AbstractContextManager[OnSearchStep]:
        """Pass a search on."""
        return self._observer.search(title)
