"""What our algorithms evaluate of a table, run by the same ask and tell as in a real search."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from replay_table import ReplayTable

OURS: Mapping[str, Callable[[ReplayTable, int, int], list[int]]] = {}
