"""Runs toy searches with a closed loop that kill themselves at a counted moment; `test_run_killed` resumes them.

    python -m tests.search._killed FOLDER COUNT...

Each count is one search: after so many moments it gets SIGKILL.  With the same count it dies at the same place.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from search.algorithms import Cars
from search.closed_loop import ClosedLoop
from search.outcome import SearchOutcome
from tests.search._toy import LawSource, ToyFeedback, ToyGenotype, toy_search

PLACES = [
    (os, "fsync"),
    (Path, "replace"),
    (Path, "mkdir"),
    (LawSource, "learn"),
    (LawSource, "evaluate"),
    (LawSource, "state"),
    (Cars, "ask"),
    (Cars, "tell"),
    (ToyFeedback, "measure"),
]
"""Before and after each call of one of these is a moment."""


def looped(run_dir: Path) -> SearchOutcome[ToyGenotype]:
    """Make the search, or go on with it."""
    return toy_search(run_dir, loop=ClosedLoop(ToyFeedback(), every=2, networks=3, rounds=3))


def count_moments(on_moment: Callable[[int], None]) -> None:
    """Call back at each moment of this process with its number, from 0."""
    counter = itertools.count()

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: object, **options: object) -> object:
            on_moment(next(counter))
            result = function(*args, **options)
            on_moment(next(counter))
            return result

        return call

    for owner, name in PLACES:
        setattr(owner, name, counting(getattr(owner, name)))


def die_at(moment: int, run_dir: Path) -> int:
    """Make the search in a process of its own that dies at a moment; return its wait status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]

    def on_moment(number: int) -> None:
        if number == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    count_moments(on_moment)
    looped(run_dir)
    os._exit(0)


if __name__ == "__main__":
    folder, *counts = sys.argv[1:]
    for count in counts:
        # "3+5": killed at the third moment, gone on with, killed at the fifth of that process.
        for moment in count.split("+"):
            status = die_at(int(moment), Path(folder) / count)
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{count} came to an end"
