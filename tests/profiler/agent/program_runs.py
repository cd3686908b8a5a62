"""Runs of the real program on jobs of tiny ncnn models, and what it told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from profiler.agent import (
    AgentJob,
    AgentModel,
    BlockRecord,
    EndRecord,
    ErrorRecord,
    Frame,
    FrameReader,
    Hello,
    PlannedBlock,
    RandomWeights,
    Record,
    encode_frame,
    read_record,
)

FLOATS_AS_THEY_ARE = b"\0\0\0\0"
"""What stands before ncnn's weights of plain float32 values."""
LONG_RUN = 1024
"""Channels of a 3x3 convolution on 128x128 that takes seconds."""


def convolution(channels: int = 8, size: int = 16) -> AgentModel:
    """Return a 3x3 convolution and a ReLU whose weights are made by the program."""
    values = channels * channels * 9
    text = (
        "7767517\n3 3\n"
        f"Input in 0 1 a 0={size} 1={size} 2={channels}\n"
        f"Convolution conv 1 1 a b 0={channels} 1=3 4=1 5=1 6={values}\n"
        "ReLU relu 1 1 b c\n"
    )
    return AgentModel((FLOATS_AS_THEY_ARE, RandomWeights(values, 0.1), RandomWeights(channels, 0.1)), text)


def relu(shape: str = "0=4 1=4 2=4") -> AgentModel:
    """Return a ReLU on an input of a shape, in ncnn's words."""
    return AgentModel((), f"7767517\n2 2\nInput in 0 1 a {shape}\nReLU relu 1 1 a b\n")


def job_of(models: list[AgentModel], blocks: list[PlannedBlock] | None = None, **settings: object) -> AgentJob:
    """Return a job; without blocks, each model runs a few times."""
    planned = blocks or [PlannedBlock(index, 1, 3) for index in range(len(models))]
    given: dict[str, object] = {"engine": "ncnn", "accelerator": "fp32", "warmup_most_s": 0.02, **settings}
    return AgentJob(models=models, blocks=planned, **given)  # type: ignore[arg-type]


def frames_of(stream: bytes, first: int = 0) -> list[Frame]:
    """Return all frames of a stream, which must be whole and in order."""
    reader = FrameReader(first)
    found = list(reader.frames(stream))
    reader.finish()
    return found


def edited(job: bytes, edit: Callable[[list[Frame]], list[Frame]]) -> bytes:
    """Return a job whose frames were edited and have right checksums again."""
    return b"".join(encode_frame(frame) for frame in edit(frames_of(job)))


@dataclass(frozen=True)
class Outcome:
    """What one call of the program did.

    Attributes:
        code: Its exit code.
        records: What it told.
        sequences: Their numbers.
        said: What it said for people.
    """

    code: int
    records: list[Record]
    sequences: list[int]
    said: str

    @property
    def blocks(self) -> list[BlockRecord]:
        """The blocks that ran."""
        return [record for record in self.records if isinstance(record, BlockRecord)]

    @property
    def errors(self) -> list[ErrorRecord]:
        """What failed."""
        return [record for record in self.records if isinstance(record, ErrorRecord)]

    @property
    def reasons(self) -> list[str]:
        """Why."""
        return [error.reason for error in self.errors]

    @property
    def hello(self) -> Hello:
        """The first record."""
        assert isinstance(self.records[0], Hello)
        return self.records[0]

    @property
    def end(self) -> EndRecord:
        """The last record."""
        assert isinstance(self.records[-1], EndRecord)
        return self.records[-1]


class Program:
    """The program with a job and a file of records in a folder.

    Args:
        path: The program.
        folder: Where the job and the records are.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.job, self.out = path, folder / "job", folder / "out"

    def put(self, job: AgentJob | bytes) -> None:
        """Write the job file."""
        self.job.write_bytes(job if isinstance(job, bytes) else job.to_bytes())

    def words(self, *options: str) -> list[str]:
        """Return the words that start it on the job."""
        return [str(self.path), "run", str(self.job), str(self.out), *options]

    def run(self, *options: str, first: int = 0, limit: Callable[[], None] | None = None) -> Outcome:
        """Run the program until it ends.

        Args:
            options: Its options.
            first: The sequence that its stream must begin with.
            limit: Called in the new process before the program.
        """
        done = subprocess.run(self.words(*options), capture_output=True, timeout=60, check=False, preexec_fn=limit)
        frames = frames_of(done.stdout, first)
        records = [read_record(frame) for frame in frames]
        said = done.stderr.decode(errors="replace")
        return Outcome(done.returncode, records, [frame.sequence for frame in frames], said)

    def stored(self) -> list[Record]:
        """Return the records in the file, which must be whole."""
        return [read_record(frame) for frame in frames_of(self.out.read_bytes())]
