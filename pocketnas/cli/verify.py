"""`pocketnas verify`: measure what a search found, train it, export it, and say what came of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pocketnas.cli._agents import ready_agents
from pocketnas.cli._configured import configured_devices_named
from pocketnas.cli._options import Config, Distil, Force, Json, TrainSet
from pocketnas.cli._result_view import show_result
from pocketnas.cli._screen import Screen


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a search.")],
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="Device, as the devices file names it; may be repeated. [default: those of the search]",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    finalists: Annotated[int, typer.Option("--finalists", metavar="N", min=1, help="Most candidates to train.")] = 4,
    epochs: Annotated[int, typer.Option("--epochs", metavar="N", min=1, help="Epochs of each training.")] = 60,
    baselines: Annotated[
        int,
        typer.Option(
            "--baselines",
            metavar="N",
            min=0,
            help="Finalists beside which ShuffleNetV2 and MobileNetV3 of as much latency are trained and measured.",
        ),
    ] = 0,
    train_set: TrainSet = None,
    distil: Distil = False,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", help="Least rounds of each measurement.")] = 8,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Measure the candidates on the device, train the best within the budget, measure and export those.

    What misses the budget with the upper end of its measured interval is dropped. The outputs of every
    exported file are compared with the trained network's.

    Example: pocketnas verify out --device host --finalists 4
    """
    from pocketnas.finalists import training_settings
    from pocketnas.front import FoundFront
    from pocketnas.report import write_report
    from pocketnas.verify import VerifyParams, verify

    screen = Screen(as_json=as_json)
    training = training_settings("basic", train_set or ())
    params = VerifyParams(finalists, epochs, force=force, baselines=baselines, training=training, distil=distil)
    protocol = replace(params.protocol, rounds=rounds, max_rounds=max(rounds, params.protocol.max_rounds))
    names = device or [entry.device for entry in FoundFront.load(folder).searched_on]
    devices = configured_devices_named(config, names)
    ready_agents(screen, devices)
    result = verify(folder, devices, screen, replace(params, protocol=protocol))
    show_result(screen, result, folder, write_report(result, folder))
