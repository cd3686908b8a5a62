"""Records: what an agent tells, frame by frame, as values.

A record that is whole by its checksum may still be none of ours; whatever does not add up is refused here, and never
becomes a number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from profiler.agent.frames import Frame
from profiler.errors import ToolOutputError

SCHEMA = 1
HELLO, BLOCK, ERROR, END = 16, 17, 18, 19
THE_JOB = 0xFFFFFFFF
"""Position of an error that is not a block's but the job's."""
DONE, TIME_LIMIT, STOPPED = 0, 1, 2
"""Why an agent ended, as its last record says."""

_BLOCK = struct.Struct("<IIIIIiIIIIQQQII")
_OPERATOR = struct.Struct("<HHI")
_ERROR = struct.Struct("<III")
_END = struct.Struct("<IIIIQQ")
_ENDINGS = (DONE, TIME_LIMIT, STOPPED)


@dataclass(frozen=True)
class Hello:
    """What an agent is, and what it runs on.

    Attributes:
        agent: Its version.
        engine: The engine in it.
        engine_version: That one's version.
        target: Processors that it is built for: "aarch64" or "x86_64".
        cores: Cores that are online.
        page_size: Bytes of a page of memory.
        mask: Cores that it is bound to, one bit each; 0 for no binding.
        threads: Threads that the engine uses.
        isa: Extensions of the processor, as it found them.
        locked: Whether its memory is locked.
        zones: Names of the thermal zones whose temperatures stand in records, in order.
        positions: Executions of the job.
    """

    agent: str
    engine: str
    engine_version: str
    target: str
    cores: int
    page_size: int
    mask: int
    threads: int
    isa: tuple[str, ...]
    locked: bool
    zones: tuple[str, ...]
    positions: int


@dataclass(frozen=True)
class OperatorRecord:
    """What the engine's profiler says of an operator.

    Attributes:
        name: The engine's name of it.
        kind: The engine's type of it.
        ns: Its latency in each run, in ns; 0 where it is below what the profiler resolves.
    """

    name: str
    kind: str
    ns: tuple[int, ...]


@dataclass(frozen=True)
class BlockRecord:
    """A block that ran.

    Attributes:
        position: Its execution's place in the job.
        round: Its round.
        entry: Index of the block in the plan.
        warmup_runs: Runs before the timed ones.
        samples_ns: Latency of each timed run, in ns, each > 0.
        core: Core that the last run was on; -1 where that is unknown.
        khz: That core's frequency before and after the block; 0 where it is unknown.
        minor_faults: Pages that had to be mapped in the timed runs.
        major_faults: Pages that had to be read in the timed runs.
        started_unix_ns: When the timed runs began.
        cooled_ns: How long the device was let cool down before.
        millidegrees: Temperature of each thermal zone after the block, in thousandths of a degree C.
        operators: Operators in the order of their execution, of a profiled block.
    """

    position: int
    round: int
    entry: int
    warmup_runs: int
    samples_ns: tuple[int, ...]
    core: int
    khz: tuple[int, int]
    minor_faults: int
    major_faults: int
    started_unix_ns: int
    cooled_ns: int
    millidegrees: tuple[int, ...]
    operators: tuple[OperatorRecord, ...]


@dataclass(frozen=True)
class ErrorRecord:
    """A block that did not run, or a job that was refused.

    Attributes:
        position: The execution's place in the job; THE_JOB for the job.
        round: Its round.
        entry: Index of the block in the plan.
        reason: A word in capitals.
        detail: One line for a person.
    """

    position: int
    round: int
    entry: int
    reason: str
    detail: str

    @property
    def of_job(self) -> bool:
        """Whether it is about the job as a whole."""
        return self.position == THE_JOB


@dataclass(frozen=True)
class EndRecord:
    """An agent that came to its end by itself.

    Attributes:
        blocks: Blocks that ran.
        errors: Blocks that did not.
        reason: DONE, TIME_LIMIT or STOPPED.
        peak_rss_bytes: Most memory that it took.
        elapsed_s: How long it ran.
    """

    blocks: int
    errors: int
    reason: int
    peak_rss_bytes: int
    elapsed_s: float


Record = Hello | BlockRecord | ErrorRecord | EndRecord


def read_record(frame: Frame) -> Record:
    """Return what a frame tells.

    Raises:
        ToolOutputError: It is no record, or does not add up.
    """
    readers: Mapping[int, Callable[[bytes], Record]] = {HELLO: _hello, BLOCK: _block, ERROR: _error, END: _end}
    if frame.kind not in readers:
        raise _wrong(f"record {frame.sequence} is of the unknown type {frame.kind}")
    try:
        return readers[frame.kind](frame.payload)
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as err:
        raise _wrong(f"record {frame.sequence} of type {frame.kind} does not add up ({err})") from err


def _hello(payload: bytes) -> Hello:
    lines = payload.decode("utf-8").splitlines()
    said = {key: value.strip() for key, _, value in (line.partition(" ") for line in lines if line)}
    if int(said["schema"]) != SCHEMA:
        raise _wrong(f"records of schema {said['schema']}, and this version of pocketnas reads schema {SCHEMA}")
    return Hello(
        agent=said["agent"],
        engine=said["engine"],
        engine_version=said["engine_version"],
        target=said["target"],
        cores=int(said["cores"]),
        page_size=int(said["page_size"]),
        mask=int(said["mask"], 16),
        threads=int(said["threads"]),
        isa=tuple(said["isa"].split()),
        locked=said["locked"] == "yes",
        zones=tuple(zone for zone in said["zones"].split(",") if zone),
        positions=int(said["positions"]),
    )


def _block(payload: bytes) -> BlockRecord:
    fields = _BLOCK.unpack_from(payload)
    position, round_, entry, warmup_runs, runs, core, khz_before, khz_after, minor, major = fields[:10]
    _, started_unix_ns, cooled_ns, zones, count = fields[10:]
    body = _Cursor(payload, _BLOCK.size)
    samples_ns = body.numbers("Q", runs)
    if not samples_ns or min(samples_ns) <= 0:
        raise ValueError(f"{runs} runs, the shortest of {min(samples_ns, default=0)} ns")
    millidegrees = body.numbers("i", zones)
    operators = tuple(_operator(body) for _ in range(count))
    body.require_end()
    return BlockRecord(
        position=position,
        round=round_,
        entry=entry,
        warmup_runs=warmup_runs,
        samples_ns=samples_ns,
        core=core,
        khz=(khz_before, khz_after),
        minor_faults=minor,
        major_faults=major,
        started_unix_ns=started_unix_ns,
        cooled_ns=cooled_ns,
        millidegrees=millidegrees,
        operators=operators,
    )


def _operator(body: _Cursor) -> OperatorRecord:
    name_bytes, kind_bytes, calls = _OPERATOR.unpack(body.take(_OPERATOR.size))
    name, kind = (body.take(size).decode("utf-8", "replace") for size in (name_bytes, kind_bytes))
    return OperatorRecord(name, kind, body.numbers("Q", calls))


def _error(payload: bytes) -> ErrorRecord:
    position, round_, entry = _ERROR.unpack_from(payload)
    reason, _, detail = payload[_ERROR.size :].decode("utf-8", "replace").partition(" ")
    if not (reason.isascii() and reason.replace("_", "").isalpha() and reason == reason.upper()):
        raise ValueError(f"{reason[:40]!r} is no reason")
    return ErrorRecord(position, round_, entry, reason, " ".join(detail.split()))


def _end(payload: bytes) -> EndRecord:
    blocks, errors, reason, _, peak_rss_bytes, elapsed_ns = _END.unpack(payload)
    if reason not in _ENDINGS:
        raise ValueError(f"{reason} is no way to end")
    return EndRecord(blocks, errors, reason, peak_rss_bytes, elapsed_ns / 1e9)


class _Cursor:
    """Walks through a payload, never beyond its end."""

    def __init__(self, payload: bytes, start: int) -> None:
        self._payload, self._place = payload, start

    def take(self, count: int) -> bytes:
        end = self._place + count
        if end > len(self._payload):
            raise ValueError(f"{end} bytes where there are {len(self._payload)}")
        taken, self._place = self._payload[self._place : end], end
        return taken

    def numbers(self, code: str, count: int) -> tuple[int, ...]:
        # Sizes first: a count that cannot be is not to reserve memory for as many.
        return struct.unpack(f"<{count}{code}", self.take(count * struct.calcsize(f"<{code}")))

    def require_end(self) -> None:
        if self._place != len(self._payload):
            raise ValueError(f"{len(self._payload) - self._place} bytes too many")


def _wrong(problem: str) -> ToolOutputError:
    return ToolOutputError("pocketnas-agent", problem)
