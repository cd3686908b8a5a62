"""Choosing what to measure, beside random sampling and nn-Meter's: how many measurements reach the same error.

The mark is the error that random sampling reaches with 1,000 measurements; the ratio is how many of these another way
needs.  All ways are learnt by the same regressor (a non-negative base and a Gaussian process a family), see the same
noise, and are judged on the same held-out cases, which none of them may measure.

- "emulated networks": kernels of networks with free channels on the law of an emulated Pixel 4, 1 % noise (what a
  half width of 2 % at 95 % allows); the error is that of whole networks held out.  Random draws kernels as often as
  networks have them, which serves networks better than drawing from all kernels alike would.
- "blocks of PHONE": nn-Meter's 12,116 labelled blocks of a real phone; the error is that of 2,000 blocks held out.
  Every block counts alike here, so nothing is gained by knowing what networks need, and labels scatter by some per
  cent that no regressor explains: random sampling with 1,000 is near that floor. Half of each batch drawn at random
  was tried, and is no better. The exit code does not depend on these.

nn-Meter's way starts from a draw, then again and again fits on four fifths, takes the configurations of the last
fifth with the largest errors, and measures others that differ from these in channels alone (0.5 to 1.2 times).

Source: Zhang et al. 2021, "nn-Meter: Towards accurate latency prediction of deep-learning model inference on diverse
edge devices", section 4.3; the range of channels is that of its released sampler.

    python bench/active.py [--seeds 4] [--data ../shared/phone-data] [--workers 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from types import MappingProxyType

import numpy as np
from active_problems import EmulatedKernels, PhoneBlocks, Problem, Rows
from published_data import add_data_option
from threadpoolctl import threadpool_limits

MARK, MOST_RATIO = 1000, 0.3
NOISE = 0.01
_RANDOM_SIZES = (50, 100, 200, 300, 500, 700, MARK)
_CHOSEN_SIZES = (25, 50, 75, 100, 150, 200, 250, 300, 400, 550, 700, MARK)
_NN_METER_FIRST, _NN_METER_GROWTH, _WORST, _AROUND_EACH = 100, 0.35, 0.25, 10
_RESAMPLES = 2000

Curve = dict[int, float]
Path_ = Iterator[Rows]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and a JSON line; return 0 when choosing needs at most MOST_RATIO of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=4, help="repeats, each with other draws and other noise")
    add_data_option(parser, "nn-meter/")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    options = parser.parse_args(arguments)
    started_s = time.monotonic()
    problems: dict[str, Callable[[int], Problem]] = {"emulated networks": partial(EmulatedKernels, noise=NOISE)}
    folder = options.data / "nn-meter"
    if folder.is_dir():
        for device in ("pixel4", "xiaomi11"):
            problems[f"blocks of {device}"] = partial(PhoneBlocks, folder=folder, device=device)
    else:
        print(f"there is no {folder}: the blocks of real phones are left out", file=sys.stderr)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        results = {name: list(pool.map(partial(curves, make), range(options.seeds))) for name, make in problems.items()}
    summary = {name: summarise(result) for name, result in results.items()}
    if not options.json:
        _print_table(summary, options.seeds)
    reached = summary["emulated networks"]["adaptive"]["ratio"]
    print(json.dumps({"bench": "active", "seeds": options.seeds, "most_ratio": MOST_RATIO,
                      "seconds": round(time.monotonic() - started_s), "problems": summary}))  # fmt: skip
    return 0 if reached is not None and reached <= MOST_RATIO else 1


def curves(make: Callable[[int], Problem], seed: int) -> dict[str, Curve]:
    """Return the error by the number of measurements of each way of sampling, for one seed."""
    with threadpool_limits(1):
        problem = make(seed)
        return {name: {len(rows): problem.error(rows) for rows in way(problem, seed)} for name, way in WAYS.items()}


def _random(problem: Problem, seed: int) -> Path_:
    rows = _drawn(problem, MARK, np.random.default_rng([seed, 3]))
    yield from (rows[:size] for size in _RANDOM_SIZES)


def _like_nn_meter(problem: Problem, seed: int) -> Path_:
    rng = np.random.default_rng([seed, 4])
    rows = _drawn(problem, _NN_METER_FIRST, rng)
    while True:
        yield rows
        if len(rows) >= MARK:
            return
        wanted = min(math.ceil(_NN_METER_GROWTH * len(rows)), MARK - len(rows))
        tested = rng.random(len(rows)) < 0.2
        errors = problem.pool_errors(rows[~tested], rows[tested])
        worst = rows[tested][np.argsort(-errors)][: math.ceil(_WORST * tested.sum())]
        near = [rng.permutation(np.setdiff1d(problem.near(int(row)), rows))[:_AROUND_EACH] for row in worst]
        found = np.array(list(dict.fromkeys(np.concatenate(near).tolist())), dtype=np.intp)[:wanted]
        rows = np.concatenate([rows, found])
        rows = np.concatenate([rows, _drawn(problem, wanted - len(found), rng, without=rows)])


def _adaptive(problem: Problem, seed: int) -> Path_:
    rng = np.random.default_rng([seed, 5])
    rows = np.empty(0, dtype=np.intp)
    for size in _CHOSEN_SIZES:
        rows = np.concatenate([rows, problem.choose(rows, size - len(rows), rng)])
        yield rows


WAYS: Mapping[str, Callable[[Problem, int], Path_]] = MappingProxyType(
    {"random": _random, "nn-Meter-like": _like_nn_meter, "adaptive": _adaptive}
)


def _drawn(problem: Problem, count: int, rng: np.random.Generator, *, without: Rows | None = None) -> Rows:
    """Return different configurations drawn at random."""
    taken = set() if without is None else set(without.tolist())
    found: list[int] = []
    while len(found) < count:
        row = problem.draw(rng)
        if row not in taken:
            taken.add(row)
            found.append(row)
    return np.array(found, dtype=np.intp)


def summarise(results: Sequence[Mapping[str, Curve]]) -> dict[str, dict[str, object]]:
    """Return, for each way, its mean errors, how many measurements reach the mark, and the ratio with its interval.

    The interval is the 95 % one of a bootstrap over seeds.
    """
    rng = np.random.default_rng(0)
    picks = [list(range(len(results))), *rng.integers(len(results), size=(_RESAMPLES, len(results))).tolist()]
    summary: dict[str, dict[str, object]] = {}
    for way in WAYS:
        counts = [_needed([results[index] for index in pick], way) for pick in picks]
        low, high = np.quantile(np.array(counts[1:]), [0.025, 0.975], method="inverted_cdf")
        errors = _mean_curve([result[way] for result in results])
        summary[way] = {
            "needed": _finite(counts[0]),
            "ratio": _finite(counts[0] / MARK),
            "ratio_low": _finite(float(low) / MARK),
            "ratio_high": _finite(float(high) / MARK),
            "error_percent": {str(size): round(100 * error, 3) for size, error in errors.items()},
        }
    return summary


def _needed(results: Sequence[Mapping[str, Curve]], way: str) -> float:
    """Return the measurements from which on the mean error stays within random's at the mark; infinite if never."""
    mark = _mean_curve([result["random"] for result in results])[MARK]
    curve = _mean_curve([result[way] for result in results])
    sizes, errors = np.log(list(curve)), np.log(list(curve.values()))
    above = np.flatnonzero(errors > np.log(mark) + 1e-12)
    if len(above) == 0:
        return float(np.exp(sizes[0]))
    last = int(above[-1])
    if last + 1 == len(errors):
        return math.inf
    share = (errors[last] - np.log(mark)) / (errors[last] - errors[last + 1])
    return float(np.exp(sizes[last] + share * (sizes[last + 1] - sizes[last])))


def _mean_curve(curves_: Sequence[Curve]) -> Curve:
    return {size: float(np.mean([curve[size] for curve in curves_])) for size in curves_[0]}


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _print_table(summary: Mapping[str, Mapping[str, Mapping[str, object]]], seeds: int) -> None:
    head = f"{'':<20} {'way':<14} {'error % at 100':>14} {'300':>7} {'1000':>7} {'needed':>7}  ratio (95 % interval)"
    print(f"measurements for the error that random sampling reaches with {MARK}, {seeds} seeds\n{head}")
    for name, ways in summary.items():
        for way, row in ways.items():
            errors = row["error_percent"]
            at = [_at(errors, size) for size in (100, 300, 1000)] if isinstance(errors, dict) else []
            needed = "never" if row["needed"] is None else f"{row['needed']:.0f}"
            interval = f"{_shown(row['ratio'])} ({_shown(row['ratio_low'])} to {_shown(row['ratio_high'])})"
            print(f"{name:<20} {way:<14} {at[0]:>14} {at[1]:>7} {at[2]:>7} {needed:>7}  {interval}")


def _at(errors: Mapping[str, float], size: int) -> str:
    return f"{errors[str(size)]:.2f}" if str(size) in errors else ""


def _shown(value: object) -> str:
    return "never" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
