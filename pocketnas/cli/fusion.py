"""`pocketnas fusion`: what a runtime runs as one step on a device, found by its profile and by pair tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pocketnas.cli._agents import ready_agents
from pocketnas.cli._configured import configured_device
from pocketnas.cli._options import (
    Config,
    DeviceName,
    InputShapes,
    Json,
    Label,
    Seed,
    Suppress,
    WaitS,
    parse_input_shapes,
    positive_seconds,
)
from pocketnas.cli._screen import Screen, table
from pocketnas.cli.profile import protocol_of
from profiler.errors import TableError

if TYPE_CHECKING:
    from pocketnas.fusion import FusionPlan
    from profiler.devices import Device
    from profiler.fusion import ChainFinding, FusionFindings, How
    from profiler.measure import Protocol
    from profiler.network import Network
    from profiler.workload import Dtype

# The options are named as people say it; the findings name the ways in full.
Way = Literal["both", "profile", "pairs"]

_WAYS: Mapping[Way, frozenset[How]] = {
    "both": frozenset({"operator profile", "pair test"}),
    "profile": frozenset({"operator profile"}),
    "pairs": frozenset({"pair test"}),
}
_COLUMNS = ("chain", "A ms", "B ms", "AB ms", "saved", "95 % interval", "verdict", "how", "built in", "source")
_FIGURES = _COLUMNS[1:6]


def command(
    device: DeviceName = "host",
    config: Config = None,
    store: Annotated[
        Path, typer.Option("--store", metavar="FILE", help="Where measurements and findings go, or are.")
    ] = Path("measurements.db"),
    model: Annotated[
        list[Path] | None,
        typer.Option(
            "--model", metavar="FILE", help="Only chains that occur in this model (.tflite, .onnx); may be repeated."
        ),
    ] = None,
    way: Annotated[
        Way,
        typer.Option(
            "--how", help="By the runtime's operator profile, by pair tests, or by both where the device has both."
        ),
    ] = "both",
    dtype: Annotated[Literal["float32", "int8"], typer.Option("--dtype", help="Numeric type to run in.")] = "float32",
    shapes: Annotated[int, typer.Option("--shapes", metavar="N", min=1, max=3, help="Shapes a chain.")] = 3,
    time_budget_s: Annotated[
        float | None,
        typer.Option(
            "--time-budget-s",
            metavar="S",
            callback=positive_seconds,
            help="End each round with what there is after so many seconds.",
            show_default=False,
        ),
    ] = None,
    suppress: Suppress = None,
    show: Annotated[bool, typer.Option("--show", help="Measure nothing; show what the store knows.")] = False,
    inputs: InputShapes = None,
    wait_s: WaitS = 0.0,
    label: Label = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Find out which operators the device's runtime runs as one step, and keep it beside the measurements.

    Of each chain, all but its last operator (A), the last alone (B) and the whole (AB) are measured on shapes where
    the last matters.  "saved" is what AB takes less than A and B less one call, as a share of the shorter of the two:
    near 1 they are fused, near 0 they run apart, and where its interval holds one half it is unclear and the runtime's
    built-in rule stands.  Where the runtime tells its operators, one that has no row of its own is fused.

    Example: pocketnas fusion --device host --store host.db

    Example: pocketnas fusion --device pixel4-emulated --store phones.db --model mobilenet.tflite

    Example: pocketnas fusion --device host --store host.db --show
    """
    screen = Screen(as_json=as_json)
    chosen = configured_device(config, device)
    if show:
        found = _stored(store, chosen.name)
    else:
        ready_agents(screen, [chosen])
        networks = _read(model or [], parse_input_shapes(inputs or []))
        protocols = {packs: _protocol(packs, time_budget_s, suppress or (), seed) for packs in (False, True)}
        found = [_find(screen, chosen, store, _Asked(protocols, _WAYS[way], networks, dtype, shapes, label), wait_s)]
    for findings in found:
        _show(screen, findings)
    screen.document({"store": str(store), "findings": [_document(findings) for findings in found]})


@dataclass(frozen=True)
class _Asked:
    """What the command line asks for; the protocol depends on the device."""

    protocols: Mapping[bool, Protocol]
    ways: frozenset[How]
    networks: list[Network]
    dtype: Dtype
    shapes: int
    label: str

    def plan(self, *, packs: bool) -> FusionPlan:
        from pocketnas.fusion import FusionPlan
        from profiler.fusion import SIZES

        return FusionPlan(self.protocols[packs], self.ways, self.networks, self.dtype, SIZES[: self.shapes], self.label)


def _read(paths: Sequence[Path], input_shapes: dict[str, tuple[int, ...]]) -> list[Network]:
    from profiler.formats import read_model

    return [read_model(path, input_shapes=input_shapes) for path in paths]


def _protocol(packs: bool, time_budget_s: float | None, suppress: Sequence[str], seed: int) -> Protocol:
    from profiler.fusion import pair_protocol

    return pair_protocol(
        protocol_of("packed" if packs else "kernels", time_budget_s=time_budget_s, suppress=suppress, seed=seed)
    )


def _find(screen: Screen, device: Device, place: Path, asked: _Asked, wait_s: float) -> FusionFindings:
    from pocketnas.fusion import find_fusion
    from profiler.backends import open_backend
    from profiler.store import Store

    with open_backend(device, wait_s=wait_s) as backend, Store(place) as store:
        return find_fusion(backend, store, asked.plan(packs=backend.kernels_per_process > 1), screen)


def _stored(place: Path, device: str) -> list[FusionFindings]:
    from profiler.fusion import stored_findings
    from profiler.store import Store

    looking = f"`pocketnas fusion --device {device} --store {place}` finds out"
    if not place.is_file():
        raise TableError(f"{str(place)!r}: no such store; {looking}")
    with Store(place) as store:
        found = [findings for findings in stored_findings(store) if findings.device == device]
    if not found:
        raise TableError(f"{str(place)!r} knows nothing of fusion on {device!r}; {looking}")
    return found


def _show(screen: Screen, findings: FusionFindings) -> None:
    chains = findings.chains
    rows = [[*_row(found), findings.source] for found in chains]
    where = f"{findings.runtime} {findings.runtime_version}, {findings.accelerator}, {findings.dtype}"
    title = f"fusion on {findings.device} ({findings.source}, {where}, {findings.processor})"
    screen.show(table(title, _COLUMNS, rows, right=_FIGURES))
    if not chains:
        screen.warn("no chain that could run as one step occurs there; the runtime's built-in rules stand")
    screen.show("runs as one step, by this and by the built-in rules:")
    for first, following in _by_beginning(findings.rules.chains).items():
        screen.show(f"  {_name(first)} with {', '.join(following)}")
    for found in chains:
        if found.verdict != "unclear" and not found.agrees:
            built_in = "fuse it" if found.built_in else "leave it apart"
            screen.warn(f"{_name(found.chain)} is {found.verdict}, where the built-in rules of the runtime {built_in}")
        if found.contradicted:
            screen.warn(f"{_name(found.chain)}: the operator profile and the pair test disagree; the profile stands")
    if unclear := [_name(found.chain) for found in chains if found.verdict == "unclear"]:
        screen.warn(f"unclear, so the runtime's built-in rule stands: {', '.join(unclear)}")


def _row(found: ChainFinding) -> list[str]:
    """Return the cells of a chain; its figures are those of the pair test where there is one."""
    shown = max(found.evidence, key=lambda evidence: evidence.how == "pair test")
    interval = "" if shown.saved_low is None else f"{shown.saved_low:.2f} to {shown.saved_high:.2f}"
    return [
        _name(found.chain),
        *(_number(value) for value in (shown.a_ms, shown.b_ms, shown.ab_ms)),
        "" if shown.saved is None else f"{shown.saved:.2f}",
        interval,
        found.verdict,
        found.how,
        ("fused" if found.built_in else "apart") + ("" if found.agrees else " (corrected)"),
    ]


def _by_beginning(chains: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], list[str]]:
    """Return what may follow each beginning of a chain."""
    found: dict[tuple[str, ...], list[str]] = {}
    for chain in sorted(chains):
        found.setdefault(chain[:-1], []).append(chain[-1])
    return found


def _document(findings: FusionFindings) -> dict[str, object]:
    origin = findings.model_dump(mode="json", exclude={"evidence"})
    chains = [
        {
            "chain": _name(found.chain),
            "source": findings.source,
            "verdict": found.verdict,
            "fused": found.fused,
            "how": found.how,
            "built_in": found.built_in,
            "agrees": found.agrees,
            "contradicted": found.contradicted,
            "evidence": [evidence.model_dump(mode="json", exclude={"chain"}) for evidence in found.evidence],
        }
        for found in findings.chains
    ]
    return {**origin, "chains": chains, "rules": sorted(_name(chain) for chain in findings.rules.chains)}


def _name(chain: Sequence[str]) -> str:
    return "+".join(chain)


def _number(latency_ms: float | None) -> str:
    return "" if latency_ms is None else f"{latency_ms:.4f}"
