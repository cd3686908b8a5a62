"""`pocketnas fit`: learn to predict latency from measured rows, and say how well that went."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pocketnas.cli._agents import ready_agents
from pocketnas.cli._configured import configured_device
from pocketnas.cli._options import Config, Json, Seed, WaitS
from pocketnas.cli._rows import RowSource, stored_rows
from pocketnas.cli._screen import Screen, table
from profiler.errors import ConfigError

if TYPE_CHECKING:
    from pocketnas.transfer import TransferOutcome
    from predictor import Accuracy, ModelCard, NetworkPredictor
    from profiler.fusion import FusionFindings
    from profiler.table import LatencyTable
    from profiler.workload import Dtype, Source

_STORE = Path("measurements.db")
_BUDGET = 20
_FUSION_FOUND = {"rules": "as is known of the runtime", "evidence": "as found on the device"}


def _names(value: str | None) -> str | None:
    if value is not None and not all(name.strip() for name in value.split(",")):
        raise typer.BadParameter(f"{value!r} holds an empty name; give devices as in A,B")
    return value


def command(
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="FILE",
            help="Store to learn from. [default with --from: measurements.db]",
            show_default=False,
        ),
    ] = None,
    table_file: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="Or a table: .csv, .parquet, .json.", show_default=False),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="Rows of this device only; with --from, the new device, as the devices file names it.",
            show_default=False,
        ),
    ] = None,
    source: RowSource = None,
    dtype: Annotated[
        Literal["float32", "int8"] | None,
        typer.Option("--dtype", help="Rows of this numeric type only.", show_default=False),
    ] = None,
    sources: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="A,B",
            callback=_names,
            help="Learn the device from these others and few rows of its own, which are chosen and measured now: "
            "devices of the store, or predictor files (.safetensors).",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            metavar="N",
            min=1,
            help=f"With --from: rows of the new device to rest on, those that are there already included. "
            f"[default: {_BUDGET}]",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    wait_s: WaitS = 0.0,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the predictor goes.")] = Path(
        "predictor.safetensors"
    ),
    as_json: Json = False,
) -> None:
    """Fit a predictor on measured kernels and whole networks of one device.

    Errors and coverage are of cases that were held out; INVALID rows are never learnt from.

    With --from, a new device stands on others: the workloads that tell most about it are chosen from what these
    measured, and are measured on it. The same command after an interruption goes on where it stopped.

    Example: pocketnas fit --store host.db --out host.safetensors

    Example: pocketnas fit --table data/tables/host-litert-float32.csv

    Example: pocketnas fit --device galaxy --from pixel,mi9 --budget 20 --store phones.db --out galaxy.safetensors
    """
    screen = Screen(as_json=as_json)
    told: dict[str, object] = {}
    if not out.absolute().parent.is_dir():
        # Measuring may take hours, so what cannot be kept is refused before.
        raise ConfigError(f"there is no folder {str(out.parent)!r}", key="--out")
    if sources is None:
        if budget is not None:
            raise ConfigError("goes with --from: without it nothing is measured", key="--budget")
        predictor = _fit_rows(screen, *_rows(store, table_file, device, source), dtype, seed)
    else:
        if device is None or table_file is not None:
            raise ConfigError(
                "needs --device, the new device, and a --store; a --table cannot be added to", key="--from"
            )
        names = tuple(dict.fromkeys(name.strip() for name in sources.split(",")))
        asked = _Transfer(device, names, budget or _BUDGET, store or _STORE, dtype, config, wait_s, seed)
        outcome = asked.run(screen)
        predictor, told = outcome.predictor, _told(screen, outcome)
    predictor.save(out)
    card = predictor.card
    _show(screen, card)
    screen.show(f"predictor in {out}")
    screen.document({"predictor": str(out), **told, **card.model_dump(mode="json", by_alias=True)})


def _fit_rows(
    screen: Screen,
    rows: LatencyTable,
    findings: Callable[[], tuple[FusionFindings, ...]],
    dtype: Dtype | None,
    seed: int,
) -> NetworkPredictor:
    """Fit on rows that are there."""
    from predictor import NetworkPredictor
    from profiler.fusion import rules_for_rows

    rows = rows if dtype is None else rows.where(dtype=dtype)
    rules = rules_for_rows(findings(), rows)
    with screen.progress(f"fitting on {len(rows)} rows"):
        return NetworkPredictor(rules=rules, seed=seed).fit(rows)


def _rows(
    store: Path | None, table_file: Path | None, device: str | None, source: Source | None
) -> tuple[LatencyTable, Callable[[], tuple[FusionFindings, ...]]]:
    """Return the rows to learn from, and what finds out how their runtime fuses."""
    from profiler.fusion import findings_beside, stored_findings
    from profiler.store import Store
    from profiler.table import LatencyTable

    if store is not None and table_file is None:

        def in_store() -> tuple[FusionFindings, ...]:
            with Store(store) as opened:
                return stored_findings(opened)

        return stored_rows(store, device=device, source=source), in_store
    if table_file is not None and store is None:
        asked = {"device": device, "source": source}
        rows = LatencyTable.read(table_file)
        given = {column: value for column, value in asked.items() if value is not None}
        return rows.where(**given), lambda: findings_beside(table_file)
    raise ConfigError("give either --store or --table: the rows to learn from")


@dataclass(frozen=True)
class _Transfer:
    """A new device that is to stand on others, as the command line asks for it."""

    device: str
    sources: tuple[str, ...]
    budget: int
    store: Path
    dtype: Dtype | None
    config: Path | None
    wait_s: float
    seed: int

    def run(self, screen: Screen) -> TransferOutcome:
        """Check what can be checked without the device, then open it, measure and learn."""
        from pocketnas.transfer import read_source, transfer
        from profiler.backends import open_backend
        from profiler.store import Store

        target = configured_device(self.config, self.device)
        if self.device in self.sources:
            raise ConfigError(f"{self.device!r} cannot stand on itself", key="--from")
        opening = Store(self.store) if self.store.is_file() else nullcontext()
        with opening as opened, screen.progress(f"fitting the devices to learn from: {', '.join(self.sources)}"):
            sources = [read_source(name, opened, self.dtype, seed=self.seed) for name in self.sources]
        ready_agents(screen, [target])
        with open_backend(target, wait_s=self.wait_s) as backend, Store(self.store) as opened:
            return transfer(backend, sources, self.budget, opened, screen, seed=self.seed)


def _told(screen: Screen, outcome: TransferOutcome) -> dict[str, object]:
    """Show what was chosen, and return it for the document."""
    rows = [
        [
            row.workload.kind,
            row.workload.network_key[:8],
            "" if row.interval is None else f"{row.median_ms:.4g}",
            row.verdict,
        ]
        for row in outcome.chosen
    ]
    if rows:
        screen.show(table("measured for it", ["kind", "key", "median ms", "verdict"], rows, right=["median ms"]))
    chosen = [
        {
            "kind": row.workload.kind,
            "key": row.workload.network_key,
            "median_ms": None if row.interval is None else row.median_ms,
            "verdict": row.verdict,
        }
        for row in outcome.chosen
    ]
    return {"chosen": chosen, "rows_before": outcome.before, "rows_refused": outcome.refused}


def _show(screen: Screen, card: ModelCard) -> None:
    rows = [[family.family, family.held_out.cases, *_figures(family.held_out)] for family in card.families]
    rows.append(["whole networks", card.networks.cases, *_figures(card.networks)])
    if card.unlike_networks.cases:
        rows.append(["networks of other kinds", card.unlike_networks.cases, *_figures(card.unlike_networks)])
    columns = ["kernels of", "held out", "error", "within 10 %", "in interval"]
    title = (
        f"held-out accuracy on {card.device} ({card.source}, {card.runtime} {card.runtime_version}, {card.processor})"
    )
    screen.show(table(title, columns, rows, right=columns[1:]))
    screen.show(f"intervals are meant to hold {card.nominal_coverage:.0%} of latencies")
    screen.show(f"learnt from {_learnt_from(card)}; fusion {_FUSION_FOUND[card.fusion.how]}")
    for remark in card.remarks:
        screen.warn(remark)


def _learnt_from(card: ModelCard) -> str:
    counts = {"kernel": card.kernel_rows, "network": card.network_rows}
    rows = " and ".join(f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count)
    return rows + (f", on what is known of {', '.join(card.stands_on)}" if card.stands_on else "")


def _figures(held_out: Accuracy) -> list[str]:
    shares = (held_out.within_10_percent, held_out.coverage)
    error = "" if held_out.mape_percent is None else f"{held_out.mape_percent:.1f} %"
    return [error, *("" if share is None else f"{share:.0%}" for share in shares)]
