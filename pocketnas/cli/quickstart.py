"""`pocketnas quickstart`: the whole road in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pocketnas.cli._agents import ready_agents
from pocketnas.cli._configured import configured_device
from pocketnas.cli._options import Config, Data, DeviceName, Json, MaybeBudgetMs, Seed
from pocketnas.cli._result_view import show_result
from pocketnas.cli._screen import Screen


def command(
    fast: Annotated[
        bool, typer.Option("--fast", help="Some minutes instead of up to twenty, with a smaller space and search.")
    ] = False,
    device: DeviceName = "pixel4-emulated",
    config: Config = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for all that is made.")] = Path("out"),
    budget_ms: MaybeBudgetMs = None,
    data: Data = "digits",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure the device, learn to predict it, search under the prediction, and measure what was found.

    Without --device that is an emulated Pixel 4, reached over ADB's own protocol; --device host is this computer.
    Ends with networks as .tflite and .onnx, result.json and report.html in DIR. The same command after an
    interruption goes on where it stopped.

    Example: pocketnas quickstart --fast --out out

    Example: pocketnas quickstart --fast --device host --out out/host
    """
    from pocketnas.quickstart import FAST, FULL, quickstart
    from pocketnas.report import write_report

    screen = Screen(as_json=as_json)
    chosen = configured_device(config, device)
    ready_agents(screen, [chosen])
    plan = FAST if fast else FULL
    result = quickstart(chosen, data, out, screen, plan, budget_ms=budget_ms, seed=seed)
    show_result(screen, result, out, write_report(result, out))
