"""Several devices at once: each has a campaign and a thread of its own, and no fault of one stops another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from profiler.backends.base import Backend
from profiler.backends.quarantine import DEVICE_FAULTS
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
    pause_s: float = 60.0,
) -> tuple[Outcome, ...]:
    """Measure on several devices at the same time, into one store.

    A device that fails by a fault of its own pauses, and goes on where its rows end if it can be had again while
    others are still being measured on.

    Args:
        devices: How to open each device, by its name.
        plan: What to measure on each, and how.
        store: Where the rows go.
        label: Tells repeats of the same campaigns apart.
        progress: Called with a device's name after each of its blocks, from its thread.
        pause_s: How long a device pauses before it is tried again.

    Returns:
        One outcome a device, in the order given; an error of one is in its outcome and not raised.
    """
    shift = _Shift(len(devices))

    def run(name: str, open_device: Opener) -> Outcome:
        def on_block(step: Progress) -> None:
            if progress is not None:
                progress(name, step)
            if shift.is_over:
                raise KeyboardInterrupt  # the main thread's, which alone is told of it

        with shift:
            while True:
                outcome = _outcome(name, open_device, plan, store, label, on_block)
                if not isinstance(outcome.error, DEVICE_FAULTS) or not shift.pause(pause_s):
                    return outcome

    if len(devices) == 1:
        # In this thread, so that an interrupt ends it at once.
        return tuple(run(name, open_device) for name, open_device in devices.items())
    with ThreadPoolExecutor(max(1, len(devices)), thread_name_prefix="campaign") as threads:
        futures = [threads.submit(run, name, open_device) for name, open_device in devices.items()]
        try:
            wait(futures)
        finally:
            # After an interrupt each campaign ends behind the block that it is in, which is stored.
            shift.end()
    return tuple(future.result() for future in futures)


def _outcome(
    name: str, open_device: Opener, plan: Plan, store: Store, label: str, on_block: Callable[[Progress], None]
) -> Outcome:
    """Run the campaign on one device to its end, or to its next error."""
    source: Source | None = None
    try:
        with open_device() as backend:
            source = backend.source
            workloads, protocol = plan(backend)
            return Outcome(name, source, measure(backend, workloads, protocol, store, label=label, progress=on_block))
    except PocketnasError as error:
        return Outcome(name, source, error=error)


class _Shift:
    """Which campaigns are at work; each is so inside a `with` block, but for its pauses.

    Args:
        campaigns: How many there are, all of them at work from the start.
    """

    def __init__(self, campaigns: int) -> None:
        self._at_work = campaigns
        self._ended = False
        self._changed = threading.Condition()

    @property
    def is_over(self) -> bool:
        """Whether all are to stop."""
        return self._ended

    def end(self) -> None:
        """Ask all to stop."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def pause(self, seconds: float) -> bool:
        """Wait, and return whether there is still a shift to go back to: another is at work, and none is to stop."""
        with self._changed:
            self._at_work -= 1
            self._changed.notify_all()
            alone = self._changed.wait_for(lambda: self._ended or self._at_work == 0, timeout=seconds)
            self._at_work += 1
            return not alone

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._at_work -= 1
            self._changed.notify_all()
