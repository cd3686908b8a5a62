"""The virtual `onnxruntime_perf_test`: it reads the pushed .onnx, takes its times from the law, prints as the real one.

Source: onnxruntime/test/perftest, and outputs of real ones; averages are printed in ms, percentiles in s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from profiler.errors import DynamicShapeError, ModelFileError, NetworkError
from profiler.formats import read_onnx
from profiler.network import Network
from profiler.phone.commands import Answer, Call
from profiler.phone.files import SHELL_USER
from profiler.phone.programs._delegates import preparation_s
from profiler.phone.programs._failure import ProgramFailedError
from profiler.phone.programs._mishaps import Mishaps
from profiler.phone.programs._ort_profile import OrtTrace, node_arguments
from profiler.phone.programs._plan import Plan, PlanShelf
from profiler.phone.programs._runs import Runs, Stage, seed_of
from profiler.phone.soc import Delegate, Placement

_START_S = 0.04
_LOAD_BYTES_PER_S = 1.0e9
_USAGE = (
    "perf_test [options...] model_path [result_file]\nOptions:\n"
    "\t-m [test_mode]: 'duration' or 'times'. Default:'duration'.\n"
    "\t-e [provider]: execution provider. Default:'cpu'.\n"
    "\t-r [repeated_times]: runs in 'times' mode. Default:1000.\n"
    "\t-t [seconds_to_run]: seconds in 'duration' mode. Default:600.\n"
    "\t-p [profile_file]: prefix of the profile.\n"
    "\t-x [intra_op_num_threads]: threads inside of an operator.\n"
    "\t-s: show statistics.\n\t-I: generate input data.\n\t-h: help\n"
)
_WITH_VALUE, _WITHOUT_VALUE = frozenset("mertpxycdfFouiTCSn"), frozenset("svAMPIlqzKkDZXgh")
_PROVIDERS: Mapping[str, tuple[str, Delegate]] = {
    "cpu": ("CPUExecutionProvider", "xnnpack"),
    "xnnpack": ("XnnpackExecutionProvider", "xnnpack"),
    "nnapi": ("NnapiExecutionProvider", "nnapi"),
}
"""Execution providers, their names in a profile, and by which law they run."""
_RANKS = {"Min": 0.0, "Max": 1.0, "P50": 0.5, "P90": 0.9, "P95": 0.95, "P99": 0.99, "P999": 0.999}
_FAILED = 255
_FOREVER_US = 1 << 62
_MOST = 10**9


@dataclass(frozen=True)
class _Options:
    """A command line: one-letter options, and the arguments after them."""

    values: Mapping[str, str]
    rest: tuple[str, ...]

    def whole(self, letter: str, default: int) -> int:
        text = self.values.get(letter, "")
        return min(int(text[:12]), _MOST) if text.isdigit() and text.isascii() else default


@dataclass
class _Figures:
    """What the runs took, in s."""

    first_s: float = 0.0
    runs_s: list[npt.NDArray[np.float64]] = field(default_factory=list)


class OnnxruntimePerfTest:
    """The program, with the plans of the models that it was given last."""

    def __init__(self) -> None:
        self._plans = PlanShelf()

    async def run(self, call: Call) -> Answer:
        """Run it as a command."""
        await call.phone.clock.spend(_START_S)
        options = _options(call.arguments)
        if options is None or not options.rest:
            return Answer(stderr=_USAGE, code=_FAILED)
        try:
            await _PerfTest(call, options, self._plans).run()
        except ProgramFailedError as end:
            return Answer(stderr=f"{end}\n", code=_FAILED)
        return Answer()


class _PerfTest:
    """One run of the program."""

    def __init__(self, call: Call, options: _Options, plans: PlanShelf) -> None:
        self._call, self._options, self._plans, self._phone = call, options, plans, call.phone
        self._mishaps = Mishaps(call)
        self._last_s = np.zeros(0)

    async def run(self) -> None:
        """Make a session, run once, run as often as asked, and print what was found.

        Raises:
            ProgramFailedError: It cannot go on.
        """
        provider, delegate = self._provider()
        content = self._content()
        network, plan = self._model(content, delegate)
        if "I" not in self._options.values:
            raise ProgramFailedError(f"there is no test data for model {network.name}")
        threads = max(1, self._options.whole("x", len(self._phone.description.cores) // 2))
        cores = self._call.process.affinity or tuple(self._phone.description.cores)
        seed = seed_of(self._phone.seed, (self._call.name, *self._call.arguments), content)
        placement = Placement(cores, threads, delegate)
        runs = Runs(self._phone.description, plan, placement, seed, lambda: self._phone.dynamics.cap_share)
        session_s = await self._session(runs, plan, len(content))
        trace = None
        if "p" in self._options.values:
            trace = OrtTrace(node_arguments(network, plan, provider), self._call.process.pid)
            trace.session(int(2e5 * session_s), int(8e5 * session_s))
        figures = await self._runs(runs, trace)
        await self._call.pipes.stdout(self._report(session_s, figures, threads, plan).encode())
        if trace is not None:
            self._write_trace(trace)

    def _provider(self) -> tuple[str, Delegate]:
        name = self._options.values.get("e", "cpu")
        if name not in _PROVIDERS or (name == "nnapi" and self._phone.description.soc.nnapi is None):
            shown = {"qnn": "QNN", "nnapi": "NNAPI", "xnnpack": "Xnnpack"}.get(name, name)
            raise ProgramFailedError(f"{shown} is not supported in this build")
        return _PROVIDERS[name]

    def _content(self) -> bytes:
        path = self._options.rest[0]
        try:
            return bytes(self._call.files.read(self._call.path(path), SHELL_USER))
        except OSError:
            raise ProgramFailedError(
                f"Load model from {path} failed:Load model {path} failed. File doesn't exist"
            ) from None

    def _model(self, content: bytes, delegate: Delegate) -> tuple[Network, Plan]:
        path = self._options.rest[0]
        try:
            network = _network(content)
            return network, self._plans.plan(content, delegate, lambda _: (network, False))
        except ModelFileError as err:
            raise ProgramFailedError(f"Load model from {path} failed:Protobuf parsing failed.") from err
        except NetworkError as err:
            raise ProgramFailedError(
                f"Load model from {path} failed:Fatal error: {err.operator} is not a registered op"
            ) from err

    async def _session(self, runs: Runs, plan: Plan, file_bytes: int) -> float:
        """Make the session and return what that took, in s."""
        power_w, shares = runs.load()
        session_s = file_bytes / _LOAD_BYTES_PER_S + preparation_s(plan, min(shares.values()))
        with self._phone.dynamics.loaded(power_w, shares):
            await self._phone.clock.spend(session_s)
        runs.pass_time(_START_S + session_s)
        return session_s

    async def _runs(self, runs: Runs, trace: OrtTrace | None) -> _Figures:
        figures, made = _Figures(), 0
        # One run to warm up, whose latency the tool tells apart.
        await self._some(runs, Stage(1, 0, _FOREVER_US, profiled=trace is not None), 0, 1, trace)
        figures.first_s = self._last_s[0]
        times = self._options.values.get("m", "duration") == "times"
        end_us = runs.own_us + 1_000_000 * self._options.whole("t", 600)
        least = self._options.whole("r", 1000) if times else 1
        stage = Stage(least, 0 if times else end_us, _FOREVER_US, profiled=trace is not None)
        while True:
            await self._mishaps.before(made)
            if not await self._some(runs, stage, made, self._mishaps.room(made), trace):
                return figures
            figures.runs_s.append(self._last_s)
            made += len(self._last_s)

    async def _some(self, runs: Runs, stage: Stage, run: int, at_most: int | None, trace: OrtTrace | None) -> bool:
        """Make some runs of a stage; False when it is over."""
        chunk = runs.chunk(stage, run, at_most=at_most)
        if chunk is None:
            return False
        with self._phone.dynamics.loaded(chunk.power_w, chunk.shares):
            await self._phone.clock.spend(chunk.seconds)
        self._last_s = self._mishaps.measured(chunk.durations_us) / 1e6
        if trace is not None and chunk.rows_us is not None:
            trace.runs(self._mishaps.measured(chunk.rows_us))
        return True

    def _report(self, session_s: float, figures: _Figures, threads: int, plan: Plan) -> str:
        all_s = np.concatenate(figures.runs_s)
        count = self._mishaps.counted(len(all_s))
        total_s, average_ms = float(all_s.sum()), 1e3 * float(all_s.mean())
        working_set = (24 << 20) + 2 * plan.weight_bytes + plan.arena_bytes
        usage = min(100 * threads // len(self._phone.description.cores), 100)
        lines = [
            "Disabling intra-op thread spinning between runs" if "D" in self._options.values else "",
            f"Session creation time cost: {session_s:g} s",
            f"First inference time cost: {int(1e3 * figures.first_s)} ms",
            f"Total inference time cost: {total_s:g} s",
            f"Total inference requests: {count}",
            f"Average inference time cost: {average_ms:g} ms",
            f"Total inference run time: {total_s * 1.0004:g} s",
            f"Number of inferences per second: {count / total_s:g} ",
            f"Avg CPU usage: {usage} %",
            f"Peak working set size: {working_set} bytes",
        ]
        return "".join(f"{line}\n" for line in (*lines, *self._statistics(all_s, count, usage, working_set)) if line)

    def _statistics(self, all_s: npt.NDArray[np.float64], count: int, usage: int, working_set: int) -> list[str]:
        if "s" not in self._options.values:
            return []
        ordered = np.sort(all_s)
        return [
            f"Avg CPU usage:{usage}",
            f"Peak working set size:{working_set}",
            f"Runs:{count}",
            *(
                f"{name} Latency: {ordered[min(int(share * len(ordered)), len(ordered) - 1)]:g} s"
                for name, share in _RANKS.items()
            ),
        ]

    def _write_trace(self, trace: OrtTrace) -> None:
        stamp = datetime.fromtimestamp(self._phone.clock.now_s, UTC).strftime("%Y-%m-%d_%H-%M-%S")
        path = self._call.path(f"{self._options.values['p']}_{stamp}.json")
        try:
            self._call.files.append(self._call.files.create(path, SHELL_USER), trace.json())
        except OSError as err:
            raise ProgramFailedError(f"cannot write {path}: {err.strerror}") from err


def _options(arguments: tuple[str, ...]) -> _Options | None:
    """Return what a command line says; None where the tool would print how it is used."""
    values: dict[str, str] = {}
    words = list(arguments)
    while words and words[0].startswith("-") and len(words[0]) > 1:
        letter, text = words[0].lstrip("-")[:1], words.pop(0).lstrip("-")[1:].removeprefix("=")
        if letter in _WITHOUT_VALUE and not text and letter != "h":
            values[letter] = ""
        elif letter in _WITH_VALUE and (text or words):
            values[letter] = text or words.pop(0)
        else:
            return None
    return _Options(values, tuple(words))


def _network(content: bytes) -> Network:
    """Return the network in a file; open sizes become 1, as the tool makes them."""
    shapes: dict[str, tuple[int, ...]] = {}
    while True:
        try:
            return read_onnx(content, input_shapes=shapes or None)
        except DynamicShapeError as err:
            if err.input_name in shapes:
                raise
            shapes[err.input_name] = tuple(size or 1 for size in err.shape)
