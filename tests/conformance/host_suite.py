"""What tests of the host backend share: how the process that runs models is struck."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from profiler.backends import Backend, HostBackend
from tests.conformance.backend_suite import PROFILED_RUNS, BackendConformance

FAULT_DELAY_S = 0.3
"""Long enough for a warm worker to be inside the long block, short against its length."""


class OnThisComputer(BackendConformance):
    """Whatever runs models here is a process that signals reach."""

    backend_name = "host"
    runs_in_means = PROFILED_RUNS // 2  # the calm half

    @contextmanager
    def crashing(self, backend: Backend) -> Iterator[None]:
        with signalled(backend, signal.SIGSEGV):
            yield

    @contextmanager
    def hanging(self, backend: Backend) -> Iterator[None]:
        with signalled(backend, signal.SIGSTOP):
            yield


@contextmanager
def signalled(backend: Backend, number: int) -> Iterator[None]:
    """Send the worker a signal in a moment."""
    assert isinstance(backend, HostBackend)
    timer = threading.Timer(FAULT_DELAY_S, lambda: os.kill(backend.worker_pid, number))
    timer.start()
    try:
        yield
    finally:
        timer.join()
