"""What the agent costs on this computer, beside a process a kernel and beside the worker in Python.

- Kernels a minute: the same random kernels, the same least warm-up and runs, each between two readings of the reference
  kernels, by the agent and by the host backend's Python worker, group after group in turn, twice each: the first time
  models are written on the way, the second time they are found written.  Without references, which nobody else has: the
  agent, and some of the kernels in a process of their own, as most tools do it: a worker, an agent, and (for LiteRT)
  `litert-benchmark`, the console script of ai-edge-litert.
- Repeatability: two campaigns of all kernels, one after the other, each with its own seed.
- The loop: what the agent takes an invocation beyond the latencies that it tells: one kernel run once, and often.
- Memory: the most that a job of all kernels in shuffled rounds takes.
- Sizes: what is sent to a phone, and a job of as many one-kernel models for ncnn.

    python bench/agent.py [--kernels 1000] [--engine litert] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from agent_agreement import tool_ms
from campaign_progress import say_progress

from profiler.agent import AgentBuild, AgentJob, BlockRecord, JobRun, LocalAgent, PlannedBlock, built_agent
from profiler.agent.toolchains import Engine
from profiler.backends import BlockRequest, open_backend
from profiler.devices import HostDevice
from profiler.errors import MeasurementError, WorkloadFailedError
from profiler.kernels import random_kernels
from profiler.measure import PROTOCOLS, measure
from profiler.measure.references import REFERENCE_RUNS, REFERENCE_WARMUP_RUNS, reference_workloads
from profiler.runtimes import RUNTIMES
from profiler.runtimes.agent_runtime import AGENT_RUNTIMES, write_agent_model
from profiler.store import Store
from profiler.workload import Workload

KERNELS = PROTOCOLS["kernels"]
GROUPS = 4
ALONE = 25
"""Kernels that get a process of their own: more would take minutes and tell the same."""
LOCK_WAIT_S = 60.0
LOOP_RUNS = 200_000
BLOCK_TIMEOUT_S = 300.0
LEAST_OVER_ALONE, LEAST_OVER_WORKER = 50.0, 1.5
MOST_DIFFERENCE = 0.02
MOST_LOOP_US = 0.2
MOST_MEMORY_MB = 200.0
MOST_BUNDLE_MB = {"litert": 12.0, "ncnn": 6.0}
MOST_JOB_MB = 3.0
MB = 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when all limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kernels", type=int, default=1000, help="how many random kernels")
    parser.add_argument("--engine", choices=get_args(Engine), default="litert", help="what runs models in the agent")
    parser.add_argument("--seed", type=int, default=0, help="of the kernels and the schedules")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    options = parser.parse_args(arguments)
    kernels = random_kernels(options.kernels, np.random.default_rng(options.seed))
    workloads = [Workload(kernel.network, kind=kernel.kind) for kernel in kernels]
    agent = HostDevice(name="agent", runtime=f"agent-{options.engine}")
    worker = HostDevice(name="worker", runtime=options.engine)
    built = built_agent(options.engine, "x86_64")
    result = {
        "source": "measured",
        "engine": options.engine,
        "n_kernels": len(workloads),
        "rates": rates(agent, worker, workloads, np.random.default_rng(options.seed)),
        "repeatability": repeatability(agent, workloads, options.seed),
        "loop_us": loop_us(built),
        "peak_memory_mb": peak_memory_mb(built, workloads, options.seed),
        "bundle_mb": {engine: built_agent(engine, "aarch64").bundle_bytes / MB for engine in get_args(Engine)},
        "ncnn_job_mb": len(job_of("ncnn", workloads).to_bytes()) / MB,
    }
    result["missed"] = missed(result)
    if not options.json:
        print_tables(result)
    print(json.dumps(result))
    return 1 if result["missed"] else 0


def rates(
    agent: HostDevice, worker: HostDevice, workloads: Sequence[Workload], rng: np.random.Generator
) -> dict[str, Any]:
    """Return kernels a minute of all ways, and the agent's over the others'."""
    seconds: dict[tuple[str, bool], list[tuple[float, float]]] = defaultdict(list)
    groups = [group.tolist() for group in np.array_split(np.arange(len(workloads)), GROUPS)]
    for group in groups:
        works = [workloads[index] for index in group]
        for bare, requests in ((False, beside_references(works)), (True, [block_of(work) for work in works])):
            for place in rng.permutation(2):
                device = (agent, worker)[place]
                seconds[device.name, bare].append(seconds_of(device, requests))
    agent_s, worker_s = (np.array(seconds[device.name, False]) for device in (agent, worker))
    ratios = worker_s.sum(axis=1) / agent_s.sum(axis=1)
    alone = {device.name: alone_rate(device, workloads[:ALONE]) for device in (worker, agent)}
    bare_s, bare_worker_s = (np.array(seconds[device.name, True]) for device in (agent, worker))
    bare_rate, bare_worker_rate = (60.0 * 2 * len(workloads) / float(taken.sum()) for taken in (bare_s, bare_worker_s))
    bare_ratios = bare_worker_s.sum(axis=1) / bare_s.sum(axis=1)
    agent_rate, worker_rate = (60.0 * 2 * len(workloads) / float(taken.sum()) for taken in (agent_s, worker_s))
    return {
        "agent": agent_rate,
        "agent_by_pass": (60.0 * len(workloads) / agent_s.sum(axis=0)).tolist(),
        "worker": worker_rate,
        "worker_by_pass": (60.0 * len(workloads) / worker_s.sum(axis=0)).tolist(),
        "agent_without_references": bare_rate,
        "worker_process_a_kernel": alone[worker.name],
        "agent_process_a_kernel": alone[agent.name],
        "worker_without_references": bare_worker_rate,
        "over_worker": spread(ratios),
        "over_worker_without_references": spread(bare_ratios),
        "tool_process_a_kernel": tool_rate(workloads[:ALONE]) if worker.runtime == "litert" else None,
        "over_process_a_kernel": bare_rate / alone[worker.name],
    }


def spread(ratios: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return the median of the groups' ratios, the least and the largest."""
    return {"median": float(np.median(ratios)), "low": float(ratios.min()), "high": float(ratios.max())}


def block_of(workload: Workload) -> BlockRequest:
    """Return a kernel's block, as campaigns ask for it."""
    return BlockRequest(workload, KERNELS.warmup_runs, KERNELS.runs_per_block)


def tool_rate(workloads: Sequence[Workload]) -> float:
    """Return kernels a minute that Google's tool measures, one process each."""
    with tempfile.TemporaryDirectory() as folder:
        model, result = Path(folder) / "model.tflite", Path(folder) / "result.json"
        began = time.perf_counter()
        for workload in workloads:
            model.write_bytes(RUNTIMES["litert"].write_model(workload))
            tool_ms(model, KERNELS.runs_per_block, result, warmup_runs=KERNELS.warmup_runs)
        return 60.0 * len(workloads) / (time.perf_counter() - began)


def beside_references(workloads: Sequence[Workload]) -> list[BlockRequest]:
    """Return the blocks of a round, as campaigns ask for them."""
    gap = [BlockRequest(work, REFERENCE_WARMUP_RUNS, REFERENCE_RUNS) for work in reference_workloads()]
    requests = [*gap]
    for workload in workloads:
        requests += [block_of(workload), *gap]
    return requests


def seconds_of(device: HostDevice, requests: Sequence[BlockRequest]) -> tuple[float, float]:
    """Return how long a device takes for each of two rounds of blocks: the second finds the models written."""
    times = [0.0]
    with open_backend(device, wait_s=LOCK_WAIT_S) as backend:
        began = time.perf_counter()
        for _ in range(2):
            for result in backend.run_blocks(requests):
                if result.failure:
                    raise WorkloadFailedError(result.failure.reason, result.failure.detail)
            times.append(time.perf_counter() - began)
    return times[1], times[2] - times[1]


def alone_rate(device: HostDevice, workloads: Sequence[Workload]) -> float:
    """Return kernels a minute where each has a process of its own, without any references."""
    began = time.perf_counter()
    for workload in workloads:
        with open_backend(device, wait_s=LOCK_WAIT_S) as backend:
            (result,) = backend.run_blocks([block_of(workload)])
            if result.failure:
                raise WorkloadFailedError(result.failure.reason, result.failure.detail)
    return 60.0 * len(workloads) / (time.perf_counter() - began)


def repeatability(device: HostDevice, workloads: Sequence[Workload], seed: int) -> dict[str, float]:
    """Measure all kernels in two campaigns and return how far they differ."""
    passes = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch, Store(Path(scratch) / "store.db") as store:
        for number in range(2):
            protocol = replace(KERNELS, seed=1000 * seed + number)
            with open_backend(device, wait_s=LOCK_WAIT_S) as backend:
                found = measure(backend, workloads, protocol, store, progress=say_progress(f"pass {number + 1}"))
            passes.append(np.array([item.median_ms for item in found]))
    first, second = passes
    differences = np.abs(first - second) / ((first + second) / 2.0)
    return {
        "median": float(np.median(differences)),
        "p90": float(np.quantile(differences, 0.9)),
        "share_within_10_percent": float(np.mean(differences <= 0.1)),
        "seconds_a_pass": (time.perf_counter() - began) / 2,
    }


def loop_us(built: AgentBuild) -> float:
    """Return what an invocation costs beyond the latency that is told of it, in us."""
    _, small = reference_workloads()
    beyond_s = []
    for runs in (1, LOOP_RUNS):
        job = replace(job_of(built.engine, [small]), blocks=[PlannedBlock(0, 0, runs)], references=0)
        run, records = run_job(built, job)
        assert run.farewell is not None
        told_s = sum(sum(record.samples_ns) for record in records) / 1e9
        beyond_s.append(run.farewell.elapsed_s - told_s)
    return 1e6 * (beyond_s[1] - beyond_s[0]) / LOOP_RUNS


def peak_memory_mb(built: AgentBuild, workloads: Sequence[Workload], seed: int) -> float:
    """Return the most memory that a job of all kernels takes, in two shuffled rounds of its own making."""
    job = replace(job_of(built.engine, workloads), rounds=2, order="shuffled", seed=seed)
    run, _ = run_job(built, job)
    assert run.farewell is not None
    return run.farewell.peak_rss_bytes / MB


def job_of(engine: Engine, workloads: Sequence[Workload]) -> AgentJob:
    """Return a job of one block a kernel beside the reference pair."""
    runtime = AGENT_RUNTIMES[f"agent-{engine}"]
    references = reference_workloads()
    models = [write_agent_model(runtime, workload) for workload in (*references, *workloads)]
    blocks = [PlannedBlock(index, REFERENCE_WARMUP_RUNS, REFERENCE_RUNS) for index in range(len(references))]
    blocks += [
        PlannedBlock(len(references) + index, KERNELS.warmup_runs, KERNELS.runs_per_block)
        for index in range(len(workloads))
    ]
    return AgentJob(engine, runtime.default_accelerator, models, blocks, references=len(references))


def run_job(built: AgentBuild, job: AgentJob) -> tuple[JobRun, list[BlockRecord]]:
    """Run a job to its end on this computer."""
    options = ("--library", str(built.library)) if built.library else ()
    with tempfile.TemporaryDirectory() as folder:
        run = JobRun(
            LocalAgent("agent", (str(built.path),), Path(folder), options=options), job, block_timeout_s=BLOCK_TIMEOUT_S
        )
        records = list(run.outcomes())
    failed = next((record for record in records if not isinstance(record, BlockRecord)), None)
    if failed is not None:
        raise MeasurementError(f"block {failed.position}: {failed.reason}: {failed.detail}")
    if run.farewell is None:
        raise MeasurementError("the agent did not say that it was done")
    return run, [record for record in records if isinstance(record, BlockRecord)]


def missed(result: dict[str, Any]) -> list[str]:
    """Return the limits that are not kept."""
    rates = result["rates"]
    kept = {
        f"{LEAST_OVER_ALONE:g} times a process a kernel": rates["over_process_a_kernel"] >= LEAST_OVER_ALONE,
        f"{LEAST_OVER_WORKER:g} times the Python worker": rates["over_worker"]["median"] >= LEAST_OVER_WORKER,
        f"{MOST_DIFFERENCE:.0%} between passes": result["repeatability"]["median"] <= MOST_DIFFERENCE,
        f"{MOST_LOOP_US:g} us an invocation": result["loop_us"] <= MOST_LOOP_US,
        f"{MOST_MEMORY_MB:g} MB of memory": result["peak_memory_mb"] <= MOST_MEMORY_MB,
        f"{MOST_JOB_MB:g} MB of a job for ncnn": result["ncnn_job_mb"] <= MOST_JOB_MB * result["n_kernels"] / 1000.0,
    }
    for engine, most_mb in MOST_BUNDLE_MB.items():
        kept[f"{most_mb:g} MB of {engine}'s bundle"] = result["bundle_mb"][engine] <= most_mb
    return [limit for limit, good in kept.items() if not good]


def print_tables(result: dict[str, Any]) -> None:
    """Print all figures, each with its limit."""
    rates, repeated = result["rates"], result["repeatability"]
    print(f"{result['n_kernels']} random kernels, {result['engine']}, measured on this computer, one thread")
    print(f"{'kernels a minute':54}{'agent':>10}{'Python worker':>15}")
    for place, title in enumerate(("models written on the way", "models found written")):
        ours, theirs = rates["agent_by_pass"][place], rates["worker_by_pass"][place]
        print(f"{f'one process, references, {title}':54}{ours:10.0f}{theirs:15.0f}")
    alone = rates["agent_process_a_kernel"], rates["worker_process_a_kernel"]
    print(f"{'a process a kernel, no references':54}{alone[0]:10.0f}{alone[1]:15.0f}")
    bare = rates["agent_without_references"], rates["worker_without_references"]
    print(f"{'one process, no references':54}{bare[0]:10.0f}{bare[1]:15.0f}")
    if rates["tool_process_a_kernel"]:
        print(f"litert-benchmark, a process a kernel: {rates['tool_process_a_kernel']:.0f} a minute")
    for title, key in (("with references", "over_worker"), ("without", "over_worker_without_references")):
        over = rates[key]
        print(
            f"agent over Python worker, {title}: {over['median']:.2f} ({over['low']:.2f} to {over['high']:.2f}, "
            f"{GROUPS} groups); at least {LEAST_OVER_WORKER:g}"
        )
    print(f"agent over a worker process a kernel: {rates['over_process_a_kernel']:.0f}; at least {LEAST_OVER_ALONE:g}")
    print(
        f"two passes differ by {repeated['median']:.2%} (median; at most {MOST_DIFFERENCE:.0%}), {repeated['p90']:.2%} "
        f"(p90); {repeated['share_within_10_percent']:.1%} within 10 %; {repeated['seconds_a_pass']:.0f} s a pass"
    )
    print(f"loop: {result['loop_us']:.3f} us an invocation; at most {MOST_LOOP_US:g}")
    print(f"memory: {result['peak_memory_mb']:.0f} MB; at most {MOST_MEMORY_MB:g}")
    for engine, size_mb in result["bundle_mb"].items():
        print(f"bundle of {engine} for aarch64: {size_mb:.1f} MB; at most {MOST_BUNDLE_MB[engine]:g}")
    print(
        f"job of {result['n_kernels']} one-kernel models for ncnn: {result['ncnn_job_mb']:.2f} MB; "
        f"at most {MOST_JOB_MB:g} a thousand"
    )
    print(f"missed: {', '.join(result['missed']) or 'nothing'}")


if __name__ == "__main__":
    sys.exit(main())
