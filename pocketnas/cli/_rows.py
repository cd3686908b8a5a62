"""Owns how a command gets the rows of an existing store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from profiler.errors import TableError

if TYPE_CHECKING:
    from profiler.table import LatencyTable
    from profiler.workload import Source

RowSource = Annotated[
    Literal["measured", "emulated", "emulated-isa"] | None,
    typer.Option("--source", help="Rows of this source only.", show_default=False),
]


def stored_rows(place: Path, *, device: str | None = None, source: Source | None = None) -> LatencyTable:
    """Return all rows of a store.

    Args:
        place: The store, which must exist: opening one that does not would make it.
        device: Rows of this device only.
        source: Rows of this source only.

    Raises:
        TableError: There is no such file, it is no store, or what is asked of it has several sources.
    """
    from profiler.store import Store
    from profiler.table import table

    if not place.is_file():
        raise TableError(f"{str(place)!r}: no such store; `pocketnas profile --store {place}` makes one")
    with Store(place) as store:
        return table(store, device=device, source=source)
