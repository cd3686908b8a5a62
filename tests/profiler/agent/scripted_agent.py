"""An agent that exists in this process only: it writes and tells what a real one would, and fails as it is told to."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from profiler.agent.frames import Frame, FrameReader, encode_frame
from profiler.agent.process import AgentProcess, AgentSite, ProcessEnd
from profiler.errors import DeviceError, StreamDamagedError
from tests.profiler.agent import record_bytes


@dataclass
class ScriptedAgent(AgentSite):
    """Runs the positions of a job; one way to fail for each start, and none after the last of them.

    Attributes:
        positions: Executions of the job.
        runs: Timed runs of each block.
        damages: What is done to the bytes told by each start.
        crashes: Signal by position, each time that it runs.
        killed_once: Positions at which the first process that comes there is killed.
        hangs: Positions that never end.
        refuses: What is said of the job as a whole.
        losses: Errors that the first starts end with, after all that they told.
        booted: Whether the device boots when it is lost.
    """

    positions: int
    runs: int = 2
    damages: list[Callable[[bytes], bytes]] = field(default_factory=list)
    crashes: dict[int, int] = field(default_factory=dict)
    killed_once: set[int] = field(default_factory=set)
    hangs: set[int] = field(default_factory=set)
    refuses: str = ""
    losses: list[DeviceError] = field(default_factory=list)
    booted: bool = False

    def __post_init__(self) -> None:
        self.serial = "scripted"
        self.out = b""
        self.starts: list[tuple[int, int]] = []
        self.came_back = 0

    def put(self, job: bytes) -> None:
        reader = FrameReader()
        assert [frame.kind for frame in reader.frames(job)][-1] == 4
        self.out = b""

    def samples_ns(self, position: int) -> list[int]:
        return [1000 * (position + 1) + run for run in range(self.runs)]

    def start(self, *arguments: str) -> AgentProcess:
        given = dict(zip(arguments[::2], map(int, arguments[1::2]), strict=True))
        self.starts.append((given["--from"], given["--block"]))
        told = b"".join(self._tell(given["--from"], given["--block"]))
        damage = self.damages.pop(0) if self.damages else None
        loss = self.losses.pop(0) if self.losses else None
        return _ScriptedProcess(damage(told) if damage else told, self._end, loss, silent=self._silent)

    def stored(self) -> bytes:
        return self.out

    def come_back(self, error: DeviceError) -> bool:
        self.came_back += 1
        return self.booted

    def _tell(self, first: int, block: int) -> Iterator[bytes]:
        self._silent, self._end = False, ProcessEnd(0)
        if self.refuses:
            yield encode_frame(Frame(first, 18, record_bytes.error(0xFFFFFFFF, self.refuses)))
            self._end = ProcessEnd(2)
            return
        kept = _frames(self.out)
        yield from (encode_frame(frame) for frame in kept[first:])
        self._sequence = len(kept)
        yield self._append(16, record_bytes.hello(engine="ncnn", positions=self.positions))
        for position in range(block, self.positions):
            if position in self.killed_once:
                self.killed_once.remove(position)
                self._end = ProcessEnd(None, 9)
                return
            if position in self.crashes:
                self._end = ProcessEnd(None, self.crashes[position])
                return
            if position in self.hangs:
                self._silent = True
                return
            yield self._append(17, record_bytes.block(position, self.samples_ns(position)))
        yield self._append(19, record_bytes.end(self.positions))

    def _append(self, kind: int, payload: bytes) -> bytes:
        frame = encode_frame(Frame(self._sequence, kind, payload))
        self._sequence += 1
        self.out += frame
        return frame


class _ScriptedProcess(AgentProcess):
    def __init__(self, told: bytes, end: ProcessEnd, loss: DeviceError | None, *, silent: bool) -> None:
        self._told, self._end, self._loss, self._silent = told, end, loss, silent

    def read(self, timeout_s: float) -> bytes:
        part, self._told = self._told[:100], self._told[100:]
        if not part and self._loss:
            raise self._loss
        if not part and self._silent:
            raise TimeoutError
        return part

    def end(self) -> ProcessEnd:
        return self._end

    def close(self) -> None:
        self._told = b""


def _frames(data: bytes) -> list[Frame]:
    found: list[Frame] = []
    try:
        for frame in FrameReader().frames(data):
            found.append(frame)
    except StreamDamagedError:
        return found
    return found


def flipped(place: int, mask: int) -> Callable[[bytes], bytes]:
    """Return damage to the byte at a place, counted round and round."""

    def damage(told: bytes) -> bytes:
        bad = bytearray(told)
        bad[place % len(bad)] ^= mask
        return bytes(bad)

    return damage


def cut(place: int) -> Callable[[bytes], bytes]:
    """Return the loss of all bytes from a place on."""
    return lambda told: told[: place % (len(told) + 1)]


def longer(place: int) -> Callable[[bytes], bytes]:
    """Return a length in a header that grows: bytes that never come are then waited for."""

    def damage(told: bytes) -> bytes:
        (length,) = struct.unpack_from("<I", told)
        return struct.pack("<I", length + 1 + place) + told[4:]

    return damage
