"""Owns how a command gets the rows of an existing store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from profiler.errors import TableError

if TYPE_CHECKING:
    from profiler.table import LatencyTable


def stored_rows(place: Path, *, device: str | None = None) -> LatencyTable:
    """Return all rows of a store.

    Args:
        place: The store, which must exist: opening one that does not would make it.
        device: Rows of this device only.

    Raises:
        TableError: There is no such file, or it is no store.
    """
    from profiler.store import Store
    from profiler.table import table

    if not place.is_file():
        raise TableError(f"{str(place)!r}: no such store; `pocketnas profile --store {place}` makes one")
    with Store(place) as store:
        return table(store, device=device)
