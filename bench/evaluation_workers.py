"""Evaluations a minute under shared weights: in this process, with one worker process, and with two.

All score the same networks of the `cars` space on digits, in turn, round after round, so that each meets the same
noise; the start of the workers is not in it.  A ratio is that of the median rounds, with the 95 % interval of a
bootstrap over rounds.  The target is what two workers must gain on a machine with two idle processors; with one
worker only the way to it and back is paid.  Results must be equal to the last bit, or the exit code is 1.

    python bench/evaluation_workers.py [--rounds 10] [--networks 24] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search.engine import Engine, EvaluationJob, InProcess, Processes
from search.images import load_images
from search.spaces.cars import CarsParams, CarsSpace
from search.supernet import Supernet

TARGET_RATIO = 1.6
_CALIBRATION_IMAGES = 256
_HERE = "in this process"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when results agree and the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10, help="times that each engine scores all networks")
    parser.add_argument("--networks", type=int, default=24, help="networks a round")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    options = parser.parse_args(arguments)
    result = measure(options.rounds, options.networks)
    if not options.json:
        print(f"{'':<18}{'networks/min':>14}{'ratio':>8}  95 % interval")
        for row in result["results"]:
            low, high = row["ratio_interval"]
            print(f"{row['engine']:<18}{row['per_minute']:>14.0f}{row['ratio']:>8.2f}  {low:.2f} to {high:.2f}")
        memory = f"{result['worker_mib']:.0f} MiB of its own" if result["worker_mib"] else "unknown"
        print(f"memory of a worker: {memory}; {result['load']:.1f} other jobs ran on {result['processors']} processors")
    print(json.dumps(result))
    return 0 if result["equal"] and result["results"][-1]["ratio"] >= TARGET_RATIO else 1


def measure(rounds: int, networks: int) -> dict[str, Any]:
    """Let each engine score the same networks in turn.

    Args:
        rounds: Times that each does.
        networks: How many networks a round.
    """
    data, rng = load_images("digits"), np.random.default_rng(0)
    space = CarsSpace(CarsParams(data.image_shape, data.classes))
    weights = Supernet(space, data).weights
    drawn = [space.sample(rng) for _ in range(networks)]
    jobs = [EvaluationJob(space.lower(genotype), space.input_parts(genotype)) for genotype in drawn]
    load = os.getloadavg()[0]
    with ExitStack() as opened:
        engines: dict[str, Engine] = {
            _HERE: opened.enter_context(InProcess()),
            "1 worker": opened.enter_context(Processes(1)),
            "2 workers": (two := opened.enter_context(Processes(2))),
        }
        times: dict[str, list[float]] = {name: [] for name in engines}
        scores = set()
        for turn in range(rounds + 1):
            for name, engine in engines.items():
                start = time.perf_counter()
                found = engine.evaluate(jobs, weights, data, calibration_images=_CALIBRATION_IMAGES)
                scores.add(found.tobytes())
                if turn:  # in the first round workers start, and images are handed over
                    times[name].append(time.perf_counter() - start)
        worker_mib = _own_mib(two.pids[0])
    return {
        "results": _rows({name: np.array(taken) for name, taken in times.items()}, networks),
        "equal": len(scores) == 1,
        "worker_mib": worker_mib,
        "this_process_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "networks": networks,
        "rounds": rounds,
        "load": load,
        "processors": os.cpu_count(),
    }


def _rows(times: Mapping[str, npt.NDArray[np.float64]], networks: int) -> list[dict[str, Any]]:
    """Return rates, and how many times that of this process each is."""
    base, rng = times[_HERE], np.random.default_rng(0)
    chosen = rng.integers(len(base), size=(2000, len(base)))
    rows = []
    for name, taken in times.items():
        ratios = np.median(base[chosen], axis=1) / np.median(taken[chosen], axis=1)
        low, high = np.quantile(ratios, [0.025, 0.975])
        rows.append(
            {
                "engine": name,
                "per_minute": 60 * networks / float(np.median(taken)),
                "ratio": float(np.median(base) / np.median(taken)),
                "ratio_interval": [float(low), float(high)],
            }
        )
    return rows


def _own_mib(pid: int) -> float | None:
    """Return the memory of a process that it shares with none, in MiB; None where the system does not tell."""
    path = Path(f"/proc/{pid}/smaps_rollup")
    if not path.exists():
        return None
    fields = dict(line.split(":") for line in path.read_text().splitlines()[1:])
    return sum(int(fields[key].split()[0]) for key in ("Private_Clean", "Private_Dirty")) / 1024


if __name__ == "__main__":
    sys.exit(main())
