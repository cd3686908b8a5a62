"""Several devices at once: each has a campaign and a thread of its own, and no fault of one stops another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.backends.base import Backend
from profiler.errors import PocketnasError
from profiler.measure.campaign import Progress, measure
from profiler.measure.measurement import Measurement
from profiler.measure.protocol import Protocol
from profiler.workload import Source, Workload

if TYPE_CHECKING:
    from profiler.store import Store

Opener = Callable[[], AbstractContextManager[Backend]]
"""Opens a device for its campaign, as functools.partial(open_backend, device) does."""

Plan = Callable[[Backend], tuple[Sequence[Workload], Protocol]]
"""Says what is measured on an opened device, and how; called from several threads."""


@dataclass(frozen=True)
class Outcome:
    """How the campaign on one device ended.

    Attributes:
        device: Name of the device.
        source: Whether its latencies are measured or emulated; None when it could not be opened.
        measurements: One for each workload; empty when there is an error.
        error: What ended the campaign early.  Its rows are in the store; the same call goes on from there.
    """

    device: str
    source: Source | None = None
    measurements: tuple[Measurement, ...] = ()
    error: PocketnasError | None = None


def measure_fleet(
    devices: Mapping[str, Opener],
    plan: Plan,
    store: Store,
    *,
    label: str = "",
    progress: Callable[[str, Progress], None] | None = None,
) -> tuple[Outcome, ...]:
    """Measure on several devices at the same time, into one store.

    Args:
        devices: How to open each device, by its name.
        plan: What to measure on each, and how.
        store: Where the rows go.
        label: Tells repeats of the same campaigns apart.
        progress: Called with a device's name after each of its blocks, from its thread.

    Returns:
        One outcome a device, in the order given; an error of one is in its outcome and not raised.
    """
    stop = threading.Event()

    def run(name: str, open_device: Opener) -> Outcome:
        def on_block(step: Progress) -> None:
            if progress is not None:
                progress(name, step)
            if stop.is_set():
                raise KeyboardInterrupt  # the main thread's, which alone is told of it

        source: Source | None = None
        try:
            with open_device() as backend:
                source = backend.source
                workloads, protocol = plan(backend)
                return Outcome(
                    name, source, measure(backend, workloads, protocol, store, label=label, progress=on_block)
                )
        except PocketnasError as error:
            return Outcome(name, source, error=error)

    with ThreadPoolExecutor(max(1, len(devices)), thread_name_prefix="campaign") as threads:
        futures = [threads.submit(run, name, open_device) for name, open_device in devices.items()]
        try:
            wait(futures)
        finally:
            # After an interrupt each campaign ends behind the block that it is in, which is stored.
            stop.set()
    return tuple(future.result() for future in futures)
