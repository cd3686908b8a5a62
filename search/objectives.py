"""Owns the quantities that a search weighs and limits: their names, their units, and on which device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt

from profiler.errors import ConfigError
from profiler.near_names import nearest

Quantity = Literal["accuracy", "latency_ms", "parameters", "macs", "memory_bytes", "energy_uj"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)

UNITS: Mapping[Quantity, str] = {
    "accuracy": "points",
    "latency_ms": "ms",
    "parameters": "parameters",
    "macs": "MACs",
    "memory_bytes": "bytes",
    "energy_uj": "uJ",
}
"""What differences in a quantity are told in; a point is a hundredth of accuracy."""

_MAX_WORD = 60


@dataclass(frozen=True, slots=True)
class Objective:
    """A quantity of an architecture, on one device where it depends on the device.

    Accuracy shall be large, everything else small.

    Attributes:
        quantity: Which.
        device: Device of a latency; None for the only device there is, and for all other quantities.

    Raises:
        ConfigError: There is no such quantity, or it is the same on every device.
    """

    quantity: Quantity
    device: str | None = None

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ConfigError(f"unknown quantity {self.quantity[:_MAX_WORD]!r}{nearest(self.quantity, QUANTITIES)}")
        if self.device is not None and self.quantity != "latency_ms":
            raise ConfigError(f"{self.quantity} is the same on every device; leave '@{self.device[:_MAX_WORD]}' out")

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Return what a text such as "macs" or "latency_ms@pixel4" names.

        Raises:
            ConfigError: It names no quantity; the nearest one is told.
        """
        quantity, at, device = text.strip().partition("@")
        if at and not device:
            raise ConfigError(f"{text.strip()[:_MAX_WORD]!r} names no device after the '@'")
        return cls(cast(Quantity, quantity), device if at else None)

    @property
    def text(self) -> str:
        """The form that `parse` reads."""
        return self.quantity if self.device is None else f"{self.quantity}@{self.device}"

    @property
    def unit(self) -> str:
        """What differences in it are told in."""
        return UNITS[self.quantity]


LATENCY = Objective("latency_ms")
"""Latency on the only device."""


class Valued(Protocol):
    """Whatever has a number for each objective."""

    def value(self, objective: Objective, /) -> float:
        """Return what an objective is."""
        ...


def cost_matrix(candidates: Sequence[Valued], objectives: Sequence[Objective]) -> npt.NDArray[np.float64]:
    """Return what candidates cost. Shape: (len(candidates), len(objectives))."""
    rows = [[candidate.value(objective) for objective in objectives] for candidate in candidates]
    return np.array(rows, dtype=np.float64).reshape(len(candidates), len(objectives))
