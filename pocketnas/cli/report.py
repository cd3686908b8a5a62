"""`pocketnas report`: the result of a folder as one self-contained page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pocketnas.cli._options import Json
from pocketnas.cli._screen import Screen


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with a result.json.")], as_json: Json = False
) -> None:
    """Write DIR/report.html from DIR/result.json.

    The page needs neither network nor server. It keeps what was measured and what was predicted apart.

    Example: pocketnas report out
    """
    from pocketnas.report import write_report
    from pocketnas.result import SearchResult

    screen = Screen(as_json=as_json)
    path = write_report(SearchResult.load(folder), folder)
    screen.show(str(path))
    screen.document({"report": str(path)})
