"""The virtual `benchmark_model`: it reads the pushed .tflite, takes its times from the law, writes as the real one.

Source: tflite/tools/benchmark of LiteRT 2.1; its log goes to standard error, as the real one's does on Android.
"""

from __future__ import annotations

import contextlib

import numpy as np

from profiler.errors import ModelFileError, NetworkError
from profiler.phone.commands import Answer, Call
from profiler.phone.files import SHELL_USER
from profiler.phone.programs._benchmark_flags import FLAGS, THREADS_AGAIN
from profiler.phone.programs._delegates import (
    accelerators_of,
    announce_creation,
    announce_extent,
    choose,
    preparation_s,
)
from profiler.phone.programs._failure import ProgramFailedError
from profiler.phone.programs._flags import Flag, ParsedFlags, parse_flags, shown, usage
from profiler.phone.programs._log import Log
from profiler.phone.programs._mishaps import Calm, Mishaps
from profiler.phone.programs._op_profile import OpProfile
from profiler.phone.programs._plan import Plan, PlanShelf
from profiler.phone.programs._protobuf import bytes_field
from profiler.phone.programs._results import BenchmarkResults
from profiler.phone.programs._runs import Runs, Stage, seed_of
from profiler.phone.programs._statistics import StatWithPercentiles
from profiler.phone.programs._tflite_model import read_model
from profiler.phone.soc import Delegate, Placement

_START_S = 0.03
"""Starting a process and linking its libraries."""
_LOAD_BYTES_PER_S = 1.5e9
_LONGEST_S = 1e9
_BASE_KB = 2048
"""What the interpreter takes besides tensors."""
_MODES = ("stdout", "csv", "proto")
_TITLES = (
    "Profiling Info for Benchmark Initialization:",
    "Operator-wise Profiling Info for Regular Benchmark Runs:",
)
_HEADROOM = 512
"""What the profiler's buffer gets more than there are nodes, where it was set to fewer."""


class BenchmarkModel:
    """The program, with the plans of the models that it was given last."""

    def __init__(self) -> None:
        self._plans = PlanShelf()

    async def run(self, call: Call) -> Answer:
        """Run it as a command."""
        log = Log(call.pipes.stderr)
        await call.phone.clock.spend(_START_S)
        await log.info("STARTING!")
        try:
            flags = await _flags(call, log)
            await _Benchmark(call, flags, log, self._plans).run()
        except ProgramFailedError:
            await log.error("Benchmarking failed.")
            return Answer(code=1)
        return Answer()


class _Benchmark:
    """One run of the program."""

    def __init__(self, call: Call, flags: ParsedFlags, log: Log, plans: PlanShelf) -> None:
        self._call, self._flags, self._log, self._plans = call, flags, log, plans
        self._phone = call.phone

    async def run(self) -> None:
        """Load the model, warm up, run, and write what was found.

        Raises:
            ProgramFailedError: The benchmark cannot go on; the log says why.
        """
        choice = choose(self._flags, self._phone.description)
        content = await self._load()
        plan = await self._plan(content, choice.delegate)
        await self._log.info(f"Loaded model {self._flags.text('graph')}")
        await announce_creation(choice, self._flags, self._phone.description, self._log)
        await announce_extent(choice, plan, self._flags, self._log)
        seed = seed_of(self._phone.seed, (self._call.name, *self._call.arguments), content)
        placement = Placement(self._cores(), max(1, self._flags.count("num_threads")), plan.delegate)
        runs = Runs(self._phone.description, plan, placement, seed, lambda: self._phone.dynamics.cap_share)
        init_us, of_init = await self._initialise(runs, plan, len(content))
        profile = self._profile(plan)
        warmup = await self._stage(runs, "warmup_runs", "warmup_min_secs", Calm())
        regular = await self._stage(runs, "num_runs", "min_secs", Mishaps(self._call), profile)
        init_kb = _BASE_KB + (plan.weight_bytes + plan.arena_bytes) // 1024
        results = BenchmarkResults(
            file_bytes=len(content),
            input_bytes=plan.input_bytes,
            init_us=init_us,
            warmup=warmup,
            runs=regular,
            init_kb=init_kb,
            overall_kb=init_kb + plan.arena_bytes // 2048,
            watched=self._flags.on("report_peak_memory_footprint"),
        )
        if profile is not None and profile.events < len(plan.rows):
            await self._log.info("Warning: Dropping ProfileBuffer event.")
        for line in results.lines():
            await self._log.info(line)
        if profile is not None:
            await self._write_profile((of_init, profile))
        await self._write_result(results)

    def _cores(self) -> tuple[int, ...]:
        return self._call.process.affinity or tuple(self._phone.description.cores)

    async def _load(self) -> bytes:
        """Return the model file."""
        graph = self._flags.text("graph")
        try:
            content = bytes(self._call.files.read(self._call.path(graph), SHELL_USER))
        except OSError:
            await self._log.error(f"Could not open '{graph}'.")
            await self._log.error("The model allocation is null/empty")
            raise await self._load_failed() from None
        await self._phone.clock.spend(len(content) / _LOAD_BYTES_PER_S)
        if not content:
            await self._log.error("Mmap of '3' at offset '0' failed with error '22'.")
            await self._log.error("The model allocation is null/empty")
            raise await self._load_failed()
        return content

    async def _load_failed(self) -> ProgramFailedError:
        await self._log.error(f"Failed to load model {self._flags.text('graph')}")
        return ProgramFailedError()

    async def _plan(self, content: bytes, delegate: Delegate) -> Plan:
        try:
            return self._plans.plan(content, delegate, read_model)
        except ModelFileError as err:
            await self._log.error("The model is not a valid Flatbuffer buffer")
            raise await self._load_failed() from err
        except NetworkError as err:
            # An operator whose cost the law does not know is one that this phone's runtime does not have.
            await self._log.info(f"Loaded model {self._flags.text('graph')}")
            await self._log.error(f"Encountered unresolved custom op: {err.operator}.")
            await self._log.error("Failed to allocate tensors!")
            raise ProgramFailedError from err

    async def _initialise(self, runs: Runs, plan: Plan, file_bytes: int) -> tuple[int, OpProfile]:
        """Prepare the model; return what that took with its loading, in us, and its profile."""
        pace = max(0.05, min(1.0, min(runs.load()[1].values())))
        prepare_s = preparation_s(plan, pace)
        allocate_s = prepare_s / 50
        power_w, shares = runs.load()
        with self._phone.dynamics.loaded(power_w, shares):
            await self._phone.clock.spend(prepare_s + allocate_s)
        runs.pass_time(_START_S + prepare_s + allocate_s)
        init_us = int(1e6 * (file_bytes / _LOAD_BYTES_PER_S + prepare_s + allocate_s))
        await self._log.info(f"The input model file size (MB): {file_bytes / 1e6:g}")
        await self._log.info(f"Initialized session in {init_us / 1e3:g}ms.")
        return init_us, _init_profile(plan, int(1e6 * prepare_s), int(1e6 * allocate_s))

    def _profile(self, plan: Plan) -> OpProfile | None:
        """Return the profile to be filled, with as many rows as the profiler's buffer has room for."""
        if not self._flags.on("enable_op_profiling"):
            return None
        entries = self._flags.count("max_profiling_buffer_entries")
        if plan.nodes > entries:
            entries = plan.nodes + _HEADROOM
        if self._flags.on("allow_dynamic_profiling_buffer_increase"):
            entries = max(entries, len(plan.rows) + 1)
        # The span around the run takes the first entry.
        return OpProfile(plan.rows[: max(0, entries - 1)])

    async def _stage(
        self, runs: Runs, least: str, least_s: str, mishaps: Calm, profile: OpProfile | None = None
    ) -> StatWithPercentiles:
        """Make the runs of the warm-up or the benchmark."""
        flags, clock = self._flags, self._phone.clock
        wanted, min_s, max_s = flags.count(least), flags.number(least_s), flags.number("max_secs")
        if flags.on("dry_run"):
            wanted, min_s = 0, -1.0
        await self._log.info(
            f"Running benchmark for at least {wanted} iterations and at least {min_s:g} seconds but terminate if "
            f"exceeding {max_s:g} seconds."
        )
        stage = Stage(
            wanted,
            runs.own_us + int(min(min_s, _LONGEST_S) * 1e6),
            runs.own_us + int(min(max_s, _LONGEST_S) * 1e6),
            pause_s=min(max(0.0, flags.number("run_delay")), _LONGEST_S),
            profiled=profile is not None,
        )
        stat = StatWithPercentiles()
        while True:
            await mishaps.before(stat.count)
            chunk = runs.chunk(stage, stat.count, at_most=mishaps.room(stat.count))
            if chunk is None:
                break
            with self._phone.dynamics.loaded(chunk.power_w, chunk.shares):
                await clock.spend(chunk.seconds)
            stat.add(mishaps.measured(chunk.durations_us))
            if profile is not None and chunk.rows_us is not None:
                profile.add(mishaps.measured(chunk.rows_us[:, : profile.events]))
        stat.count = mishaps.counted(stat.count)
        await self._log.info(stat.line() + "\n")
        return stat

    async def _write_profile(self, parts: tuple[OpProfile, OpProfile]) -> None:
        """Write the profiles of initialisation and runs to the file, or to the log where there is none."""
        mode, path = self._flags.text("op_profiling_output_mode"), self._flags.text("op_profiling_output_file")
        if csv := self._flags.text("profiling_output_csv_file"):
            mode, path = "csv", csv
        if mode == "proto":
            data = b"".join(bytes_field(number, part.proto()) for number, part in enumerate(parts, 2))
            if not self._write(path, data):
                await self._log.info("")  # what a proto prints as is read by nobody
            return
        bodies = [part.csv() if mode == "csv" else part.text() for part in parts]
        texts = [f"{title}\n{body}\n" for title, body in zip(_TITLES, bodies, strict=True)]
        if not self._write(path, "".join(texts).encode()):
            for text in texts:
                await self._log.info(text)

    async def _write_result(self, results: BenchmarkResults) -> None:
        path = self._flags.text("result_file_path")
        if not path:
            return
        if not self._write(path, results.proto()):
            await self._log.error(f"Failed to save benchmark result to: {path}")
            return
        await self._log.info(f"Saving benchmark result to: {path}")
        await self._log.info(f"Saved benchmark result to: {path}")

    def _write(self, path: str, data: bytes) -> bool:
        """Write a file, and say whether it could be made; nobody looks at whether it could be filled."""
        files = self._call.files
        try:
            file = files.create(self._call.path(path), SHELL_USER)
        except OSError:
            return False
        with contextlib.suppress(OSError):
            files.append(file, data)
        return True


async def _flags(call: Call, log: Log) -> ParsedFlags:
    """Return what the command line says, after saying what is wrong with it and what it sets.

    Raises:
        ProgramFailedError: The benchmark cannot be run so.
    """
    flags = parse_flags(FLAGS, call.arguments)
    for problem in flags.problems:
        await log.error(problem)
    if flags.problems or flags.on("help") or flags.left_over[:1] == ("--help",):
        await log.error(usage(call.name, FLAGS))
        raise ProgramFailedError
    if flags.left_over:
        await log.warning(f"Unconsumed cmdline flags: {' '.join(flags.left_over)}")
    if not flags.text("graph"):
        await log.error("Please specify the name of your TF Lite input file with --graph")
        raise ProgramFailedError
    mode = flags.text("op_profiling_output_mode")
    if flags.on("enable_op_profiling") and mode not in _MODES:
        await log.error(f"Output mode{mode} is not supported. Supported values are: 'stdout', 'csv' and 'proto'.")
        raise ProgramFailedError
    await log.info(f"Log parameter values verbosely: [{int(flags.on('verbose'))}]")
    for flag in FLAGS:
        await _log_flag(flag, flags, call, log)
    if flags.count("num_threads") < -1:
        await log.error("num_threads should be >= 0 or just -1 to let TFLite runtime set the value.")
        await log.error("Failed to set thread number")
        raise ProgramFailedError
    return flags


async def _log_flag(flag: Flag, flags: ParsedFlags, call: Call, log: Log) -> None:
    """Log a flag's value where it is given, or all are wanted."""
    if flag.name == "help" and (flags.on("verbose") or "num_threads" in flags.positions):
        # The delegates' part of the log begins here, and they know the number of threads too.
        await log.info(f"{THREADS_AGAIN}: [{flags.count('num_threads')}]")
    given = flag.name in flags.positions or flag.always_logged or flags.on("verbose")
    if flag.label and given and flag.name != "verbose":
        await log.info(f"{flag.label}: [{shown(flags.values[flag.name])}]")
    if flag.name == "nnapi_accelerator_name" and flags.on("use_nnapi"):
        await log.info(f"NNAPI accelerators available: [{','.join(accelerators_of(call.phone.description))}]")


def _init_profile(plan: Plan, prepare_us: int, allocate_us: int) -> OpProfile:
    """Return the profile of the initialisation: one call of a delegate, and one or two of the allocation."""
    allocation = ("AllocateTensors/0", "AllocateTensors")
    if plan.delegate == "builtin":
        profile = OpProfile([allocation])
        profile.add(np.array([[prepare_us + allocate_us]]))
        return profile
    profile = OpProfile([("ModifyGraphWithDelegate/0", "ModifyGraphWithDelegate"), allocation, allocation])
    profile.add(np.array([[prepare_us, allocate_us - allocate_us // 3, allocate_us // 3]]))
    profile.set_memory({"ModifyGraphWithDelegate/0": float(plan.weight_bytes // 1024)})
    return profile
