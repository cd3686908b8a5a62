"""Small blocks and campaigns on an emulated phone, for faults to strike."""

from __future__ import annotations

from profiler.backends.base import BlockRequest, BlockResult
from profiler.backends.emulated import EmulatedBackend
from profiler.devices import EmulatedDevice
from profiler.measure import Protocol
from profiler.store import Store
from profiler.workload import Workload
from tests.conformance.networks import tiny

RUN = "--graph="
"""Is in the command line of every run of a model, and of nothing else."""
RUNS = 12

PROTOCOL = Protocol(name="faults", rounds=2, max_rounds=2, runs_per_block=RUNS, warmup_runs=1)


def device(name: str = "phone", **settings: object) -> EmulatedDevice:
    """Return the settings of an emulated phone that measures small blocks quickly."""
    return EmulatedDevice.model_validate({"name": name, "backend": "emulated", "warmup_s": 0.0, **settings})


def workload(channels: int = 4) -> Workload:
    """Each number of channels is another workload."""
    return Workload(tiny(channels), kind="conv2d")


def run(backend: EmulatedBackend, channels: int = 4, *, profiled: bool = False) -> BlockResult:
    """Run one block and return its result."""
    request = BlockRequest(workload(channels), 1, RUNS, profiled=profiled)
    (result,) = backend.run_blocks([request])
    return result


def numbers(store: Store) -> list[tuple[str, int, str, tuple[float, ...]]]:
    """Return workload, round, status and latencies of all blocks of a store: what must not depend on mishaps."""
    blocks = (block for campaign in store.campaigns() for block in store.blocks(campaign.id))
    return sorted((block.workload_key, block.round, block.status, block.samples_ms) for block in blocks)


def reason(result: BlockResult) -> str:
    """Return why a block gave no latencies; empty when it did."""
    return result.failure.reason if result.failure else ""
