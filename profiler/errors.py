"""Error types of the profiler, and the base of every error that pocketnas raises.

Each type carries fields, not only text, and its message says what to do next.  The exit code that
the command line ends with belongs to the type, so that scripts can tell bad input from bad luck.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class PocketnasError(Exception):
    """Base of all errors of pocketnas; the command line prints its text as one line.

    Attributes:
        exit_code: What the command line exits with: 2 usage or bad input, 4 infeasible constraint,
            73 device busy, 75 infrastructure (may be retried).
    """

    exit_code: ClassVar[int] = 2


class ConfigError(PocketnasError):
    """A setting in a file or on the command line is not acceptable.

    Args:
        problem: What is wrong and what is allowed.
        path: File that holds the setting; None for a command-line option.
        line: Line in that file, counted from 1.
        key: Name of the setting.
    """

    def __init__(
        self, problem: str, *, path: Path | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        self.problem, self.path, self.line, self.key = problem, path, line, key
        place = f"{path}" if path else ""
        place += f":{line}" if line else ""
        super().__init__(": ".join(part for part in (place, key or "", problem) if part))


class NetworkError(PocketnasError):
    """A network is not well formed.

    Args:
        problem: What is wrong and what would be right.
        operator: Name of the operator at fault; None when it is the network as a whole.
    """

    def __init__(self, problem: str, *, operator: str | None = None) -> None:
        self.problem, self.operator = problem, operator
        super().__init__(f"operator {operator!r}: {problem}" if operator else problem)


class CycleError(NetworkError):
    """Operators of a network feed one another in a ring.

    Args:
        members: Names of the operators on one ring, in order.
    """

    def __init__(self, members: tuple[str, ...]) -> None:
        self.members = members
        shown = " -> ".join(members[:8]) + (" -> …" if len(members) > 8 else "")
        super().__init__(f"the graph has a cycle: {shown}; a network must be acyclic")


class UnknownOperatorError(NetworkError):
    """An operator's kind is none that we know.

    Args:
        kind: The kind as it was given.
        operator: Name of the operator.
    """

    def __init__(self, kind: str, *, operator: str | None = None) -> None:
        self.kind = kind
        super().__init__(f"unknown operator kind {kind!r}", operator=operator)


class ShapeError(NetworkError):
    """Shapes of an operator's inputs, attributes or weights do not fit together."""


class ArchitectureTextError(PocketnasError):
    """A text does not name an architecture of the catalogue that it was read for.

    Args:
        problem: What is wrong with it.
        text: The text.
    """

    def __init__(self, problem: str, *, text: str) -> None:
        self.problem, self.text = problem, text
        shown = text if len(text) <= 80 else text[:79] + "…"
        super().__init__(f"{shown!r}: {problem}")


class ModelFileError(PocketnasError):
    """A file is not the model that it should be: truncated, empty, of another kind, or not supported.

    Args:
        path: The file; None when the model came from memory.
        problem: What is wrong with it.
    """

    def __init__(self, problem: str, *, path: Path | None = None) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{str(path)!r}: {problem}" if path else problem)


class DynamicShapeError(ModelFileError):
    """A model leaves sizes of its input open; the caller must fix them.

    Args:
        input_name: The input in question.
        shape: Its shape, with None where the file leaves the size open.
        path: The file.
    """

    def __init__(self, input_name: str, shape: tuple[int | None, ...], *, path: Path | None = None) -> None:
        self.input_name, self.shape = input_name, shape
        example = "x".join(str(size or 1) for size in shape)
        super().__init__(
            f"input {input_name!r} has a dynamic shape {shape}; fix it with --input {input_name}:{example}", path=path
        )


class DeviceError(PocketnasError):
    """Something went wrong with a device.

    Args:
        serial: Serial or name of the device.
        problem: What happened and what to do.
    """

    exit_code = 75

    def __init__(self, serial: str, problem: str) -> None:
        self.serial, self.problem = serial, problem
        super().__init__(f"device {serial!r}: {problem}")


class DeviceNotFoundError(DeviceError):
    """No device has this name or serial."""

    exit_code = 2


class DeviceBusyError(DeviceError):
    """Another job holds the device.

    Args:
        serial: The device.
        holder: Who holds it, as that job wrote it down.
    """

    exit_code = 73

    def __init__(self, serial: str, holder: str) -> None:
        self.holder = holder
        super().__init__(serial, f"in use by {holder}; wait for it or choose another device")


class LeaseLostError(DeviceError):
    """Another job took a device over while this one gave no sign of life; nothing more of this one is stored.

    Args:
        serial: The device.
        holder: Who has it now.
    """

    def __init__(self, serial: str, *, holder: str) -> None:
        self.holder = holder
        super().__init__(
            serial,
            f"taken over by {holder}, because this job gave no sign of life; "
            "what is stored is good, and the same command goes on from there",
        )


class DeviceQuarantinedError(DeviceError):
    """A device failed so often in a row that it is set aside for a time.

    Args:
        serial: The device.
        faults: How often it failed, with nothing good in between.
        last_problem: What the last fault was.
        since: When that was.
        until: When it may be used again without more ado.
    """

    def __init__(self, serial: str, faults: int, last_problem: str, since: str, until: str) -> None:
        self.faults, self.last_problem, self.since, self.until = faults, last_problem, since, until
        super().__init__(
            serial,
            f"set aside since {since} until {until}, after {faults} faults in a row, the last: {last_problem}; "
            f"`pocketnas doctor --device {serial}` clears it when its checks pass",
        )


class DeviceNotReadyError(DeviceError):
    """A device is in a condition in which nothing should be measured on it for now.

    Args:
        serial: The device.
        check: Id of the condition, such as "LOW-BATTERY".
        detail: What was found and how to mend it.
    """

    def __init__(self, serial: str, check: str, detail: str) -> None:
        self.check, self.detail = check, detail
        advice = f"mend it and give the same command again to go on, or go on as it is with --suppress {check}"
        super().__init__(serial, f"{check}: {detail}; {advice}")


class DeviceTimeoutError(DeviceError):
    """A device did not answer before its deadline.

    Args:
        serial: The device.
        timeout_s: The deadline.
        action: What was waited for.
    """

    def __init__(self, serial: str, timeout_s: float, action: str) -> None:
        self.timeout_s, self.action = timeout_s, action
        super().__init__(serial, f"{action} did not end within {timeout_s:g} s")


class DeviceOfflineError(DeviceError):
    """A device, or the adb server before it, cannot be reached or went away in the middle."""


class DeviceUnauthorizedError(DeviceError):
    """A device does not trust this computer's key."""


class DeviceProtocolError(DeviceError):
    """What answers is no ADB device, or refuses what every one offers."""


class DeviceStorageError(DeviceError):
    """A device has no room for a file.

    Args:
        serial: The device.
        needed_bytes: Size of the file.
        free_bytes: What is free; None when the device only said that it was not enough.
    """

    exit_code = 2

    def __init__(self, serial: str, needed_bytes: int, free_bytes: int | None) -> None:
        self.needed_bytes, self.free_bytes = needed_bytes, free_bytes
        have = "less than that is free" if free_bytes is None else f"{free_bytes} bytes are free"
        super().__init__(serial, f"no room for {needed_bytes} bytes in /data: {have}; free some on the phone")


class DeviceRefusedError(DeviceError):
    """A device does not let a program of ours run: a security policy, or a partition without executables."""

    exit_code = 2


class ProgramRemovedError(DeviceError):
    """Our program is not on a device any more, although nothing of ours took it away.

    Args:
        serial: The device.
        folder: Our folder there.
    """

    def __init__(self, serial: str, folder: str) -> None:
        self.folder = folder
        super().__init__(serial, f"our program does not stay in {folder}; keep others from that folder")


class TransferError(DeviceError):
    """A file did not get to a device, or from it, as it is.

    Args:
        serial: The device.
        path: The file there.
        problem: What the device said, or what is wrong with what arrived.
    """

    def __init__(self, serial: str, path: str, problem: str) -> None:
        self.path = path
        super().__init__(serial, f"{path!r}: {problem}")


class CommandFailedError(DeviceError):
    """A command on a device ended with an error, or without saying how it ended.

    Args:
        serial: The device.
        command: The command.
        exit_code_there: How it ended; None when the device lost it.
        stdout: What it printed.
        stderr: What it printed to standard error.
    """

    def __init__(self, serial: str, command: str, exit_code_there: int | None, stdout: str, stderr: str) -> None:
        self.command, self.exit_code_there, self.stdout, self.stderr = command, exit_code_there, stdout, stderr
        ended = "without an exit code" if exit_code_there is None else f"with exit code {exit_code_there}"
        said = " ".join((stderr.strip() or stdout.strip())[-300:].split())
        super().__init__(serial, f"{command[:200]!r} ended {ended}" + (f": {said}" if said else ""))


class RuntimeNotSupportedError(DeviceError):
    """A runtime, or a feature of it, is not to be had on this device.

    Args:
        serial: The device.
        runtime: Name of the runtime.
        problem: What is missing, and how to get it.
    """

    exit_code = 2

    def __init__(self, serial: str, runtime: str, problem: str) -> None:
        self.runtime = runtime
        super().__init__(serial, f"runtime {runtime!r}: {problem}")


class MeasurementError(PocketnasError):
    """A measurement, or what should become one, cannot be used."""


class MergedProfileError(MeasurementError):
    """A profile shows a network as one whole, as delegates to GPUs do, so that its parts cannot be told apart."""


class WorkloadFailedError(MeasurementError):
    """A workload gave no result on a device: a fact about the workload, which a search may go on from.

    Args:
        reason: Kind of failure, such as "CRASHED" (profiler.backends.FailureReason).
        detail: One line from the runtime or the system.
        signal: Number of the signal that ended the process, for CRASHED.
    """

    def __init__(self, reason: str, detail: str, *, signal: int | None = None) -> None:
        self.reason, self.detail, self.signal = reason, detail, signal
        super().__init__(f"{reason}: {detail}")


class FunctionOnlyError(MeasurementError):
    """A device shows what programs do and not how long they take, and latencies were asked of it.

    Args:
        device: Name of the device.
        problem: What needs latencies, and why there are none.
    """

    def __init__(self, device: str, problem: str) -> None:
        self.device, self.problem = device, problem
        super().__init__(
            f"{device!r} (emulated-isa): {problem}; take a phone, this computer, or an emulated phone's law"
        )


class TableError(PocketnasError):
    """A latency table cannot be read or does not hold what is asked of it."""


class SchemaMismatchError(TableError):
    """A file or database has another schema than this version reads.

    Args:
        found: The schema version or columns found.
        expected: What this version reads.
        problem: What to do.
    """

    def __init__(self, found: object, expected: object, problem: str) -> None:
        self.found, self.expected = found, expected
        super().__init__(f"{problem} (found {found}, expected {expected})")


class ToolOutputError(PocketnasError):
    """A saved output is not what its tool prints, or says something that we have no safe reading of.

    Args:
        kind: Kind of output that it should be, such as "benchmark_model".
        problem: What is wrong with it.
        line: Line in question, counted from 1; None when it is the output as a whole.
    """

    def __init__(self, kind: str, problem: str, *, line: int | None = None) -> None:
        self.kind, self.problem, self.line = kind, problem, line
        super().__init__(f"{kind} output" + (f", line {line}" if line else "") + f": {problem}")


class StreamDamagedError(ToolOutputError):
    """What came from an agent is no whole, right sequence of frames; everything before was read.

    Args:
        problem: What is wrong.
        sequence: Number of the first frame that could not be read.
    """

    def __init__(self, problem: str, *, sequence: int) -> None:
        self.sequence = sequence
        super().__init__("pocketnas-agent", f"record {sequence}: {problem}")


class AgentBuildError(PocketnasError):
    """The agent's program could not be built, or what it is built from could not be had.

    Args:
        problem: What failed, and what to do where that is known.
        log: Everything that the commands printed; None where none ran.
        tail: The lines of it that say why, as one.
    """

    exit_code = 75

    def __init__(self, problem: str, *, log: Path | None = None, tail: str = "") -> None:
        self.problem, self.log, self.tail = problem, log, tail
        super().__init__(
            ": ".join(part for part in (problem, tail) if part) + (f" (all of it in {log})" if log else "")
        )


class AgentUnfitError(PocketnasError):
    """A build of the agent cannot run on a device.

    Args:
        file: Which of its files cannot.
        problem: Why not, and what to do.
    """

    def __init__(self, file: str, problem: str) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"the agent's {file}: {problem}")
