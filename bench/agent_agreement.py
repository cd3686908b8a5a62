"""How the agent's times on this computer agree with LiteRT's Python interpreter and with Google's own tool.

Three ways to time the same .tflite files on the same core: the agent (LiteRT's C library, no Python between the runs),
the host backend's worker (LiteRT's Python interpreter) and `litert-benchmark`, the console script of ai-edge-litert.
They take turns, in an order that is shuffled each round, and a ratio is the median of the rounds' own ratios, with the
range that holds 95 % of resampled medians.  The agent and the worker also time each operator; those are compared one by
one.

    python bench/agent_agreement.py [--rounds 10] [--runs 50] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from profiler.backends import BlockRequest, open_backend
from profiler.devices import HostDevice
from profiler.errors import MeasurementError, WorkloadFailedError
from profiler.network import Network
from profiler.runtimes import RUNTIMES, OperatorTime
from profiler.workload import Workload
from profiler.zoo import ZOO

AGENT = HostDevice(name="agent", runtime="agent-litert")
WORKER = HostDevice(name="worker", runtime="litert")
NETWORKS = ("mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2", "squeezenet")
TOOL = "litert-benchmark"
LOCK_WAIT_S = 60.0
TOOL_TIMEOUT_S = 300.0
WARMUP_RUNS = 10
RESAMPLED = 2000
LEAST_OPERATOR_MS = 0.02
"""Operators below it are left out of the comparison: LiteRT's profiler counts whole microseconds."""

FloatArray = npt.NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10, help="rounds of all ways on all networks")
    parser.add_argument("--runs", type=int, default=50, help="timed runs of a block")
    parser.add_argument("--seed", type=int, default=0, help="of the order and the resampling")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    networks = {name: ZOO[name]() for name in NETWORKS}
    with tempfile.TemporaryDirectory() as scratch:
        medians_ms = whole_networks(networks, Path(scratch), options.rounds, options.runs, rng)
    result = {
        "source": "measured",
        "rounds": options.rounds,
        "runs": options.runs,
        "networks": [
            {
                "network": name,
                "agent_ms": float(np.median(medians_ms[name, "agent"])),
                "over_python": _ratio(medians_ms[name, "agent"], medians_ms[name, "worker"], rng),
                "over_tool": _ratio(medians_ms[name, "agent"], medians_ms[name, TOOL], rng),
            }
            for name in networks
        ],
        "operators": operators(networks, options.rounds, options.runs, rng),
    }
    if not options.json:
        print_tables(result)
    print(json.dumps(result))
    return 0


def whole_networks(
    networks: Mapping[str, Network], scratch: Path, rounds: int, runs: int, rng: np.random.Generator
) -> dict[tuple[str, str], FloatArray]:
    """Return the median latency of each round in ms, by network and way. Shape of each: (rounds,)."""
    files = {}
    for name, network in networks.items():
        files[name] = scratch / f"{name}.tflite"
        files[name].write_bytes(RUNTIMES["litert"].write_model(Workload(network)))
    ways: list[tuple[str, Callable[[], list[float]]]] = [
        ("agent", lambda: _blocks_ms(AGENT, networks.values(), runs)),
        ("worker", lambda: _blocks_ms(WORKER, networks.values(), runs)),
        (
            TOOL,
            lambda: [tool_ms(file, runs, scratch / "result.json", warmup_runs=WARMUP_RUNS) for file in files.values()],
        ),
    ]
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for place in rng.permutation(len(ways)):
            way, measure = ways[place]
            for name, latency_ms in zip(networks, measure(), strict=True):
                found.setdefault((name, way), []).append(latency_ms)
    return {key: np.array(values) for key, values in found.items()}


def operators(
    networks: Mapping[str, Network], rounds: int, runs: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Compare the operators' latencies of agent and worker: quantiles of their ratios, and their sums."""
    profiled = {
        (name, device.name, place): rows
        for place in range(rounds)
        for device in ((AGENT, WORKER) if rng.random() < 0.5 else (WORKER, AGENT))
        for name, rows in zip(networks, _profiles(device, networks.values(), runs), strict=True)
    }
    compared = []
    for name in networks:
        agent, worker = (
            np.median([_latencies_ms(profiled[name, way, place]) for place in range(rounds)], axis=0)
            for way in (AGENT.name, WORKER.name)
        )
        kinds = [[row.kind for row in profiled[name, way, 0]] for way in (AGENT.name, WORKER.name)]
        long = (worker >= LEAST_OPERATOR_MS) & (agent > 0)
        p10, median, p90 = np.quantile(agent[long] / worker[long], [0.1, 0.5, 0.9]).tolist()
        compared.append(
            {
                "network": name,
                "operators": len(agent),
                "same_kinds": kinds[0] == kinds[1],
                "compared": int(long.sum()),
                "ratio": {"p10": p10, "median": median, "p90": p90},
                "sum_ratio": float(agent.sum() / worker.sum()),
            }
        )
    return compared


def print_tables(result: Mapping[str, Any]) -> None:
    """Print whole networks, then operators."""
    print(f"measured on this computer, one thread; {result['rounds']} rounds of {result['runs']} runs, ways in turn")
    print(f"{'network':20}{'agent ms':>10}{'over Python interpreter':>28}{'over litert-benchmark':>28}")
    for row in result["networks"]:
        shown = [f"{row[key]['median']:.3f} ({row[key]['low']:.3f} to {row[key]['high']:.3f})" for key in _RATIOS]
        print(f"{row['network']:20}{row['agent_ms']:10.3f}{shown[0]:>28}{shown[1]:>28}")
    print(f"\noperators of at least {1000 * LEAST_OPERATOR_MS:g} us, agent over LiteRT's profiler in Python")
    print(f"{'network':20}{'operators':>10}{'compared':>10}{'p10':>8}{'median':>8}{'p90':>8}{'sum':>8}")
    for row in result["operators"]:
        ratio = row["ratio"]
        print(
            f"{row['network']:20}{row['operators']:10}{row['compared']:10}{ratio['p10']:8.3f}{ratio['median']:8.3f}"
            f"{ratio['p90']:8.3f}{row['sum_ratio']:8.3f}"
        )


_RATIOS = ("over_python", "over_tool")


def _ratio(ours_ms: FloatArray, theirs_ms: FloatArray, rng: np.random.Generator) -> dict[str, float]:
    """Return the median of the rounds' ratios, with the range of 95 % of resampled medians."""
    ratios = ours_ms / theirs_ms
    medians = np.median(rng.choice(ratios, (RESAMPLED, len(ratios))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975]).tolist()
    return {"median": float(np.median(ratios)), "low": low, "high": high}


def _blocks_ms(device: HostDevice, networks: Iterable[Network], runs: int) -> list[float]:
    """Return the median latency of a block of each network, in ms."""
    requests = [BlockRequest(Workload(network), WARMUP_RUNS, runs) for network in networks]
    with open_backend(device, wait_s=LOCK_WAIT_S) as backend:
        results = list(backend.run_blocks(requests))
    for result in results:
        if result.failure:
            raise WorkloadFailedError(result.failure.reason, result.failure.detail)
    return [float(np.median(result.samples_ms)) for result in results]


def _profiles(device: HostDevice, networks: Iterable[Network], runs: int) -> list[tuple[OperatorTime, ...]]:
    with open_backend(device, wait_s=LOCK_WAIT_S) as backend:
        return [
            backend.profile_operators(Workload(network), warmup_runs=WARMUP_RUNS, runs=runs).operators
            for network in networks
        ]


def _latencies_ms(rows: Sequence[OperatorTime]) -> FloatArray:
    """Return one latency an operator; 0 for one below the profiler's microsecond."""
    return np.array([row.mean_ms or 0.0 for row in rows])


def tool_ms(model: Path, runs: int, result: Path, *, warmup_runs: int) -> float:
    """Return the median that Google's tool gives, in ms, bound to the core that the other ways take."""
    tool = shutil.which(TOOL, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if tool is None:
        raise MeasurementError(f"there is no {TOOL}; it comes with ai-edge-litert 2.3")
    core = max(os.sched_getaffinity(0))
    flags = [f"--num_runs={runs}", f"--warmup_runs={warmup_runs}", "--num_threads=1", f"--result_json={result}"]
    done = subprocess.run(
        ["taskset", "-c", str(core), tool, f"--model={model}", *flags],
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise MeasurementError(f"{TOOL} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return float(json.loads(result.read_text())["latency"]["median_ms"])


if __name__ == "__main__":
    sys.exit(main())
