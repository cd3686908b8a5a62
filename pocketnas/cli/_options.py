"""Owns the options that several commands share: their names, help and first checks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; all else goes to stderr.", show_default=False)
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Devices file. Default: devices.yaml here; without one there are 'host', which is this computer, and "
        "'pixel4-emulated'.",
        show_default=False,
    ),
]
DeviceName = Annotated[str, typer.Option("--device", metavar="NAME", help="Device, as the devices file names it.")]
Force = Annotated[
    bool, typer.Option("--force", help="Take a predictor of another device; every number is labelled with whose it is.")
]
WaitS = Annotated[
    float, typer.Option("--wait-s", metavar="S", min=0.0, help="How long to wait for another job on the device.")
]
Label = Annotated[str, typer.Option("--label", metavar="TEXT", help="Tells repeats of the same campaign apart.")]
Suppress = Annotated[
    list[str] | None,
    typer.Option(
        "--suppress",
        metavar="ID",
        help="Check that you know of and that shall not lower verdicts, as in LOAD; may be repeated.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Fixes every random choice.")]
TrainSet = Annotated[
    list[str] | None,
    typer.Option(
        "--train-set",
        metavar="KEY=VALUE",
        help="Setting of the final training, as in mixup=0.2, average_decay=0.99 or schedule.first_cycle=10; may be "
        "repeated.",
        show_default=False,
    ),
]
Distil = Annotated[
    bool,
    typer.Option("--distil", help="Let networks learn from the answers of the largest one of the shared weights, too."),
]


def positive_seconds(value: float | None) -> float | None:
    """Return a duration as it was given, or refuse what is none; a callback of options."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value} is not a duration; give a finite number of seconds above 0")
    return value


def _positive_ms(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value} is not a latency; give a finite number of ms above 0")
    return value


MaybeBudgetMs = Annotated[
    float | None,
    typer.Option(
        "--budget-ms",
        metavar="MS",
        callback=_positive_ms,
        help="Latency that a network may have at most. Default: what 40 % of random networks keep to.",
        show_default=False,
    ),
]


Budgets = Annotated[
    str | None,
    typer.Option(
        "--budget-ms",
        metavar="MS[,MS...]",
        help="Latency that a network may have at most; of several, each gets a network. Default: what 40 % of random "
        "networks keep to.",
        show_default=False,
    ),
]


def budgets_ms(text: str | None) -> tuple[float, ...]:
    """Read a list of latencies such as "0.5,1,2"; none for None.

    Raises:
        typer.BadParameter: One is no finite number above 0.
    """
    budgets = []
    for part in (text or "").split(",") if text is not None else ():
        try:
            value = float(part)
        except ValueError as error:
            problem = f"{part.strip()!r} is not a latency; give a finite number of ms above 0"
            raise typer.BadParameter(problem, param_hint="--budget-ms") from error
        if not (math.isfinite(value) and value > 0):
            problem = f"{part.strip()} is not a latency; give a finite number of ms above 0"
            raise typer.BadParameter(problem, param_hint="--budget-ms")
        budgets.append(value)
    return tuple(budgets)


def parse_input_shapes(options: list[str]) -> dict[str, tuple[int, ...]]:
    """Read `--input name:1x224x224x3` options.

    Args:
        options: As they were given.

    Returns:
        Shape by name of the input.

    Raises:
        typer.BadParameter: One has another form.
    """
    shapes = {}
    for option in options:
        name, colon, sizes = option.rpartition(":")
        parts = sizes.split("x")
        if not (colon and name and all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts)):
            raise typer.BadParameter(f"{option!r} is not of the form name:1x224x224x3", param_hint="--input")
        shapes[name] = tuple(int(part) for part in parts)
    return shapes


Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="NAME|PATH",
        help="Images: digits, animal-shapes, a folder of class folders, a CIFAR-10 archive, or an .npz.",
    ),
]
InputShapes = Annotated[
    list[str] | None,
    typer.Option(
        "--input", metavar="NAME:SHAPE", help="Size of an input that the file leaves open, as in image:1x224x224x3."
    ),
]
