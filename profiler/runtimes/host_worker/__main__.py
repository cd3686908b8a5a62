"""Starts the worker: `python <this folder> <settings as JSON>`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

# Running a folder puts it first on the path, where our modules would hide a runtime's of the same name.
del sys.path[0]
sys.path.append(str(FOLDER.parent))
importlib.import_module(f"{FOLDER.name}.serve").main(sys.argv[1])
