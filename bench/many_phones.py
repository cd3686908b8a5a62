"""Many emulated phones at once, in one process: time, memory, and whether each row arrived.

Each phone has a campaign of its own over the real ADB protocol, all of the same random kernels, and all write to one
store.  Among them, `--faulty` phones lose their connections now and then.  The targets: every campaign completes, the
process stays within 2 GiB, and the store has a row for each block.

    python bench/many_phones.py [--phones 100] [--kernels 50] [--rounds 6] [--faulty 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from profiler.backends import Backend, open_backend
from profiler.devices import EmulatedDevice
from profiler.kernels import random_kernels
from profiler.measure import PROTOCOLS, Outcome, Progress, Protocol, measure_fleet
from profiler.store import Store
from profiler.workload import Workload

MOST_BYTES = 2 * 2**30

FAULTS = """\
faults:
- {kind: reset_on_open, share: 0.02}
- {kind: cut_output, match: "--graph=", at_bytes: 200, after: 2, times: 2}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--phones", type=int, default=100)
    parser.add_argument("--kernels", type=int, default=50, help="random kernels, the same for each phone")
    parser.add_argument("--rounds", type=int, default=PROTOCOLS["packed"].rounds, help="blocks of each kernel")
    parser.add_argument("--faulty", type=int, default=5, help="how many of the phones lose connections")
    parser.add_argument("--seed", type=int, default=0, help="of the kernels and the phones")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="many-phones-") as folder:
        result = run(
            Path(folder),
            options.phones,
            options.kernels,
            options.rounds,
            options.faulty,
            options.seed,
            quiet=options.json,
        )
    if not options.json:
        print_table(result)
    print(json.dumps(result))
    met = result["peak_bytes"] <= MOST_BYTES and result["rows"] == result["rows_expected"] and not result["errors"]
    return 0 if met else 1


def run(
    folder: Path, phones: int, kernels: int, rounds: int, faulty: int, seed: int = 0, *, quiet: bool = True
) -> dict[str, Any]:
    """Measure on all phones at once and return the figures.

    Args:
        folder: Where the store and the faults' file go.
        phones: How many there are.
        kernels: How many kernels each measures.
        rounds: Blocks of each kernel.
        faulty: How many of the phones lose connections.
        seed: Of the kernels and the phones.
        quiet: Whether to say nothing on the way.
    """
    faults = folder / "faults.yaml"
    faults.write_text(FAULTS, encoding="utf-8")
    devices = [
        EmulatedDevice(name=f"phone-{index}", seed=seed + index, faults=str(faults) if index < faulty else None)
        for index in range(phones)
    ]
    chosen = [
        Workload(kernel.network, kind=kernel.kind) for kernel in random_kernels(kernels, np.random.default_rng(seed))
    ]
    protocol = replace(PROTOCOLS["packed"], rounds=rounds, max_rounds=rounds, seed=seed)
    blocks: dict[str, int] = {}

    def plan(_backend: Backend) -> tuple[list[Workload], Protocol]:
        return chosen, protocol

    def note(name: str, step: Progress) -> None:
        blocks[name] = step.blocks_done
        if not quiet and sum(blocks.values()) % 1000 == 0:
            sys.stderr.write(f"{sum(blocks.values())} rows, {_peak_bytes() / 2**20:.0f} MiB\n")

    before_bytes, began_s = _peak_bytes(), time.perf_counter()
    with Store(folder / "rows.db") as store:
        openers = {device.name: partial(open_backend, device) for device in devices}
        outcomes = measure_fleet(openers, plan, store, progress=note)
        seconds = time.perf_counter() - began_s
        rows = sum(len(store.blocks(record.id)) for record in store.campaigns())
    return {
        "phones": phones,
        "faulty_phones": faulty,
        "kernels": kernels,
        "rounds": rounds,
        "seconds": seconds,
        "rows_per_second": rows / seconds,
        "rows": rows,
        "rows_expected": phones * len({workload.key for workload in chosen}) * rounds,
        "verdicts": _verdicts(outcomes),
        "errors": [str(outcome.error) for outcome in outcomes if outcome.error],
        "bytes_before": before_bytes,
        "peak_bytes": _peak_bytes(),
    }


def _verdicts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    found = [measurement.verdict for outcome in outcomes for measurement in outcome.measurements]
    return {verdict: found.count(verdict) for verdict in sorted(set(found))}


def _peak_bytes() -> int:
    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def print_table(result: dict[str, Any]) -> None:
    """Print the figures beside their targets, for a person."""
    lines = [
        ("phones (with faults)", f"{result['phones']} ({result['faulty_phones']})", ""),
        ("kernels x rounds", f"{result['kernels']} x {result['rounds']}", ""),
        ("campaigns that failed", str(len(result["errors"])), "0"),
        ("rows in the store", str(result["rows"]), str(result["rows_expected"])),
        ("peak memory", f"{result['peak_bytes'] / 2**20:.0f} MiB", f"<= {MOST_BYTES / 2**20:.0f} MiB"),
        ("  of that before", f"{result['bytes_before'] / 2**20:.0f} MiB", ""),
        ("wall time", f"{result['seconds']:.0f} s", ""),
        ("rows a second", f"{result['rows_per_second']:.0f}", ""),
    ]
    print(f"{'':24}{'found':>14}{'target':>14}")
    for name, found, target in lines:
        print(f"{name:24}{found:>14}{target:>14}")


if __name__ == "__main__":
    sys.exit(main())
