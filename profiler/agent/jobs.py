"""Runs a job to its end, whatever happens to the agent, its device and what it tells.

Each execution of the job has one outcome.  A record counts when it is whole and in its place; nothing is made up for
one that is not.  The agent is asked to go on where its records end: after a stream that was damaged or cut, after a
device that went away, and behind a block that ended it.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from profiler.agent.frames import Frame, FrameReader
from profiler.agent.job import AgentJob
from profiler.agent.process import AgentProcess, AgentSite, ProcessEnd
from profiler.agent.records import TIME_LIMIT, BlockRecord, EndRecord, ErrorRecord, Hello, read_record
from profiler.errors import (
    ConfigError,
    DeviceBusyError,
    DeviceError,
    DeviceOfflineError,
    DeviceProtocolError,
    DeviceStorageError,
    DeviceTimeoutError,
    ProgramRemovedError,
    RuntimeNotSupportedError,
    StreamDamagedError,
    ToolOutputError,
)

_MOST_STUMBLES = 3
"""How often in a row an agent may be started again without a further record."""
_MOST_KILLS = 2
"""How often a block is tried that something ends by SIGKILL: once may be bad luck, twice is its memory."""
_LEAST_START_S = 20.0
"""What an agent may take to start and read its job, at least."""
_FAREWELL_S = 2.0
"""How long the agent may take to end when the last block is there."""


@dataclass(frozen=True)
class FailedBlock:
    """An execution that gave no latencies.

    Attributes:
        position: Its place in the job.
        reason: A word in capitals, as for profiler.backends.Failure.
        detail: One line for a person.
        signal: Number of the signal that ended the agent.
    """

    position: int
    reason: str
    detail: str
    signal: int | None = None


Outcome = BlockRecord | FailedBlock


@dataclass(frozen=True)
class _Stop:
    """Why an agent tells no more: it ended, it was silent, it told nonsense, or the device went away."""

    end: ProcessEnd | None = None
    silent: bool = False
    damage: StreamDamagedError | None = None
    loss: DeviceError | None = None

    def __str__(self) -> str:
        return str(self.damage or self.loss or f"the agent ended early, with {self.end}")


class JobRun:
    """A job on its way.

    Args:
        site: Where it runs.
        job: The job.
        block_timeout_s: Longest time that one block may take; the agent is then ended, and the block has failed.

    Attributes:
        hello: What the agent is and runs on; None before it has said so.
        farewell: The agent's last word; None before it.
    """

    def __init__(self, site: AgentSite, job: AgentJob, *, block_timeout_s: float) -> None:
        self._site, self._job = site, job
        self._timeout_s = block_timeout_s + job.cooldown_s
        self._executions = job.executions()
        self._sequence = self._position = 0
        self._kills: dict[int, int] = {}
        self.hello: Hello | None = None
        self.farewell: EndRecord | None = None

    def outcomes(self) -> Generator[Outcome, None, None]:
        """Run the job; closing this iterator ends the agent.

        Yields:
            One outcome an execution, in order; fewer only when the job's time limit was reached.

        Raises:
            DeviceBusyError: Another agent has the device.
            DeviceStorageError: There is no room for its records.
            RuntimeNotSupportedError: The agent does not run there.
            DeviceError: The device is gone, or what the agent tells stays damaged.
        """
        self._site.put(self._job.to_bytes())
        stumbles = 0
        while self._left():
            reached = self._position
            stop = yield from self._follow()
            if not self._left() or self._limited():
                return
            booted = stop.loss is not None and self._site.come_back(stop.loss)
            told = self._position
            yield from self._catch_up()
            if not self._left():
                return
            stumbles = 0 if self._position > reached else stumbles + 1
            # Whoever is silent while its records grow is not busy with one block: the way here is in disorder.
            silent = stop.silent and self._position == told
            blamed = self._blamed(stop.end, silent=silent, booted=booted)
            if blamed is not None:
                stumbles, self._position = 0, self._position + 1
                yield blamed
            elif stumbles > _MOST_STUMBLES:
                raise stop.loss or DeviceProtocolError(self._site.serial, f"{stumbles} times in a row: {stop}")

    def _follow(self) -> Generator[Outcome, None, _Stop]:
        """Start the agent and yield what it tells, until it tells no more."""
        reader = FrameReader(self._sequence)
        last: Outcome | None = None
        stop = _Stop()
        try:
            with self._site.start("--from", str(self._sequence), "--block", str(self._position)) as process:
                ends_s = time.monotonic() + max(self._timeout_s, _LEAST_START_S)
                while self._left() and (data := process.read(ends_s - time.monotonic())):
                    for frame in reader.frames(data):
                        ends_s = time.monotonic() + self._timeout_s
                        outcome = self._take(frame)
                        if outcome is not None and self._left():
                            yield outcome
                        else:
                            last = outcome or last
                if self._left():
                    reader.finish()
                    stop = _Stop(end=process.end())
                else:
                    self._part(process, reader)
        except StreamDamagedError as err:
            stop = _Stop(damage=err)
        except TimeoutError:
            stop = _Stop(silent=True)
        except (DeviceOfflineError, DeviceTimeoutError, ProgramRemovedError) as err:
            stop = _Stop(loss=err)
        if last is not None:
            # Only now, so that whoever takes it has the device to himself.
            yield last
        return stop

    def _part(self, process: AgentProcess, reader: FrameReader) -> None:
        """Let an agent that has done all say so and end, if it does so soon; all that counts is there."""
        ends_s = time.monotonic() + _FAREWELL_S
        with contextlib.suppress(TimeoutError, StreamDamagedError, DeviceError):
            while data := process.read(ends_s - time.monotonic()):
                for frame in reader.frames(data):
                    self._take(frame)

    def _catch_up(self) -> Iterator[Outcome]:
        """Yield what the agent has written down and could not tell any more."""
        reader = FrameReader()
        with contextlib.suppress(StreamDamagedError):
            for frame in reader.frames(self._site.stored()):
                outcome = self._take(frame) if frame.sequence >= self._sequence else None
                if outcome is not None:
                    yield outcome
        # What is damaged there, or was taken away, the agent numbers anew.
        self._sequence = reader.next_sequence

    def _take(self, frame: Frame) -> Outcome | None:
        """Take a frame in, and return the outcome that it brings.

        Raises:
            StreamDamagedError: It is not what must come now.
            DeviceError: It says that the agent does not run the job.
        """
        try:
            record = read_record(frame)
        except ToolOutputError as err:
            raise StreamDamagedError(err.problem, sequence=frame.sequence) from err
        if isinstance(record, ErrorRecord) and record.of_job:
            raise refusal(self._site.serial, self._job.engine, record)
        if isinstance(record, Hello):
            self._meet(record)
        elif isinstance(record, EndRecord):
            self.farewell = record
        self._sequence = frame.sequence + 1
        return self._outcome(record) if isinstance(record, BlockRecord | ErrorRecord) else None

    def _meet(self, hello: Hello) -> None:
        if hello.engine != self._job.engine or hello.positions != len(self._executions):
            problem = f"an agent with {hello.engine} for a job of {hello.positions} blocks answers"
            raise DeviceProtocolError(self._site.serial, problem)
        self.hello = hello

    def _outcome(self, record: BlockRecord | ErrorRecord) -> Outcome | None:
        """Return what a record says of the execution that is to come next; of earlier ones all is known."""
        if record.position < self._position:
            return None
        due = self._executions[self._position] if self._left() else None
        if due is None or (record.position, record.round, record.entry) != (due.position, due.round, due.entry):
            raise StreamDamagedError(f"block {record.position} where {self._position} was due", sequence=self._sequence)
        self._position += 1
        if isinstance(record, ErrorRecord):
            return FailedBlock(due.position, record.reason, record.detail)
        planned = self._job.blocks[due.entry]
        if len(record.samples_ns) != planned.runs:
            detail = f"{len(record.samples_ns)} latencies for {planned.runs} runs"
            return FailedBlock(due.position, "INVALID_OUTPUT", detail)
        return record

    def _blamed(self, end: ProcessEnd | None, *, silent: bool, booted: bool) -> FailedBlock | None:
        """Return how the execution that was on its way failed; None when it is to be tried again.

        Raises:
            DeviceError: The agent did not come as far as to an execution.
        """
        if booted:
            return FailedBlock(self._position, "UNEXPECTED_REBOOT", "the phone booted in the block")
        if not silent and (end is None or end.signal in (None, signal.SIGTERM)):
            return None
        if self.hello is None:
            raise RuntimeNotSupportedError(
                self._site.serial,
                f"agent-{self._job.engine}",
                f"the agent did not start: {f'it ended with {end}' if end else 'it says nothing'}",
            )
        if silent or end is None:
            return FailedBlock(self._position, "TIMEOUT", f"no end within {self._timeout_s:g} s; the agent was ended")
        if end.signal == signal.SIGKILL:
            self._kills[self._position] = self._kills.get(self._position, 0) + 1
            if self._kills[self._position] < _MOST_KILLS:
                return None
            return FailedBlock(
                self._position, "OUT_OF_MEMORY", "killed by the system (SIGKILL), most likely for memory"
            )
        name = signal.Signals(end.signal or 0).name
        return FailedBlock(self._position, "CRASHED", f"the agent was ended by {name}", end.signal)

    def _left(self) -> bool:
        return self._position < len(self._executions)

    def _limited(self) -> bool:
        return self.farewell is not None and self.farewell.reason == TIME_LIMIT


def refusal(serial: str, engine: str, record: ErrorRecord) -> DeviceError | ConfigError:
    """Return the error for a job that an agent refused.

    Args:
        serial: The device.
        engine: The agent's engine.
        record: What it said.
    """
    said = f"{record.reason}: {record.detail}" if record.detail else record.reason
    if record.reason == "BUSY":
        return DeviceBusyError(serial, "another agent on it")
    if record.reason == "STORAGE":
        return DeviceStorageError(serial, 0, None)
    if record.reason == "NO_CORES":
        return ConfigError(f"{serial}: the agent cannot be bound to the cores chosen ({said})", key="cpus")
    if record.reason in ("NO_LIBRARY", "UNKNOWN_ISA"):
        return RuntimeNotSupportedError(serial, f"agent-{engine}", said)
    return DeviceProtocolError(serial, f"the agent refused its job: {said}")
