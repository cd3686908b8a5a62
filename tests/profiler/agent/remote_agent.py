"""An agent behind ADB, as plainly as can be: for tests of the program, whatever pocketnas itself does with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from profiler.adb import Transport
from profiler.adb._process import RemoteProcess
from profiler.agent import (
    AgentBundle,
    AgentJob,
    AgentModel,
    AgentProcess,
    AgentSite,
    BlockRecord,
    FrameReader,
    JobRun,
    Outcome,
    PlannedBlock,
    ProcessEnd,
    RandomWeights,
    Record,
    read_record,
)
from profiler.agent.job import Engine
from profiler.errors import DeviceError
from profiler.formats import write_tflite
from profiler.network import Conv2d, Network, Relu, TensorSpec

LITERT_LIBRARY = "libLiteRt.so"
_BACK_S = 15.0
_NCNN_TEXT = """7767517
3 3
Input in 0 1 a 0=16 1=16 2={channels}
Convolution conv 1 1 a b 0={channels} 1=3 4=1 5=1 6={weights}
ReLU relu 1 1 b c
"""


def agent_job(engine: Engine, *, rounds: int = 3, runs: int = 8, mask: int = 0) -> AgentJob:
    """Return a job of two convolutions, the first also as reference, the second also profiled."""
    models = [_ncnn(8), _ncnn(16)] if engine == "ncnn" else [_litert(8), _litert(16)]
    blocks = [PlannedBlock(0, 1, runs), PlannedBlock(1, 1, runs), PlannedBlock(1, 1, runs, profiled=True)]
    accelerator = {"ncnn": "fp32", "litert": "xnnpack"}[engine]
    return AgentJob(
        engine,
        accelerator,
        models,
        blocks,
        mask=mask,
        rounds=rounds,
        order="shuffled",
        references=1,
        warmup_most_s=0.01,
    )


def _ncnn(channels: int) -> AgentModel:
    count = 9 * channels * channels
    weights = (bytes(4), RandomWeights(count, 0.1), RandomWeights(channels, 0.1))
    return AgentModel(weights, _NCNN_TEXT.format(channels=channels, weights=count))


def _litert(channels: int) -> AgentModel:
    operators = [Conv2d("conv", ("image",), channels, (3, 3)), Relu("act", ("conv",))]
    network = Network("small", [TensorSpec("image", (1, 16, 16, channels))], operators, ["act"])
    return AgentModel((write_tflite(network.with_random_weights(np.random.default_rng(0))),))


def require_whole(job: AgentJob, outcomes: Sequence[Outcome]) -> None:
    """Make sure that every execution of a job has its one record, with as many latencies as it has runs."""
    for execution, outcome in zip(job.executions(), outcomes, strict=True):
        assert isinstance(outcome, BlockRecord), outcome
        assert (outcome.position, outcome.round, outcome.entry) == (
            execution.position,
            execution.round,
            execution.entry,
        )
        planned = job.blocks[execution.entry]
        assert len(outcome.samples_ns) == planned.runs and min(outcome.samples_ns) > 0
        assert bool(outcome.operators) == planned.profiled
        assert all(len(operator.ns) == planned.runs for operator in outcome.operators)


class RemoteAgent(AgentSite):
    """A job in a folder of a device.

    Args:
        transport: The way there.
        folder: Where the program is, and job and records go.
        words: What starts the program there.
        options: Arguments of every start.

    Attributes:
        options: Arguments of every start, as one text.
        on_bytes: Called with what has been read in all and the next bytes, which it may change or hold up.
        starts: How often the program was started.
        ends: How its processes ended, of those that were seen to end.
    """

    def __init__(self, transport: Transport, folder: str, words: Sequence[str], options: Sequence[str] = ()) -> None:
        self.serial, self._transport, self._folder = transport.serial, transport, folder
        self._words, self.options = " ".join(words), " ".join(options)
        self.on_bytes: Callable[[int, bytes], bytes] = lambda _, data: data
        self.starts = 0
        self.ends: list[ProcessEnd] = []
        self._boot_id = self._ask_boot_id()

    @classmethod
    def installed(cls, transport: Transport, folder: str, bundle: AgentBundle, *before: str) -> RemoteAgent:
        """Push a bundle; `before` are words before those that start it."""
        for name, content in bundle.files.items():
            transport.push(content, f"{folder}/{name}", mode=0o755)
        options = ("--library", f"./{LITERT_LIBRARY}") if LITERT_LIBRARY in bundle.files else ()
        return cls(transport, folder, (*before, *(bundle.words or ("./pocketnas-agent",))), options)

    def put(self, job: bytes) -> None:
        self._transport.push(job, f"{self._folder}/job")
        self._transport.shell(f"rm -f {self._folder}/records")

    def command(self, *arguments: str) -> str:
        """Return the command line that starts it."""
        words = " ".join(arguments)
        return f"cd {self._folder}; exec {self._words} run job records {self.options} {words}"

    def start(self, *arguments: str) -> AgentProcess:
        self.starts += 1
        return _RemoteProcess(self, self._transport.stream(self.command(*arguments), timeout_s=60.0))

    def stored(self) -> bytes:
        if self._transport.shell(f"ls {self._folder}/records").exit_code:
            return b""
        return self._transport.read_file(f"{self._folder}/records")

    def come_back(self, error: DeviceError) -> bool:
        ends_s = time.monotonic() + _BACK_S
        while True:
            try:
                before, self._boot_id = self._boot_id, self._ask_boot_id()
                return before != self._boot_id
            except DeviceError:
                if time.monotonic() > ends_s:
                    raise error from None
                time.sleep(0.05)

    def run(self, job: AgentJob) -> list[Outcome]:
        """Run a job to its end."""
        return list(JobRun(self, job, block_timeout_s=30.0).outcomes())

    def run_records(self) -> list[Record]:
        """Return what the program has written down, all of which must be whole."""
        reader = FrameReader()
        records = [read_record(frame) for frame in reader.frames(self.stored())]
        reader.finish()
        return records

    def _ask_boot_id(self) -> str:
        return self._transport.shell("cat /proc/sys/kernel/random/boot_id").stdout


class _RemoteProcess(AgentProcess):
    def __init__(self, site: RemoteAgent, process: RemoteProcess) -> None:
        self._site, self._process, self._read = site, process, 0
        self._parts = self._stdout()
        self._said = b""

    def read(self, timeout_s: float) -> bytes:
        data = next(self._parts, b"")
        passed = self._site.on_bytes(self._read, data) if data else data
        self._read += len(data)
        return passed

    def end(self) -> ProcessEnd:
        code = self._process.exit_code
        killed = code is not None and code > 128 and code != 143
        end = ProcessEnd(
            None if killed else code, code - 128 if killed and code else None, self._said.decode(errors="replace")
        )
        self._site.ends.append(end)
        return end

    def close(self) -> None:
        self._process.__exit__(None, None, None)

    def _stdout(self) -> Iterator[bytes]:
        for name, data in self._process:
            if name == "stdout":
                yield data
            else:
                self._said = (self._said + data)[-1000:]
