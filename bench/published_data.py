"""Where the latencies lie that others published, and what a bench's command does where it cannot go on."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from profiler.errors import ConfigError, PocketnasError

PHONE_DATA_VARIABLE = "POCKETNAS_PHONE_DATA"
PHONE_DATA = Path(os.environ.get(PHONE_DATA_VARIABLE, Path(__file__).resolve().parents[2] / "shared" / "phone-data"))
"""The folder, by default beside the repository; its absence is for the reader to tell."""


def add_data_option(parser: argparse.ArgumentParser, holds: str = "the published latencies") -> None:
    """Let a command be told where the data are."""
    parser.add_argument("--data", type=Path, default=PHONE_DATA, help=f"folder of {holds}; ${PHONE_DATA_VARIABLE}")


def require_data(folder: Path, options: str = "--data") -> None:
    """Make sure that the data are there.

    Raises:
        ConfigError: They are not.
    """
    if not folder.is_dir():
        raise ConfigError(f"is absent; give {options} or ${PHONE_DATA_VARIABLE}", path=folder)


def exit_code_of(action: Callable[[], None]) -> int:
    """Run a command; return 0, or print its error as one line and return the error's exit code."""
    try:
        action()
    except PocketnasError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
