"""`pocketnas explain`: where a network's latency goes, and what the device does at best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pocketnas.cli._options import Force, InputShapes, Json, parse_input_shapes
from pocketnas.cli._prediction_view import show_kernels, show_prediction
from pocketnas.cli._rows import RowSource, stored_rows
from pocketnas.cli._screen import Screen, table
from profiler.errors import ConfigError

if TYPE_CHECKING:
    from pocketnas.explanation import DeviceExplanation, NetworkExplanation
    from predictor import ModelCard, TrainingRows
    from profiler.workload import Source

_PREDICTOR = Path("predictor.safetensors")
_ONE_CONFIGURATION = ("device", "source", "runtime", "threads", "dtype")


def command(
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="MODEL...", help="Model files: .tflite or .onnx.")
    ] = None,
    predictor: Annotated[
        Path | None,
        typer.Option(
            "--predictor",
            metavar="FILE",
            help=f"What `pocketnas fit` wrote. Default: {_PREDICTOR}, unless rows alone are to be explained.",
            show_default=False,
        ),
    ] = None,
    table_file: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="Kernels to show beside it: a table.", show_default=False),
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", metavar="FILE", help="Or the rows of a store.", show_default=False)
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="Device to explain: rows of it, and a predictor of it. Default: the predictor's own.",
            show_default=False,
        ),
    ] = None,
    source: RowSource = None,
    inputs: InputShapes = None,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Give a rough bound where kernels have no evidence.")
    ] = False,
    force: Force = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write one page with plots, too.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say where a predicted latency goes, a kernel and a kind, what each waits for, and what would help.

    A kernel waits for arithmetic (compute), for bytes (memory), or it does so little that its call is most of it
    (overhead). Which, follows from the device's roofline: the peak, the bandwidth and the overhead that its measured
    kernels reach. Limits that these kernels do not settle are named and not guessed. Without a model only the device
    is explained.

    Example: pocketnas explain model.tflite --predictor host.safetensors --html explained.html

    Example: pocketnas explain --table data/tables/host-litert-float32.csv
    """
    from pocketnas.explanation import DeviceExplanation, explain_network
    from predictor import NetworkPredictor
    from profiler.formats import read_model

    screen = Screen(as_json=as_json)
    shapes = parse_input_shapes(inputs or [])
    if predictor is None and not models and (table_file is not None or store is not None):
        rows = _rows(table_file, store, {"device": device, "source": source})
        about, networks = DeviceExplanation.of_rows(rows), []
    else:
        loaded = NetworkPredictor.load(predictor or _PREDICTOR)
        label = loaded.check_device(device or loaded.device, force=force)
        about = DeviceExplanation.of_card(loaded.card, _rows_beside(loaded.card, table_file, store, source))
        networks = [
            explain_network(
                loaded, read_model(path, input_shapes=shapes), model=str(path), label=label, allow_unknown=allow_unknown
            )
            for path in models or []
        ]
    for network in networks:
        _show_network(screen, network)
        screen.show("")
    _show_device(screen, about)
    if html is not None:
        _write(screen, about, networks, html)
    document = {"device": about.document(), "models": [network.document() for network in networks]}
    screen.document(document if html is None else {**document, "html": str(html)})


def _rows_beside(
    card: ModelCard, table_file: Path | None, store: Path | None, source: Source | None
) -> TrainingRows | None:
    """Return the rows of what a predictor learned from, where they are asked for: points beside its predictions."""
    if table_file is None and store is None:
        return None
    wanted = {name: getattr(card, name) for name in _ONE_CONFIGURATION}
    return _rows(table_file, store, wanted | ({} if source is None else {"source": source}))


def _rows(table_file: Path | None, store: Path | None, wanted: Mapping[str, Any]) -> TrainingRows:
    """Return the rows of a table or a store with the wanted values, None standing for any.

    Raises:
        ConfigError: Both are given, or none of the rows is wanted.
    """
    from predictor import training_rows
    from profiler.table import LatencyTable

    if table_file is not None and store is not None:
        raise ConfigError("give --table or --store, not both")
    chosen = {column: value for column, value in wanted.items() if value is not None}
    if store is not None:
        rows = stored_rows(store, device=chosen.get("device"), source=chosen.get("source")).where(**chosen)
    elif table_file is not None:
        rows = LatencyTable.read(table_file).where(**chosen)
    else:
        raise ConfigError("give --table or --store: the rows to explain")
    if not len(rows):
        asked = ", ".join(f"{column} {value}" for column, value in chosen.items())
        raise ConfigError(f"{str(store or table_file)!r} has no rows of {asked}" if asked else "there are no rows")
    return training_rows(rows)


def _show_network(screen: Screen, network: NetworkExplanation) -> None:
    from pocketnas.explanation import EVIDENCE, WAITS_FOR

    show_prediction(screen, network.model, network.prediction, network.learnt_from, network.label)
    rows: list[list[object]] = [
        [
            kind.kind,
            kind.kernels,
            f"{kind.latency_ms:.4g}",
            f"{kind.share:.0%}",
            _bounds(kind.bounds),
            EVIDENCE[kind.evidence],
        ]
        for kind in network.kinds
    ]
    prediction = network.prediction
    call_share = prediction.call_ms / prediction.latency_ms
    rows.append(["call of the network", "", f"{prediction.call_ms:.4g}", f"{call_share:.0%}", "", ""])
    rows.append(["sum", len(network.kernels), f"{prediction.latency_ms:.4g}", "100%", "", ""])
    columns = ["kind", "n", "ms, predicted", "share", "bound", "evidence"]
    if not any(EVIDENCE[kind.evidence] for kind in network.kinds):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    screen.show(table("", columns, rows, right=columns[1:4], whole=columns[:1]))
    show_kernels(screen, network.kernels)
    waits = ", ".join(f"{WAITS_FOR[bound]} {share:.0%}" for bound, share in network.bounds.items() if share >= 0.005)
    screen.show(f"it waits for: {waits}")
    for line in network.advice:
        screen.show(f"- {line}")


def _bounds(bounds: Mapping[str, float]) -> str:
    return ", ".join(
        bound if share > 0.995 else f"{bound} {share:.0%}" for bound, share in bounds.items() if share >= 0.005
    )


def _show_device(screen: Screen, about: DeviceExplanation) -> None:
    from pocketnas.explanation import families
    from pocketnas.explanation_page import limits, reading

    if about.roofline is None:
        screen.show(f"roofline of {about.configuration}: not known; no kernel was measured alone")
        return
    screen.show(f"roofline of {about.configuration}, from {about.roofline.kernels} kernels {about.source} alone")
    for name, value, interval, remark in limits(about):
        screen.show(f"{name:<9}  {value}" + (f" ({interval})" if interval else "") + (f"; {remark}" if remark else ""))
    if text := reading(about):
        screen.show(text)
    if about.kernels:
        columns = ["family", "kernels", "compute", "memory", "overhead", "unknown"]
        rows = [list(family.values())[: len(columns)] for family in families(about.kernels)]
        screen.show("", f"kernels {about.source} alone, by what they wait for")
        screen.show(table("", columns, rows, right=columns[1:]))


def _write(screen: Screen, about: DeviceExplanation, networks: Sequence[NetworkExplanation], path: Path) -> None:
    from pocketnas.explanation_page import write_explanation

    write_explanation(about, networks, path)
    screen.show(f"page in {path}")
