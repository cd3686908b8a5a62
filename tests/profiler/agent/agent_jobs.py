"""Jobs for the program, written and read byte by byte: a second hand beside profiler.agent's own encoder."""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

JOB, MODEL, PLAN, JOB_END = 1, 2, 3, 4
HELLO, BLOCK, ERROR, END = 16, 17, 18, 19
WHOLE_JOB = 0xFFFFFFFF


def frame(sequence: int, kind: int, payload: bytes) -> bytes:
    """Return one frame of a job or of a stream of records."""
    rest = struct.pack("<IHH", sequence, kind, 0) + payload
    return struct.pack("<II", len(payload), zlib.crc32(rest)) + rest


def literal(data: bytes) -> bytes:
    """Return a segment of a model that is given as it is."""
    return struct.pack("<II", 0, len(data)) + data


def random_values(count: int, scale: float) -> bytes:
    """Return a segment of float32 values that the program makes."""
    return struct.pack("<IIf", 1, count, scale)


def model(text: str, segments: bytes = b"") -> bytes:
    """Return the payload of a model's frame."""
    return struct.pack("<I", len(text.encode())) + text.encode() + segments


def convolution(channels: int = 8, size: int = 16) -> bytes:
    """Return a 3x3 convolution with a ReLU after it, as a .param and weights to be made."""
    text = (
        "7767517\n3 3\n"
        f"Input in 0 1 a 0={size} 1={size} 2={channels}\n"
        f"Convolution conv 1 1 a b 0={channels} 1=3 4=1 5=1 6={channels * channels * 9}\n"
        "ReLU relu 1 1 b c\n"
    )
    weights = literal(b"\0\0\0\0") + random_values(channels * channels * 9, 0.1) + random_values(channels, 0.1)
    return model(text, weights)


@dataclass(frozen=True)
class Planned:
    """One line of a job's plan."""

    model: int
    warmup_runs: int = 2
    runs: int = 4
    profiled: bool = False

    def to_bytes(self) -> bytes:
        """Return the entry as the job holds it."""
        return struct.pack("<IIII", self.model, self.warmup_runs, self.runs, int(self.profiled))


def job(models: Sequence[bytes], plan: Sequence[Planned], settings: Mapping[str, object] | None = None) -> bytes:
    """Return a job file."""
    pairs = {"schema": 1, "engine": "ncnn", "warmup_most_s": 0.05, **(settings or {})}
    text = "".join(f"{key} {value}\n" for key, value in pairs.items())
    payloads = [(JOB, text.encode())]
    payloads += [(MODEL, each) for each in models]
    payloads.append((PLAN, b"".join(entry.to_bytes() for entry in plan)))
    payloads.append((JOB_END, struct.pack("<II", len(models), len(plan))))
    return b"".join(frame(sequence, *payload) for sequence, payload in enumerate(payloads))


@dataclass(frozen=True)
class Record:
    """One record of the stream."""

    sequence: int
    kind: int
    payload: bytes

    def words(self) -> tuple[int, ...]:
        """Return the payload's first three numbers: position, round and entry, or an end's blocks, errors, reason."""
        return struct.unpack_from("<III", self.payload)

    def text(self) -> str:
        """Return what an error says."""
        return self.payload[12:].decode()

    def lines(self) -> dict[str, str]:
        """Return a hello's keys and values."""
        return dict(line.split(" ", 1) for line in self.payload.decode().splitlines())


@dataclass(frozen=True)
class Block:
    """A block's record in full."""

    position: int
    round: int
    entry: int
    warmup_runs: int
    core: int
    khz: tuple[int, int]
    faults: tuple[int, int]
    started_raw_ns: int
    cooled_ns: int
    sample_ns: tuple[int, ...]
    millidegrees: tuple[int, ...]
    operators: tuple[tuple[str, str, tuple[int, ...]], ...] = field(repr=False)


def read_records(stream: bytes) -> list[Record]:
    """Return the records of a stream, which must be whole."""
    found, offset = [], 0
    while offset < len(stream):
        size, crc, sequence, kind, zero = struct.unpack_from("<IIIHH", stream, offset)
        rest = stream[offset + 8 : offset + 16 + size]
        if zlib.crc32(rest) != crc or zero or len(rest) != size + 8:
            raise ValueError(f"record {len(found)} is damaged")
        found.append(Record(sequence, kind, rest[8:]))
        offset += 16 + size
    return found


def read_block(record: Record) -> Block:
    """Return a block's record, all of whose bytes must be understood."""
    head = struct.Struct("<IIIIIiIIIIQQQII")
    position, round_, entry, warmup, runs, core, *rest = head.unpack_from(record.payload)
    before, after, minor, major, raw_ns, _unix_ns, cooled_ns, zones, operators = rest
    offset = head.size
    samples = struct.unpack_from(f"<{runs}Q", record.payload, offset)
    offset += 8 * runs
    degrees = struct.unpack_from(f"<{zones}i", record.payload, offset)
    offset += 4 * zones
    times = []
    for _ in range(operators):
        name_bytes, kind_bytes, calls = struct.unpack_from("<HHI", record.payload, offset)
        offset += 8
        name = record.payload[offset : offset + name_bytes].decode()
        kind = record.payload[offset + name_bytes : offset + name_bytes + kind_bytes].decode()
        offset += name_bytes + kind_bytes
        times.append((name, kind, struct.unpack_from(f"<{calls}Q", record.payload, offset)))
        offset += 8 * calls
    if offset != len(record.payload):
        raise ValueError("a block's record holds more than it says")
    return Block(
        position, round_, entry, warmup, core, (before, after), (minor, major), raw_ns, cooled_ns, samples, degrees, tuple(times)
    )


@dataclass(frozen=True)
class Outcome:
    """What one call of the program did."""

    code: int
    records: list[Record]
    errors: str

    @property
    def blocks(self) -> list[Block]:
        """The blocks, in order."""
        return [read_block(record) for record in self.records if record.kind == BLOCK]

    @property
    def failures(self) -> list[str]:
        """What the errors' records say."""
        return [record.text() for record in self.records if record.kind == ERROR]

    @property
    def end(self) -> Record:
        """The last record, which must be an end."""
        if self.records[-1].kind != END:
            raise ValueError("the stream has no end")
        return self.records[-1]


def run(program: Path, job_path: Path, out: Path, *words: str, timeout_s: float = 30) -> Outcome:
    """Run the program on a job until it ends."""
    done = subprocess.run(
        [str(program), "run", str(job_path), str(out), *words], capture_output=True, timeout=timeout_s, check=False
    )
    return Outcome(done.returncode, read_records(done.stdout), done.stderr.decode(errors="replace"))
