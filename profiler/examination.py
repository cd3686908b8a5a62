"""Looks a device over, step by step as a job on it would go, and says of each step how it is and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from profiler.adb import open_transport
from profiler.backends import Backend, BlockRequest, Check, Quarantine, backend_of
from profiler.backends.adb import AdbBackend
from profiler.devices import AdbDevice, Device, PhoneDevice
from profiler.errors import (
    CommandFailedError,
    ConfigError,
    DeviceBusyError,
    DeviceRefusedError,
    DeviceStorageError,
    DeviceUnauthorizedError,
    LeaseLostError,
    PocketnasError,
    RuntimeNotSupportedError,
    TransferError,
)
from profiler.measure.references import REFERENCE_RUNS, REFERENCE_WARMUP_RUNS, reference_workloads

Step = Literal[
    "lease",
    "reachable",
    "authorised",
    "program",
    "storage",
    "settings",
    "thermal",
    "battery",
    "clock",
    "executes",
    "reference",
]
Outcome = Literal["ok", "warn", "fail", "not reached"]

PHONE_STEPS: tuple[Step, ...] = get_args(Step)
HOST_STEPS: tuple[Step, ...] = ("lease", "program", "storage", "settings", "executes", "reference")

_STEP_OF_CHECK: dict[str, Step] = {
    "LOW-STORAGE": "storage",
    "THERMAL-STATUS": "thermal",
    "LOW-BATTERY": "battery",
    "CLOCK-SKEW": "clock",
    "EMULATED": "reachable",
}
"""Where a check belongs; what is not here is of the settings."""

_STEP_OF_ERROR: tuple[tuple[type[PocketnasError], Step], ...] = (
    (DeviceBusyError, "lease"),
    (LeaseLostError, "lease"),
    (DeviceUnauthorizedError, "authorised"),
    (ConfigError, "program"),
    (RuntimeNotSupportedError, "program"),
    (DeviceStorageError, "storage"),
    (TransferError, "storage"),
    (DeviceRefusedError, "executes"),
    (CommandFailedError, "executes"),
)
"""At which step an error is; what is not here means that the device is out of reach."""

_WELL: dict[Step, str] = {
    "authorised": "trusts our key",
    "storage": "there is room",
    "settings": "nothing holds the clocks down",
    "clock": "agrees with ours",
    "executes": "runs models",
}
"""What a step is like where the device says no more of it."""

_BAD_WORKLOAD = 75


@dataclass(frozen=True)
class Finding:
    """How one step went.

    Attributes:
        step: The step.
        outcome: Whether a job would get past it; with "warn" it would, and its measurements would be doubtful.
        detail: What was found and, where it is not well, what to do.
        exit_code: Of a failure, what a job would end with: 2 needs a person, 73 and 75 may pass; else 0.
    """

    step: Step
    outcome: Outcome
    detail: str
    exit_code: int = 0


def examine(device: Device) -> Iterator[Finding]:
    """Look a device over, and let it out of quarantine when no step fails.

    Args:
        device: As load_devices gives it.

    Yields:
        A finding for each of the steps of such a device, in order, as soon as it is there.
    """
    steps = list(PHONE_STEPS if isinstance(device, PhoneDevice) else HOST_STEPS)
    left = iter(steps)
    failed: Step | None = None
    try:
        for finding in _findings(device):
            next(left)
            failed = failed or (finding.step if finding.outcome == "fail" else None)
            yield finding
    except PocketnasError as error:
        rest, failed = list(left), _step_of(error)
        if rest and failed not in rest:
            # It broke off at a step that had gone well before, or that such a device does not have.
            failed = rest[0]
        before = rest[: rest.index(failed)] if rest else []
        for step in before:
            yield Finding(step, "ok", _WELL.get(step, ""))
        yield Finding(failed, "fail", str(error), error.exit_code)
        left = iter(rest[len(before) + 1 :])
    for step in left:
        yield Finding(step, "not reached", f"looked at once {failed!r} is well")
    if failed is None:
        Quarantine(device.name).clear()


def _step_of(error: PocketnasError) -> Step:
    return next((step for kind, step in _STEP_OF_ERROR if isinstance(error, kind)), "reachable")


def _findings(device: Device) -> Iterator[Finding]:
    """Yield the findings in the order of the steps, up to an error."""
    backend = backend_of(device)
    if backend.holder is not None:
        raise DeviceBusyError(device.name, backend.holder)
    setback = Quarantine(device.name).setback
    free = "free" if setback is None else f"free; {setback.faults} faults in a row before, the last: {setback.problem}"
    if isinstance(device, AdbDevice):
        with open_transport(device.serial) as transport:
            transport.features()
    with backend:
        yield Finding("lease", "ok", free)
        yield from _conditions(device, backend)
        yield from _run(backend)


def _conditions(device: Device, backend: Backend) -> Iterator[Finding]:
    """Yield what is known of an open device, with the checks where they belong."""
    well = _phone_is_well(backend) if isinstance(backend, AdbBackend) else {}
    facts = backend.facts()
    well["program"] = f"{facts.runtime} {facts.runtime_version}, {facts.accelerator}, threads: {facts.threads}"
    checks = backend.checks()
    for step in PHONE_STEPS if isinstance(device, PhoneDevice) else HOST_STEPS:
        if step in ("lease", "executes", "reference"):
            continue
        yield _judged(step, [check for check in checks if _STEP_OF_CHECK.get(check.id, "settings") == step], well)


def _judged(step: Step, checks: list[Check], well: dict[Step, str]) -> Finding:
    doubts = [check for check in checks if check.suppressible]
    told = [f"{check.id}: {check.detail}" for check in checks]
    detail = "; ".join(told if doubts else [well.get(step, _WELL.get(step, "")), *told])
    if any(check.stops for check in doubts):
        return Finding(step, "fail", detail, _BAD_WORKLOAD)
    return Finding(step, "warn" if doubts else "ok", detail)


def _phone_is_well(backend: AdbBackend) -> dict[Step, str]:
    """Return what a phone says of itself, for the steps that nothing speaks against."""
    phone, health = backend.phone_facts(), backend.health()
    found: dict[Step, str | None] = {
        "reachable": ", ".join(part for part in (phone.model, phone.soc, phone.fingerprint) if part),
        "storage": None if health.free_bytes is None else f"{health.free_bytes // 2**20} MiB free",
        "thermal": None if health.temperature_c is None else f"{health.temperature_c:.0f} °C",
        "battery": None if health.battery_percent is None else f"{health.battery_percent:.0f} %",
    }
    return {step: text or "the phone does not say" for step, text in found.items()}


def _run(backend: Backend) -> Iterator[Finding]:
    """Measure a reference kernel, as every campaign does beside its blocks."""
    workload = reference_workloads()[0]
    (result,) = backend.run_blocks([BlockRequest(workload, REFERENCE_WARMUP_RUNS, REFERENCE_RUNS)])
    if result.failure:
        yield Finding("executes", "fail", f"{result.failure.reason}: {result.failure.detail}", _BAD_WORKLOAD)
        return
    yield Finding("executes", "ok", _WELL["executes"])
    latency_ms = sum(result.samples_ms) / len(result.samples_ms)
    yield Finding("reference", "ok", f"{workload.network.name}: {latency_ms:.3g} ms, {backend.source}")
