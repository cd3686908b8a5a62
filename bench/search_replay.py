"""How much of the exact front searches find in a table of every cell's accuracy and latency, by evaluations paid for.

    python bench/search_replay.py --table CSV --latency COLUMN [--evaluations 50,100,200] [--seeds 50]
        [--algorithm A ...] [--json]

The table has the columns `arch_str,accuracy` (shares or percent) and latencies in ms; it may lack cells. Without
--table one is built from the published latencies of phones, and says what of it is published and what a model
completed. Latencies of all cells are known to the algorithms, as a predictor's are; an accuracy only once it is paid
for. Our algorithms (bayes; cars, spos, nsga2 and nsga3 by name) run through the same ask and tell as in a real search,
beside uniform random draws and pymoo's own NSGA-II and NSGA-III. Hypervolume and regret are defined in replay_table.py;
each mean stands with the half width of its 95 % interval over seeds. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from published_data import add_data_option, exit_code_of, require_data
from replay_oracles import ORACLES
from replay_searches import OURS
from replay_table import ReplayTable, built_table, read_table

from search.errors import SearchError

ALGORITHMS = {**OURS, **ORACLES}
_DEFAULT = ("bayes", *ORACLES)
"""Evolution is there to be asked for: it has no model of accuracy, and needs many more evaluations."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay the searches and print what they reached; return 0, or the error's exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _replay(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, help="CSV, also .gz: arch_str,accuracy and latencies in ms")
    parser.add_argument("--latency", default="samsung_s7", help="column of the latencies, in ms")
    parser.add_argument("--evaluations", type=_numbers, default=(50, 100, 200), help="such as 50,100,200")
    parser.add_argument("--seeds", type=int, default=50, help="searches of each algorithm")
    parser.add_argument(
        "--algorithm", nargs="+", action="extend", choices=ALGORITHMS, help=f"by default {', '.join(_DEFAULT)}"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="searches at the same time")
    add_data_option(parser)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers") from error
    if not numbers or numbers[0] < 1:
        raise argparse.ArgumentTypeError("give numbers >= 1")
    return tuple(numbers)


def _replay(options: argparse.Namespace) -> None:
    if options.seeds < 1 or options.processes < 1:
        raise SearchError("--seeds and --processes are at least 1")
    if options.table is None:
        require_data(options.data, "--table, --data")
    table = read_table(options.table, options.latency) if options.table else built_table(options.data, options.latency)
    if not options.json:
        print(f"{table.origin}\nlatencies: {options.latency}; {options.seeds} seeds")
        print(
            f"{'algorithm':<12} {'evaluations':>11} {'hypervolume':>11} {'±':>7} {'regret':>7} {'±':>6} {'s/search':>8}"
        )
    results: list[dict[str, Any]] = []
    # Workers start anew: a forked copy of a process with threads may hang.
    with ProcessPoolExecutor(options.processes, get_context("spawn"), _begin, (table, options.evaluations)) as pool:
        for name in dict.fromkeys(options.algorithm or _DEFAULT):
            scores = list(pool.map(_score, [name] * options.seeds, range(options.seeds)))
            for result in _results(name, options.evaluations, scores):
                results.append(result)
                if not options.json:
                    print(_line(result), flush=True)
    document = {"bench": "search_replay", "table": table.origin, "latency": options.latency, "results": results}
    print(json.dumps(document, allow_nan=False))


_TABLES: list[tuple[ReplayTable, tuple[int, ...]]] = []
"""The one table of a worker process and the evaluations to score at."""


def _begin(table: ReplayTable, evaluations: tuple[int, ...]) -> None:
    _TABLES.append((table, evaluations))


def _score(name: str, seed: int) -> tuple[list[float], list[float], float]:
    """Return share and regret at each number of evaluations, and the seconds that the search took."""
    table, evaluations = _TABLES[0]
    began_s = time.perf_counter()
    rows = ALGORITHMS[name](table, max(evaluations), seed)
    took_s = time.perf_counter() - began_s
    return (
        [table.share(rows[:count]) for count in evaluations],
        [table.regret(rows[:count]) for count in evaluations],
        took_s,
    )


def _results(
    name: str, evaluations: Sequence[int], scores: Sequence[tuple[list[float], list[float], float]]
) -> list[dict[str, Any]]:
    shares, regrets = (np.array([score[part] for score in scores]) for part in (0, 1))
    return [
        {
            "algorithm": name,
            "ours": name in OURS,
            "evaluations": count,
            "hypervolume_share": float(shares[:, place].mean()),
            "hypervolume_half_width": _half_width(shares[:, place]),
            "regret": float(regrets[:, place].mean()),
            "regret_half_width": _half_width(regrets[:, place]),
            "seeds": len(scores),
            "search_s": float(np.mean([score[2] for score in scores])),
        }
        for place, count in enumerate(evaluations)
    ]


def _half_width(values: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    return float(1.96 * values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def _line(result: dict[str, Any]) -> str:
    share, regret = (result[key] if result[key] is not None else float("nan") for key in _HALF_WIDTHS)
    return (
        f"{result['algorithm']:<12} {result['evaluations']:>11} {result['hypervolume_share']:>11.4f} {share:>7.4f} "
        f"{result['regret']:>7.3f} {regret:>6.3f} {result['search_s']:>8.1f}"
    )


_HALF_WIDTHS = ("hypervolume_half_width", "regret_half_width")


if __name__ == "__main__":
    sys.exit(main())
