"""Owns the folder where builds of the agent, and all that they are made from, are kept between runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from profiler.agent._progress import Progress
from profiler.errors import AgentBuildError

FOLDER_VARIABLE = "POCKETNAS_CACHE"
# Two engines for two targets, each from nothing, on a slow machine.
_LONGEST_WAIT_S = 3600.0
_SOON_S = 0.5


def cache_folder() -> Path:
    """Return the agent's folder in the cache: $POCKETNAS_CACHE, else pocketnas/ where the system keeps caches."""
    named = os.environ.get(FOLDER_VARIABLE)
    system = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return (Path(named).absolute() if named else Path(system) / "pocketnas") / "agent"


@contextmanager
def sole_builder(progress: Progress) -> Iterator[None]:
    """Keep other builds out of the cache while the block runs; what a killed one left half done is removed first.

    Args:
        progress: Told when there is another build to wait for.

    Raises:
        AgentBuildError: The other one does not end.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "build.lock", thread_local=False)
    try:
        try:
            lock.acquire(timeout=_SOON_S)
        except Timeout:
            progress("waiting for another build of the agent")
            lock.acquire(timeout=_LONGEST_WAIT_S)
    except Timeout as error:
        raise AgentBuildError(f"another process has held {lock.lock_file} for {_LONGEST_WAIT_S:g} s") from error
    try:
        shutil.rmtree(folder / "work", ignore_errors=True)
        yield
    finally:
        lock.release()


@contextmanager
def work_folder() -> Iterator[Path]:
    """Give an empty folder that is gone when the block ends; only for the sole builder."""
    parent = cache_folder() / "work"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def put_whole(made: Path, place: Path) -> None:
    """Move a finished folder to its place in the cache in one step; a damaged one there is replaced."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    made.rename(place)
