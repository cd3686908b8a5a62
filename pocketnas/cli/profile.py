"""`pocketnas profile`: measure kernels and whole networks on a device, into a store."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pocketnas.cli._adaptive import (
    AdaptiveOptions,
    check_adaptive,
    profile_adaptively,
    space_targets,
    with_few_rounds,
)
from pocketnas.cli._agents import ready_agents
from pocketnas.cli._configured import configured_devices_named
from pocketnas.cli._measured_view import show_outcomes
from pocketnas.cli._operators_view import show_operators
from pocketnas.cli._options import (
    Config,
    Data,
    InputShapes,
    Json,
    Label,
    Seed,
    Suppress,
    WaitS,
    parse_input_shapes,
    positive_seconds,
)
from pocketnas.cli._screen import Screen
from pocketnas.cli._space_options import Cells, Channels, Nodes, Space, SpaceSet, Width, space_of, space_overrides
from profiler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from profiler.backends import Backend
    from profiler.devices import Device
    from profiler.kernels import FusionRules
    from profiler.measure import Outcome, Progress, Protocol
    from profiler.network import Network
    from profiler.store import Store
    from profiler.workload import Dtype, Workload
    from search.spaces.settings import SpaceSettings

ProtocolName = Literal["kernels", "packed", "rapid", "quick", "normal"]

SUPPRESSIBLE = (
    "CLOCK-SKEW",
    "ENG-BUILD",
    "GOVERNOR",
    "LOAD",
    "LOW-BATTERY",
    "LOW-MEMORY",
    "LOW-STORAGE",
    "NOT-PINNED",
    "POWER-SAVE",
    "SCREEN-OFF",
    "THERMAL-STATUS",
)
"""Ids of the checks that the user may say to know of; what always travels with the rows is not among them."""


def _positive_percent(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value} is not an error to aim at; give a finite percentage above 0")
    return value


def command(
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="Device, as the devices file names it; may be repeated. [default: host]",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    store: Annotated[
        Path, typer.Option("--store", metavar="FILE", help="Where each block goes as soon as it is measured.")
    ] = Path("measurements.db"),
    network: Annotated[
        list[Path] | None,
        typer.Option("--network", metavar="FILE", help="Measure this model (.tflite, .onnx); may be repeated."),
    ] = None,
    space: Space = "cars",
    data: Data = "digits",
    cells: Cells = None,
    channels: Channels = None,
    nodes: Nodes = None,
    width: Width = None,
    space_set: SpaceSet = None,
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
            help="Rounds, runs and durations: kernels for many workloads, packed for many of them in one process, the "
            "others for whole networks, the longest last. [default: kernels, or packed on phones that can; quick for "
            "files without --kernels]",
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
            callback=positive_seconds,
            help="End with what there is after so many seconds.",
            show_default=False,
        ),
    ] = None,
    adaptive: Annotated[
        bool,
        typer.Option(
            "--adaptive",
            help="Choose what to measure, batch by batch, by what helps most to predict such networks; needs "
            "--time-budget-s. --kernels and --networks are then the most that are measured.",
        ),
    ] = False,
    target_error: Annotated[
        float | None,
        typer.Option(
            "--target-error",
            metavar="PERCENT",
            callback=_positive_percent,
            help="With --adaptive: end as soon as the stated error of whole networks is so low.",
            show_default=False,
        ),
    ] = None,
    suppress: Suppress = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="NAME",
            help="What runs the models, instead of what the devices file says: agent-litert or agent-ncnn, which need "
            "nothing installed on the device; on this computer also litert, onnxruntime, ncnn or tflite-runtime.",
            show_default=False,
        ),
    ] = None,
    operators: Annotated[
        bool, typer.Option("--operators", help="Time each operator inside the networks instead; nothing is stored.")
    ] = False,
    inputs: InputShapes = None,
    wait_s: WaitS = 0.0,
    label: Label = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """Measure what a predictor can learn from, in shuffled rounds with reference kernels beside each block.

    The same command after an interruption goes on where it stopped.  Several devices are measured on at the same time;
    when one fails the others go on, and the exit code is that of the worst failure.

    Example: pocketnas profile --kernels 300 --networks 24 --store host.db

    Example: pocketnas profile --network mobilenet.tflite --store host.db

    Example: pocketnas profile --network mobilenet.tflite --protocol rapid --suppress LOAD

    Example: pocketnas profile --device pixel4-emulated --kernels 500 --store phones.db

    Example: pocketnas profile --device pixel --device galaxy --kernels 300 --store phones.db

    Example: pocketnas profile --device pixel4-emulated --runtime agent-ncnn --kernels 20 --store phones.db

    Example: pocketnas profile --network mobilenet.tflite --operators

    Example: pocketnas profile --adaptive --time-budget-s 600 --target-error 3 --store host.db
    """
    check_adaptive(
        adaptive, target_error=target_error, time_budget_s=time_budget_s, devices=device, operators=operators
    )

    screen = Screen(as_json=as_json)
    chosen = configured_devices_named(config, device or ["host"], runtime=runtime)
    ready_agents(screen, chosen)
    whole = bool(network) and not kernels and not adaptive

    def made(name: ProtocolName) -> Protocol:
        return protocol_of(
            name,
            rounds=rounds,
            max_rounds=max_rounds,
            runs_per_block=runs,
            time_budget_s=time_budget_s,
            suppress=suppress or (),
            seed=seed,
        )

    protocols = {packs: made(protocol or _default_protocol(whole=whole, packs=packs)) for packs in (False, True)}
    files = _read(network or [], parse_input_shapes(inputs or []))
    if operators:
        show_operators(screen, chosen, files, dtype, wait_s)
        return 0
    settings = space_of(space, space_overrides(cells, channels, nodes, width, space_set))
    if adaptive:
        asked = AdaptiveOptions(
            target_error=target_error,
            time_budget_s=time_budget_s or 0.0,
            most_kernels=kernels,
            most_networks=networks,
            dtype=dtype,
            seed=seed,
            label=label,
            wait_s=wait_s,
        )
        targets = files or space_targets(settings, data, seed)
        if max_rounds is None:
            protocols = {packs: with_few_rounds(own) for packs, own in protocols.items()}
        return profile_adaptively(screen, chosen[0], targets, protocols, store, asked)
    if files:
        choose = partial(_file_workloads, files, kernels or 0, dtype, seed)
    else:
        choose = partial(_space_workloads, settings, data, 300 if kernels is None else kernels, networks, dtype, seed)
    outcomes = _measure(screen, chosen, _Choice(choose, dtype), protocols, store, label, wait_s)
    return show_outcomes(screen, outcomes, store)


def _default_protocol(*, whole: bool, packs: bool) -> ProtocolName:
    return "quick" if whole else "packed" if packs else "kernels"


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


class _Choice:
    """What is measured on each device: chosen once for each runtime and what is known of its fusion there."""

    def __init__(self, choose: Callable[[str, FusionRules | None], list[Workload]], dtype: Dtype) -> None:
        self._choose, self._dtype = choose, dtype
        self._lock = threading.Lock()
        self._chosen: dict[tuple[str, FusionRules | None], list[Workload]] = {}

    def on(self, backend: Backend, store: Store) -> list[Workload]:
        from profiler.fusion import fusion_rules_for
        from profiler.measure import Configuration

        facts = backend.facts()
        rules = fusion_rules_for(store, Configuration(backend.name, backend.source, facts), dtype=self._dtype)
        with self._lock:
            if (facts.runtime, rules) not in self._chosen:
                self._chosen[facts.runtime, rules] = self._choose(facts.runtime, rules)
        return self._chosen[facts.runtime, rules]


def _file_workloads(
    files: list[Network], kernels: int, dtype: Dtype, seed: int, runtime: str, rules: FusionRules | None
) -> list[Workload]:
    import numpy as np

    from pocketnas.profiling import network_workloads

    rng = np.random.default_rng(seed)
    return network_workloads(files, runtime, kernels=kernels, dtype=dtype, rng=rng, rules=rules)


def _space_workloads(
    settings: SpaceSettings,
    data: str,
    kernels: int,
    networks: int,
    dtype: Dtype,
    seed: int,
    runtime: str,
    rules: FusionRules | None,
) -> list[Workload]:
    import numpy as np

    from pocketnas.front import space_for
    from pocketnas.profiling import space_workloads
    from search.images import load_images

    space = space_for(settings, load_images(data, seed=seed, resolution=settings.resolution))
    rng = np.random.default_rng(seed)
    return space_workloads(space, runtime, kernels=kernels, networks=networks, dtype=dtype, rng=rng, rules=rules)


def _measure(
    screen: Screen,
    devices: Sequence[Device],
    choice: _Choice,
    protocols: Mapping[bool, Protocol],
    place: Path,
    label: str,
    wait_s: float,
) -> tuple[Outcome, ...]:
    from profiler.backends import open_backend
    from profiler.measure import measure_fleet
    from profiler.store import Store

    def plan(backend: Backend) -> tuple[list[Workload], Protocol]:
        for check in backend.checks():
            screen.warn(f"{backend.name}: {check.id}: {check.detail}")
        return choice.on(backend, store), protocols[backend.kernels_per_process > 1]

    openers = {device.name: partial(open_backend, device, wait_s=wait_s) for device in devices}
    with Store(place) as store, screen.progress_rows("measuring on", list(openers)) as advance:

        def on_block(name: str, step: Progress) -> None:
            advance(name, step.blocks_done, step.blocks_planned)

        return measure_fleet(openers, plan, store, label=label, progress=on_block)
