"""`pocketnas table`: what a store holds, as a table on the screen or in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pocketnas.cli._options import Json
from pocketnas.cli._rows import RowSource, stored_rows
from pocketnas.cli._screen import Screen, table

if TYPE_CHECKING:
    from profiler.table import LatencyTable

_FIGURES = ("ms", "95 % interval", "runs", "verdict")


def command(
    store: Annotated[Path, typer.Option("--store", metavar="FILE", help="Store that `pocketnas profile` filled.")],
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FILE", help="Write all columns to a .csv, .parquet or .json.", show_default=False
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="Rows of this device only.", show_default=False)
    ] = None,
    source: RowSource = None,
    level: Annotated[
        Literal["kernel", "network"] | None,
        typer.Option("--level", help="Rows of this level only.", show_default=False),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="Rows of this kind only, as in conv2d+relu.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Most rows on the screen; 0 for all.")] = 40,
    as_json: Json = False,
) -> None:
    """Show latencies, one row a workload, slowest first; or write them to a file.

    What `pocketnas fusion` found on the devices goes beside an exported file, as NAME.fusion.json, where `fit --table`
    finds it.

    Example: pocketnas table --store host.db --kind depthwise_conv2d

    Example: pocketnas table --store host.db --export host.parquet

    Example: pocketnas table --store measurements.db --device host
    """
    screen = Screen(as_json=as_json)
    rows = stored_rows(store, device=device, source=source)
    asked = {"level": level, "kind": kind}
    rows = rows.where(**{column: value for column, value in asked.items() if value is not None})
    if export is not None:
        rows.write(export)
        screen.show(f"{len(rows)} rows in {export}")
        fusion = _export_fusion(store, export, rows)
        if fusion is not None:
            screen.show(f"what is known of fusion on its devices in {fusion}")
        screen.document({"rows": len(rows), "export": str(export), "fusion": str(fusion) if fusion else None})
        return
    _show(screen, rows, limit)


def _export_fusion(place: Path, export: Path, rows: LatencyTable) -> Path | None:
    """Write the findings of fusion on the table's devices beside it; None, and no file, where the store has none."""
    from profiler.fusion import fusion_file_of, stored_findings, write_fusion_file
    from profiler.store import Store

    origins = set(rows.frame[["device", "source"]].itertuples(index=False, name=None))
    with Store(place) as store:
        findings = [found for found in stored_findings(store) if (found.device, found.source) in origins]
    if not findings:
        # What lies there is of a table that this one has replaced, and would be learnt by with it.
        fusion_file_of(export).unlink(missing_ok=True)
        return None
    write_fusion_file(fusion_file_of(export), findings)
    return fusion_file_of(export)


def _show(screen: Screen, rows: LatencyTable, limit: int) -> None:
    slowest = rows.frame.sort_values("median_ms", ascending=False)
    # pandas knows how its own cells become JSON: NaN turns into null.
    records: list[dict[str, Any]] = json.loads(slowest.to_json(orient="records"))
    shown = records[:limit] if limit else records
    origins = {_origin(row) for row in records}
    # Where all rows are alike in this, a line above the table saves three columns of a narrow terminal.
    common = len(origins) == 1
    cells = [
        [
            *([] if common else _origin(row)),
            _describe(row),
            _number(row["median_ms"]),
            f"{_number(row['low_ms'])} to {_number(row['high_ms'])}",
            row["n_samples"],
            row["verdict"],
        ]
        for row in shown
    ]
    title = ", ".join(origins.pop()) if common else ""
    columns = [*([] if common else ["device", "source", "runtime", "type"]), "workload", *_FIGURES]
    screen.show(table(title, columns, cells, right=_FIGURES[:-1]))
    if len(shown) < len(records):
        screen.show(f"{len(records) - len(shown)} faster rows are not shown; --limit 0 shows all")
    screen.document({"rows": [{column: row[column] for column in row if column != "config"} for row in records]})


def _origin(row: dict[str, Any]) -> tuple[str, str, str, str]:
    threads = "1 thread" if row["threads"] == 1 else f"{row['threads']} threads"
    return row["device"], row["source"], f"{row['runtime']} {row['runtime_version']}, {threads}", row["dtype"]


def _describe(row: dict[str, Any]) -> str:
    from profiler.kernels import Kernel
    from profiler.network import Network

    if row["level"] == "network":
        return f"network {row['key'][:8]}"
    return Kernel(Network.from_json(row["config"])).describe()


def _number(latency_ms: float | None) -> str:
    return "" if latency_ms is None else f"{latency_ms:.4g}"
