"""Backends: each opens one kind of device and runs workloads on it."""

from profiler.backends._registry import BACKENDS, backend_of, open_backend
from profiler.backends.base import (
    PASSING_REASONS,
    Backend,
    BlockRequest,
    BlockResult,
    Check,
    DeviceFacts,
    Failure,
    FailureReason,
)
from profiler.backends.host import HostBackend
from profiler.backends.lease import DeviceLease, Fence
from profiler.backends.quarantine import Quarantine, Setback
from profiler.runtimes.operator_profile import OperatorProfile, OperatorTime

__all__ = [
    "BACKENDS",
    "PASSING_REASONS",
    "Backend",
    "BlockRequest",
    "BlockResult",
    "Check",
    "DeviceFacts",
    "DeviceLease",
    "Failure",
    "FailureReason",
    "Fence",
    "HostBackend",
    "OperatorProfile",
    "OperatorTime",
    "Quarantine",
    "Setback",
    "backend_of",
    "open_backend",
]
