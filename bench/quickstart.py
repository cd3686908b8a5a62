"""How long the whole road takes and how much memory it needs, beside what the project promises for both.

The command runs as a user runs it, in a temporary folder.  Its memory is the largest sum, over the command and
all processes that it has started, of resident memory; pages that two of them share count twice, so it is an
upper bound, but for peaks that come and go between two looks.

    python bench/quickstart.py [--full] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

LIMIT_MIB = 3 * 1024.0
FAST_LIMIT_S = 5 * 60.0
FULL_LIMIT_S = 20 * 60.0

LOOK_EVERY_S = 0.1
"""Often enough for memory that is held for a step; a look takes about a millisecond."""


@dataclass(frozen=True)
class Run:
    """What a command took.

    Attributes:
        duration_s: From its start to its end.
        peak_mib: Largest resident memory of the command and its descendants together.
        exit_code: 0 when it did what it should.
        errors: What it wrote to standard error.
    """

    duration_s: float
    peak_mib: float
    exit_code: int
    errors: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print a table (or only the JSON line), and return 0 when both limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--full", action="store_true", help="without --fast: up to twenty minutes")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    options = parser.parse_args(arguments)
    plan = [] if options.full else ["--fast"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pocketnas", "quickstart", *plan, "--out", str(Path(folder) / "out")]
        run = watch(command, Path(folder))
    if run.exit_code:
        print(run.errors, file=sys.stderr, end="")
        return run.exit_code
    result = compare(run, full=options.full)
    if not options.json:
        print_table(result)
    print(json.dumps(result))
    return 0 if all(row["ratio_to_limit"] <= 1 for row in result["rows"]) else 1


def watch(command: Sequence[str], folder: Path) -> Run:
    """Run a command to its end and look at its memory on the way.

    Args:
        command: What to run.
        folder: Its working directory, which also takes what it prints.
    """
    with (folder / "stderr").open("w+", encoding="utf-8") as errors:
        started_s = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=errors)
        peak_bytes = 0
        try:
            while process.poll() is None:
                peak_bytes = max(peak_bytes, resident_bytes(process.pid))
                time.sleep(LOOK_EVERY_S)
        finally:
            process.terminate()  # does nothing once it has ended
            exit_code = process.wait()
        duration_s = time.perf_counter() - started_s
        errors.seek(0)
        return Run(duration_s, peak_bytes / 2**20, exit_code, errors.read())


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants; those that end meanwhile count nothing."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in tree:
        try:
            total += process.memory_info().rss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def compare(run: Run, *, full: bool) -> dict[str, Any]:
    """Return what a run took beside its limits."""
    limit_s = FULL_LIMIT_S if full else FAST_LIMIT_S
    rows = [
        _row("duration", "s", run.duration_s, limit_s),
        _row("peak resident memory", "MiB", run.peak_mib, LIMIT_MIB),
    ]
    return {"bench": "quickstart", "plan": "full" if full else "fast", "rows": rows}


def _row(what: str, unit: str, value: float, limit: float) -> dict[str, Any]:
    return {"what": what, "unit": unit, "value": value, "limit": limit, "ratio_to_limit": value / limit}


def print_table(result: dict[str, Any]) -> None:
    """Print the rows for a person."""
    print(f"{'quickstart, ' + result['plan']:24} {'value':>12} {'limit':>12} {'ratio':>7}")
    for row in result["rows"]:
        value, limit = (f"{row[key]:.0f} {row['unit']}" for key in ("value", "limit"))
        print(f"{row['what']:24} {value:>12} {limit:>12} {row['ratio_to_limit']:6.2f}x")


if __name__ == "__main__":
    sys.exit(main())
