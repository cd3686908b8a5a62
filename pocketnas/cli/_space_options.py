"""Owns how a search space is asked for on the command line: its name or file, and the settings that go before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from profiler.errors import ConfigError

if TYPE_CHECKING:
    from search.spaces.settings import SpaceSettings

Space = Annotated[
    str,
    typer.Option(
        "--space", metavar="NAME|FILE", help="Search space: cars, shufflenetv2, mobilenetv3, nasbench201, or a .yaml."
    ),
]
Cells = Annotated[
    int | None, typer.Option("--cells", metavar="N", help="Cells of the space, in a row.", show_default=False)
]
Channels = Annotated[
    int | None,
    typer.Option("--channels", metavar="N", help="Channels of a node before the first reduction.", show_default=False),
]
Nodes = Annotated[int | None, typer.Option("--nodes", metavar="N", help="Nodes of a cell.", show_default=False)]
Width = Annotated[
    float | None,
    typer.Option("--width", metavar="X", help="Multiplier of the channels of the space.", show_default=False),
]
SpaceSet = Annotated[
    list[str] | None,
    typer.Option(
        "--space-set",
        metavar="KEY=VALUE",
        help="Any other setting of the space, as in kernels=3,5; may be repeated.",
        show_default=False,
    ),
]


def space_overrides(
    cells: int | None, channels: int | None, nodes: int | None, width: float | None, others: Sequence[str] | None
) -> dict[str, object]:
    """Return the settings of a space that were given as options.

    Raises:
        ConfigError: One of --space-set has no value, or a setting is given twice.
    """
    named: dict[str, object] = {"cells": cells, "channels": channels, "nodes": nodes, "width": width}
    overrides = {key: value for key, value in named.items() if value is not None}
    for text in others or ():
        key, equals, value = text.partition("=")
        if not (equals and key.strip() and value.strip()):
            raise ConfigError(f"{text!r} is not of the form KEY=VALUE", key="--space-set")
        if key.strip() in overrides:
            raise ConfigError(f"{key.strip()!r} is given twice", key="--space-set")
        overrides[key.strip()] = value.strip()
    return overrides


def space_of(name_or_path: str, overrides: Mapping[str, object]) -> SpaceSettings:
    """Return the space that was asked for.

    Raises:
        ConfigError: There is no such space or setting; the nearest one is named.
    """
    from search.spaces.settings import load_space

    return load_space(name_or_path, overrides)
