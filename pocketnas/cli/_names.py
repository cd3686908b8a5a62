"""Owns names that are chosen from on the command line; a wrong one is answered with the nearest."""

from __future__ import annotations

from typing import Literal, cast

from profiler.errors import ConfigError
from profiler.near_names import nearest

ALGORITHM_NAMES = ("cars", "spos", "nsga2", "nsga3", "random", "bayes")

SelectionName = Literal["pnsga3", "nsga3"]
_SELECTIONS = ("pnsga3", "nsga3")

_SHOWN_CHARS = 60


def algorithm_named(name: str) -> str:
    """Return the name of an algorithm.

    Raises:
        ConfigError: There is none of this name.
    """
    return _known(name, ALGORITHM_NAMES, "--algorithm", "algorithm")


def selection_named(name: str) -> SelectionName:
    """Return the name of a selection of CARS.

    Raises:
        ConfigError: There is none of this name.
    """
    return cast(SelectionName, _known(name, _SELECTIONS, "--selection", "selection"))


def _known(name: str, names: tuple[str, ...], option: str, noun: str) -> str:
    if name not in names:
        shown = name[:_SHOWN_CHARS]
        raise ConfigError(f"unknown {noun} {shown!r}{nearest(shown, names)}", key=option)
    return name
