"""`pocketnas fit`: learn to predict latency from measured rows, and say how well that went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketnas.cli._options import Json
from pocketnas.cli._rows import RowSource, stored_rows
from pocketnas.cli._screen import Screen, table
from profiler.errors import ConfigError

if TYPE_CHECKING:
    from predictor import Accuracy, ModelCard
    from profiler.table import LatencyTable
    from profiler.workload import Source


def command(
    store: Annotated[
        Path | None, typer.Option("--store", metavar="FILE", help="Store to learn from.", show_default=False)
    ] = None,
    table_file: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="Or a table: .csv, .parquet, .json.", show_default=False),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="Rows of this device only.", show_default=False)
    ] = None,
    source: RowSource = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the predictor goes.")] = Path(
        "predictor.safetensors"
    ),
    as_json: Json = False,
) -> None:
    """Fit a predictor on measured kernels and whole networks of one device.

    Errors and coverage are of cases that were held out; INVALID rows are never learnt from.

    Example: pocketnas fit --store host.db --out host.safetensors

    Example: pocketnas fit --table data/tables/host-litert-float32.csv
    """
    from predictor import NetworkPredictor

    screen = Screen(as_json=as_json)
    rows = _rows(store, table_file, device, source)
    with screen.progress(f"fitting on {len(rows)} rows"):
        predictor = NetworkPredictor().fit(rows)
    predictor.save(out)
    card = predictor.card
    _show(screen, card)
    screen.show(f"predictor in {out}")
    screen.document({"predictor": str(out), **card.model_dump(mode="json")})


def _rows(store: Path | None, table_file: Path | None, device: str | None, source: Source | None) -> LatencyTable:
    from profiler.table import LatencyTable

    if store is not None and table_file is None:
        return stored_rows(store, device=device, source=source)
    if table_file is not None and store is None:
        asked = {"device": device, "source": source}
        rows = LatencyTable.read(table_file)
        return rows.where(**{column: value for column, value in asked.items() if value is not None})
    raise ConfigError("give either --store or --table: the rows to learn from")


def _show(screen: Screen, card: ModelCard) -> None:
    rows = [[family.family, family.rows, *_figures(family.held_out)] for family in card.families]
    rows.append(["whole networks", card.networks.cases, *_figures(card.networks)])
    columns = ["kernels of", "rows", "error", "within 10 %", "in interval"]
    title = (
        f"held-out accuracy on {card.device} ({card.source}, {card.runtime} {card.runtime_version}, {card.processor})"
    )
    screen.show(table(title, columns, rows, right=columns[1:]))
    screen.show(f"intervals are meant to hold {card.nominal_coverage:.0%} of latencies")
    for remark in card.remarks:
        screen.warn(remark)


def _figures(held_out: Accuracy) -> list[str]:
    shares = (held_out.within_10_percent, held_out.coverage)
    error = "" if held_out.mape_percent is None else f"{held_out.mape_percent:.1f} %"
    return [error, *("" if share is None else f"{share:.0%}" for share in shares)]
