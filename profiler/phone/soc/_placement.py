"""Where a network runs: which cores, how many threads, through which delegate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Delegate = Literal["xnnpack", "builtin", "gpu", "nnapi"]
"""Who runs the operators: XNNPACK or the runtime's own kernels on the cores, or an accelerator's delegate."""


@dataclass(frozen=True)
class Placement:
    """Where a network runs.

    Attributes:
        cores: Numbers of the cores that the process may use; the scheduler takes the fastest of them.
        threads: Number of threads, >= 1.
        delegate: Who runs the operators.
    """

    cores: tuple[int, ...]
    threads: int = 1
    delegate: Delegate = "xnnpack"
