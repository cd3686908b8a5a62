"""`pocketnas profile`: measure kernels and whole networks on a device, into a store."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pocketnas.cli._configured import configured_device
from pocketnas.cli._options import (
    Cells,
    Channels,
    Config,
    Data,
    DeviceName,
    InputShapes,
    Json,
    Nodes,
    Seed,
    parse_input_shapes,
)
from pocketnas.cli._screen import Screen, table
from profiler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pocketnas.front import SpaceSettings
    from profiler.backends import Backend
    from profiler.measure import Measurement, Protocol
    from profiler.network import Network
    from profiler.workload import Dtype, Workload

ProtocolName = Literal["kernels", "rapid", "quick", "normal"]

SUPPRESSIBLE = ("GOVERNOR", "LOAD", "LOW-MEMORY", "LOW-STORAGE", "NOT-PINNED")
"""Ids of the checks that the user may say to know of; what always travels with the rows is not among them."""

_WARMUP_RUNS = 5
_PROFILED_RUNS = 50


def _positive_seconds(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value} is not a duration; give a finite number of seconds above 0")
    return value


def command(
    device: DeviceName = "host",
    config: Config = None,
    store: Annotated[
        Path, typer.Option("--store", metavar="FILE", help="Where each block goes as soon as it is measured.")
    ] = Path("measurements.db"),
    network: Annotated[
        list[Path] | None,
        typer.Option("--network", metavar="FILE", help="Measure this model (.tflite, .onnx); may be repeated."),
    ] = None,
    space: Annotated[
        Literal["cars"], typer.Option("--space", help="Else measure for networks of this space.")
    ] = "cars",
    data: Data = "digits",
    cells: Cells = 5,
    channels: Channels = 8,
    nodes: Nodes = 4,
    kernels: Annotated[
        int | None,
        typer.Option(
            "--kernels",
            metavar="N",
            min=0,
            help="Most kernels. [default: 300 of a space, 0 of files]",
            show_default=False,
        ),
    ] = None,
    networks: Annotated[int, typer.Option("--networks", metavar="N", min=0, help="Whole networks of the space.")] = 24,
    dtype: Annotated[Literal["float32", "int8"], typer.Option("--dtype", help="Numeric type to run in.")] = "float32",
    protocol: Annotated[
        ProtocolName | None,
        typer.Option(
            "--protocol",
            help="Rounds, runs and durations: kernels for many workloads, the others for whole networks, "
            "the longest last. [default: kernels; quick for files without --kernels]",
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="N", help="Least rounds, instead of the protocol's.")
    ] = None,
    max_rounds: Annotated[
        int | None, typer.Option("--max-rounds", metavar="N", help="Most rounds, for those that are not yet precise.")
    ] = None,
    runs: Annotated[int | None, typer.Option("--runs", metavar="N", help="Least timed runs in a round.")] = None,
    time_budget_s: Annotated[
        float | None,
        typer.Option(
            "--time-budget-s",
            metavar="S",
            callback=_positive_seconds,
            help="End with what there is after so many seconds.",
            show_default=False,
        ),
    ] = None,
    suppress: Annotated[
        list[str] | None,
        typer.Option(
            "--suppress",
            metavar="ID",
            help="Check that you know of and that shall not lower verdicts, as in LOAD; may be repeated.",
        ),
    ] = None,
    operators: Annotated[
        bool, typer.Option("--operators", help="Time each operator inside the networks instead; nothing is stored.")
    ] = False,
    inputs: InputShapes = None,
    label: Annotated[
        str, typer.Option("--label", metavar="TEXT", help="Tells repeats of the same campaign apart.")
    ] = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure what a predictor can learn from, in shuffled rounds with reference kernels beside each block.

    The same command after an interruption goes on where it stopped.

    Example: pocketnas profile --kernels 300 --networks 24 --store host.db

    Example: pocketnas profile --network mobilenet.tflite --store host.db

    Example: pocketnas profile --network mobilenet.tflite --protocol rapid --suppress LOAD

    Example: pocketnas profile --network mobilenet.tflite --operators
    """
    from pocketnas.front import SpaceSettings
    from profiler.backends import open_backend

    screen = Screen(as_json=as_json)
    chosen = configured_device(config, device)
    how = protocol_of(
        protocol or ("quick" if network and not kernels else "kernels"),
        rounds=rounds,
        max_rounds=max_rounds,
        runs_per_block=runs,
        time_budget_s=time_budget_s,
        suppress=suppress or (),
        seed=seed,
    )
    files = _read(network or [], parse_input_shapes(inputs or []))
    if operators:
        with open_backend(chosen) as backend:
            _show_operators(screen, backend, files, dtype)
        return
    with open_backend(chosen) as backend:
        if files:
            workloads = _file_workloads(backend, files, kernels or 0, dtype, seed)
        else:
            settings = SpaceSettings(kind=space, cells=cells, channels=channels, nodes=nodes)
            workloads = _space_workloads(
                backend, settings, data, 300 if kernels is None else kernels, networks, dtype, seed
            )
        _measure(screen, backend, workloads, how, store, label)


def protocol_of(
    name: ProtocolName,
    *,
    rounds: int | None = None,
    max_rounds: int | None = None,
    runs_per_block: int | None = None,
    time_budget_s: float | None = None,
    suppress: Sequence[str] = (),
    seed: int = 0,
) -> Protocol:
    """Return the protocol of a name, with its own values where None is given.

    Raises:
        ConfigError: A number does not go with the others, or a check cannot be suppressed.
    """
    from profiler.measure import PROTOCOLS

    for id_ in suppress:
        if id_ not in SUPPRESSIBLE:
            known = ", ".join(SUPPRESSIBLE)
            raise ConfigError(f"{id_!r} is no check that can be suppressed; those are {known}", key="--suppress")
    numbers: dict[str, Any] = {
        "rounds": rounds,
        "max_rounds": max_rounds,
        "runs_per_block": runs_per_block,
        "time_budget_s": time_budget_s,
    }
    given = {field: value for field, value in numbers.items() if value is not None}
    return replace(PROTOCOLS[name], **given, seed=seed, suppress=tuple(sorted(set(suppress))))


def _read(paths: list[Path], input_shapes: dict[str, tuple[int, ...]]) -> list[Network]:
    from profiler.formats import read_model

    return [read_model(path, input_shapes=input_shapes) for path in paths]


def _file_workloads(backend: Backend, files: list[Network], kernels: int, dtype: Dtype, seed: int) -> list[Workload]:
    import numpy as np

    from pocketnas.profiling import network_workloads

    rng = np.random.default_rng(seed)
    return network_workloads(files, backend.facts().runtime, kernels=kernels, dtype=dtype, rng=rng)


def _space_workloads(
    backend: Backend, settings: SpaceSettings, data: str, kernels: int, networks: int, dtype: Dtype, seed: int
) -> list[Workload]:
    import numpy as np

    from pocketnas.profiling import space_workloads
    from search.images import load_images

    space = settings.space_for(load_images(data, seed=seed))
    rng = np.random.default_rng(seed)
    return space_workloads(space, backend.facts().runtime, kernels=kernels, networks=networks, dtype=dtype, rng=rng)


def _measure(
    screen: Screen, backend: Backend, workloads: list[Workload], protocol: Protocol, place: Path, label: str
) -> None:
    from pocketnas.profiling import measure_workloads, verdict_counts
    from profiler.store import Store

    with Store(place) as store:
        title = f"measuring {len(workloads)} workloads on {backend.name}"
        measured = measure_workloads(backend, workloads, protocol, store, screen, title=title, label=label)
    counts = verdict_counts(measured)
    widths = sorted(found.interval.relative_half_width for found in measured if found.interval)
    half_width = widths[len(widths) // 2] if widths else None
    screen.show(f"{sum(counts.values())} workloads {backend.source} on {backend.name}, in {place}")
    screen.show(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    if half_width is not None:
        screen.show(f"95 % interval of the median workload: +-{half_width:.1%}")
    _show_networks(screen, measured, backend.source)
    screen.document(
        {
            "device": backend.name,
            "source": backend.source,
            "store": str(place),
            "verdicts": counts,
            "median_relative_half_width": half_width,
        }
    )


def _show_networks(screen: Screen, measured: Sequence[Measurement], source: str) -> None:
    """Show whole networks; a person reads a few latencies, and the table command shows the hundreds."""
    rows = [
        [
            found.workload.network_key[:8],
            f"{found.median_ms:.4g}",
            f"{found.low_ms:.4g} to {found.high_ms:.4g}",
            found.verdict,
            "; ".join(reason.id for reason in found.reasons),
        ]
        for found in measured
        if found.workload.kind == "network"
    ]
    if rows:
        columns = ["network", "ms", "95 % interval", "verdict", "remarks"]
        screen.show(table(f"whole networks, {source}", columns, rows, right=["ms", "95 % interval"]))


def _show_operators(screen: Screen, backend: Backend, files: list[Network], dtype: Dtype) -> None:
    """Show the latency of each operator inside each network, as the runtime's own profiler gives it."""
    from profiler.workload import Workload

    if not files:
        raise ConfigError("needs a model to look into; give one with --network FILE", key="--operators")
    documents = []
    for network in files:
        profile = backend.profile_operators(Workload(network, dtype), warmup_runs=_WARMUP_RUNS, runs=_PROFILED_RUNS)
        rows = [[found.name, found.kind, _operator_ms(found.mean_ms)] for found in profile.operators]
        title = f"{network.name}: operators, {backend.source} on {backend.name}, calm half of {_PROFILED_RUNS} runs"
        screen.show(table(title, ["operator", "kind", "ms"], rows, right=["ms"]))
        screen.show(f"end to end while profiled: {profile.end_to_end_ms:.4g} ms")
        documents.append({"network": network.name, **asdict(profile)})
    screen.document({"device": backend.name, "source": backend.source, "networks": documents})


def _operator_ms(mean_ms: float | None) -> str:
    return "below 0.001" if mean_ms is None else f"{mean_ms:.4g}"
