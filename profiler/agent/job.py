"""Jobs: what an agent is asked to run, as the file that it reads.

A job file is frames: one of settings (lines `key value`), one a model, one with the plan, and one that ends it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from profiler.agent.frames import Frame, encode_frame
from profiler.agent.order import Execution, Order, executions
from profiler.errors import ConfigError

Engine = Literal["litert", "ncnn"]

SCHEMA = 1
JOB, MODEL, PLAN, END = 1, 2, 3, 4
_ACCELERATOR_KEYS: dict[Engine, str] = {"litert": "delegate", "ncnn": "precision"}
_LITERAL, _RANDOM = 0, 1
_COUNT = struct.Struct("<I")
_SEGMENT = struct.Struct("<II")
_SCALE = struct.Struct("<f")
_ENTRY = struct.Struct("<IIII")
_TOTALS = struct.Struct("<II")
_PROFILED = 1


@dataclass(frozen=True)
class RandomWeights:
    """float32 values that the agent makes itself, so that they need not be sent: latency does not depend on them.

    Attributes:
        count: How many.
        scale: They are uniform in [-scale, scale].
    """

    count: int
    scale: float


@dataclass(frozen=True)
class AgentModel:
    """A model as an engine loads it.

    Attributes:
        segments: Its file of weights, or its one file, in pieces: bytes as they are, or weights made on the spot.
        text: What describes it, for engines that want that apart: ncnn's .param.
    """

    segments: tuple[bytes | RandomWeights, ...]
    text: str = ""

    @property
    def sent_bytes(self) -> int:
        """What it takes in a job file, but for some bytes a piece."""
        return len(self.text) + sum(len(part) for part in self.segments if isinstance(part, bytes))

    def _payload(self) -> bytes:
        text = self.text.encode()
        return _COUNT.pack(len(text)) + text + b"".join(map(_segment, self.segments))


@dataclass(frozen=True)
class PlannedBlock:
    """Consecutive runs of one model, after its own warm-up.

    Attributes:
        model: Index of the model in its job.
        warmup_runs: Least runs before the timed ones; 0 for no warm-up at all.
        runs: Timed runs, >= 1.
        profiled: Whether the engine's own profiler times each operator in these runs.
    """

    model: int
    warmup_runs: int
    runs: int
    profiled: bool = False


@dataclass(frozen=True)
class AgentJob:
    """What an agent runs, from its start to its end.

    Attributes:
        engine: What loads and runs the models.
        accelerator: What computes: litert's delegate, or ncnn's precision.
        models: The models.
        blocks: The plan.
        threads: Threads that the engine uses.
        mask: Cores that it is bound to, one bit each; 0 for no binding.
        rounds: How often the plan runs.
        order: In which order, in each round.
        seed: Of that order.
        references: How many blocks of the plan, from the first, run beside each of the others.
        warmup_tolerance: A warm-up goes on while runs still get faster by more than this share.
        warmup_most_s: Most seconds that it goes on so.
        time_limit_s: Seconds after which the agent ends; 0 for none.
        temperature_limit_c: Above it, the agent lets the device cool down before a block; 0 for none.
        frequency_share: Below this share of a core's highest frequency it does so, too; 0 for none.
        cooldown_s: Most seconds of one cool-down.

    Raises:
        ConfigError: A block asks for what the job does not have.
    """

    engine: Engine
    accelerator: str
    models: Sequence[AgentModel]
    blocks: Sequence[PlannedBlock]
    threads: int = 1
    mask: int = 0
    rounds: int = 1
    order: Order = "given"
    seed: int = 0
    references: int = 0
    warmup_tolerance: float = 0.02
    warmup_most_s: float = 0.5
    time_limit_s: float = 0.0
    temperature_limit_c: float = 0.0
    frequency_share: float = 0.0
    cooldown_s: float = 0.0

    def __post_init__(self) -> None:
        if self.rounds < 1 or not 0 <= self.references <= len(self.blocks):
            raise ConfigError(f"{self.rounds} rounds of {len(self.blocks)} blocks with {self.references} references")
        for block in self.blocks:
            if not 0 <= block.model < len(self.models) or block.runs < 1 or block.warmup_runs < 0:
                raise ConfigError(f"{block} in a job of {len(self.models)} models")

    def executions(self) -> tuple[Execution, ...]:
        """Return what the agent runs, in order."""
        return executions(
            len(self.blocks), references=self.references, rounds=self.rounds, order=self.order, seed=self.seed
        )

    def to_bytes(self) -> bytes:
        """Return the job file."""
        payloads = ((kind, payload) for kind, payload in self._payloads())
        return b"".join(encode_frame(Frame(index, *piece)) for index, piece in enumerate(payloads))

    def _payloads(self) -> Iterator[tuple[int, bytes]]:
        yield JOB, "".join(f"{key} {value}\n" for key, value in self._settings()).encode()
        for model in self.models:
            yield MODEL, model._payload()
        yield (
            PLAN,
            b"".join(
                _ENTRY.pack(block.model, block.warmup_runs, block.runs, _PROFILED * block.profiled)
                for block in self.blocks
            ),
        )
        yield END, _TOTALS.pack(len(self.models), len(self.blocks))

    def _settings(self) -> Iterator[tuple[str, object]]:
        yield "schema", SCHEMA
        yield "engine", self.engine
        yield _ACCELERATOR_KEYS[self.engine], self.accelerator
        yield "threads", self.threads
        yield "mask", f"{self.mask:x}"
        yield "rounds", self.rounds
        yield "order", self.order
        yield "seed", self.seed
        yield "references", self.references
        for key in (
            "warmup_tolerance",
            "warmup_most_s",
            "time_limit_s",
            "temperature_limit_c",
            "frequency_share",
            "cooldown_s",
        ):
            yield key, f"{getattr(self, key):.6f}"


def _segment(segment: bytes | RandomWeights) -> bytes:
    if isinstance(segment, bytes):
        return _SEGMENT.pack(_LITERAL, len(segment)) + segment
    return _SEGMENT.pack(_RANDOM, segment.count) + _SCALE.pack(segment.scale)
