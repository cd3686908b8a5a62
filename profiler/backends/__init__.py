"""Backends: each opens one kind of device and runs workloads on it."""

from profiler.backends._agent_builds import agent_of
from profiler.backends._registry import BACKENDS, backend_of, open_backend
from profiler.backends.adb import AdbBackend
from profiler.backends.android import CHECK_IDS, Patience, PhoneFacts, PhoneHealth
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
from profiler.backends.emulated import EmulatedBackend
from profiler.backends.host import HostBackend
from profiler.backends.lease import DeviceLease, Fence
from profiler.backends.quarantine import Quarantine, Setback
from profiler.runtimes.operator_profile import OperatorProfile, OperatorTime

__all__ = [
    "BACKENDS",
    "CHECK_IDS",
    "PASSING_REASONS",
    "AdbBackend",
    "Backend",
    "BlockRequest",
    "BlockResult",
    "Check",
    "DeviceFacts",
    "DeviceLease",
    "EmulatedBackend",
    "Failure",
    "FailureReason",
    "Fence",
    "HostBackend",
    "OperatorProfile",
    "OperatorTime",
    "Patience",
    "PhoneFacts",
    "PhoneHealth",
    "Quarantine",
    "Setback",
    "agent_of",
    "backend_of",
    "open_backend",
]
