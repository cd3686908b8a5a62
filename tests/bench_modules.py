"""Benches as modules: they are scripts that import one another from their own folder."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from tests._source import ROOT


def bench_module(name: str) -> ModuleType:
    """Return a bench by the name of its file."""
    folder = str(ROOT / "bench")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
