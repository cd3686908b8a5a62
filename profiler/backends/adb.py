"""The adb backend: a phone over ADB, with models in a benchmark program that ends after each.

A block's life is told here, in order: the model goes to the phone unless it is there; one shell command looks at the
phone, runs the program and looks again; the result files are read; what was not the workload's fault is done again.
How the phone is made ready and left is profiler.backends.android's part, what the program says the tool's.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, cast, get_args

from profiler.adb import Transport, command_line, open_transport
from profiler.backends.android import (
    BLOCK_PROBES,
    BRIEF_PROBES,
    HEALTH_PROBES,
    Patience,
    PhoneFacts,
    PhoneHealth,
    PhoneSession,
    battery_check,
    phone_checks,
    read_health,
)
from profiler.backends.android._probes import ProbeScript, line
from profiler.backends.android.checks import LEAST_STORAGE_BYTES
from profiler.backends.base import Backend, BlockRequest, BlockResult, Check, DeviceFacts, Failure, FailureReason
from profiler.backends.lease import DeviceLease, Fence
from profiler.devices import AdbDevice, PhoneDevice
from profiler.errors import (
    CommandFailedError,
    ConfigError,
    DeviceError,
    DeviceOfflineError,
    DeviceRefusedError,
    DeviceStorageError,
    DeviceTimeoutError,
    RuntimeNotSupportedError,
    TransferError,
    WorkloadFailedError,
)
from profiler.runtimes import ModelFiles
from profiler.runtimes.phone_tools import PHONE_TOOLS, ToolEnd, ToolRun
from profiler.workload import Source

_MOST_LOSSES = 3
"""How often a block that lost its connection is done again."""
_MOST_COOLINGS = 2
"""How often a throttled block is cooled down for and done again.  Source: AndroidX benchmark."""
_LOOKING_S = 5.0
"""What the looks before and after the program may take at most, beyond the block's own time."""
_AUTHORIZE_S = 5.0
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_REFUSAL = re.compile(r"[Pp]ermission denied|can't execute|not executable|Operation not permitted")
_UNLINKED = re.compile(r"CANNOT LINK EXECUTABLE.{0,200}")


@dataclass(frozen=True)
class _Attempt:
    """One try of a block that came to its end.

    Attributes:
        run: What was run.
        end: How the program ended.
        before: The phone just before it.
        after: The phone just after it.
        started_unix_s: When it began.
    """

    run: ToolRun
    end: ToolEnd
    before: PhoneHealth
    after: PhoneHealth
    started_unix_s: float


class AdbBackend(Backend):
    """A phone under one benchmark program; while one is open, no other job has the phone.

    Args:
        device: Its settings.
        wait_s: How long to wait for another job that holds the phone.
        patience: How long to wait for the phone where it went away, boots or is hot.

    Raises:
        DeviceBusyError: On entry: another job holds the phone.
        RuntimeNotSupportedError: On entry: the program is none for this phone.
        ConfigError: On entry: there is no program, or cores are named that the phone does not have.
        DeviceError: On entry: the phone cannot be reached or made ready.

    Attributes:
        files_bytes: Model files kept here, so that a round does not write again what the last one wrote.
        shelf_bytes: Models that stay on the phone; a round of small kernels fits in, and no phone misses as much.
    """

    files_bytes: ClassVar[int] = 128 * 2**20
    shelf_bytes: ClassVar[int] = 256 * 2**20

    def __init__(self, device: PhoneDevice, *, wait_s: float = 0.0, patience: Patience | None = None) -> None:
        self.name = device.name
        self._device = device
        self._patience = patience or Patience()
        self._tool = PHONE_TOOLS[device.runtime]
        self.kernels_per_process = self._tool.kernels_per_process(device.accelerator)
        self._files = ModelFiles(self._tool.model_runtime, self.files_bytes)
        self._wait_s = wait_s
        self._lease = self._make_lease(wait_s)
        self._open = contextlib.ExitStack()
        self._opened: PhoneSession | None = None
        self._blocks = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            opening.enter_context(self._lease)
            program = self._read_program()
            transport = self._connect(opening)
            session = PhoneSession(
                transport,
                self._device,
                self._tool,
                program,
                folder=self._folder(),
                patience=self._patience,
                ensure_held=self._lease.ensure_held,
                shelf_bytes=self.shelf_bytes,
            )
            self._opened = opening.enter_context(session)
            opening.callback(self._close_session)
            self.source: Source = "emulated" if session.facts.emulated else "measured"
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @property
    def fence(self) -> Fence | None:
        """The lease on the phone."""
        return self._lease.fence

    @property
    def holder(self) -> str | None:
        """The other job that has it."""
        return self._lease.holder

    def facts(self) -> DeviceFacts:
        """Return what the phone said when it was opened."""
        session, device = self._session, self._device
        found = session.facts
        chip = f":{device.nnapi_accelerator}" if device.nnapi_accelerator else ""
        return DeviceFacts(
            processor=found.processor,
            cores=len(found.cores) or len(session.cores or (0,)),
            memory_bytes=found.memory_bytes or 0,
            system=found.system,
            runtime=self._tool.name,
            runtime_version=session.version,
            threads=device.threads,
            accelerator=device.accelerator + chip,
            cpus=",".join(map(str, session.cores or ())),
        )

    def phone_facts(self) -> PhoneFacts:
        """Return all that the phone said of itself when it was opened, or when it last booted."""
        return self._session.facts

    def health(self) -> PhoneHealth:
        """Ask the phone how it is.

        Raises:
            DeviceError: It cannot be reached.
        """
        return self._session.health(HEALTH_PROBES)

    def checks(self) -> tuple[Check, ...]:
        """Return what speaks against measuring now: the ids of profiler.backends.CHECK_IDS, and EMULATED."""
        session = self._session
        return phone_checks(session.facts, self.health(), cores=session.cores, now_unix_s=time.time())

    def run_blocks(self, requests: Sequence[BlockRequest]) -> Iterator[BlockResult]:
        """Run blocks one by one, each in a process of its own on the phone."""
        for request in requests:
            yield self._run_block(request)

    def _run_block(self, request: BlockRequest) -> BlockResult:
        """Run one block; whatever the workload did is its result."""
        started_unix_s = time.time()
        self._blocks += 1
        try:
            self._lease.ensure_held()
            model = self._files.file(request.workload).content
            return self._run_until_calm(request, model)
        except WorkloadFailedError as err:
            return BlockResult(request, (), _failure(err), started_unix_s)

    def _run_until_calm(self, request: BlockRequest, model: bytes) -> BlockResult:
        """Try a block until nothing but the workload itself had a part in what came out."""
        losses, coolings, cooled_s = 0, 0, 0.0
        while True:
            try:
                attempt = self._attempt(request, model)
            except (DeviceOfflineError, DeviceTimeoutError) as err:
                losses += 1
                self._come_back(err, losses)
                continue
            self._require_same_boot(attempt)
            if not (attempt.before.throttles or attempt.after.throttles):
                return self._result(request, attempt, cooled_s)
            coolings += 1
            if coolings > _MOST_COOLINGS:
                status = attempt.after.thermal_status
                detail = f"throttled by heat ({status}) in {coolings} tries, with {cooled_s:g} s of cooling between"
                raise WorkloadFailedError("THROTTLED", detail)
            cooled_s += self._cool_down()

    def _attempt(self, request: BlockRequest, model: bytes) -> _Attempt:
        """Send the model, run the program between two looks at the phone, and fetch what it wrote."""
        run = self._tool_run(request, self._send(model))
        binding, words = self._session.binding(), self._tool.words(run)
        script = ProbeScript(
            {
                "clean": f"rm -f {self._session.folder.path}/run-*",
                **_prefixed("before_", BRIEF_PROBES),
                "log": f"{command_line(*binding, *words)} 2>&1; code=$?; {self._tool.after(run) or 'true'}",
                "code": "echo $code",
                **_prefixed("after_", BLOCK_PROBES),
            }
        )
        started_unix_s = time.time()
        found = script.sections(self._run_script(script.text))
        code = line(found.get("code"))
        if not code.isdigit():
            raise WorkloadFailedError("INVALID_OUTPUT", "the output of the phone's shell is cut")
        log = found.get("log", b"").decode(errors="replace")
        self._require_allowed(int(code), log)
        files = self._fetch(self._tool.result_files(run)) if int(code) == 0 else {}
        end = ToolEnd(int(code), log, files)
        return _Attempt(run, end, _health(found, "before_"), _health(found, "after_"), started_unix_s)

    def _send(self, model: bytes) -> str:
        """Have the model on the phone.

        Raises:
            WorkloadFailedError: It is too large for what is free.
            DeviceStorageError: Next to nothing is free, which is no fault of the model.
        """
        try:
            return self._session.models.put(model)
        except DeviceStorageError as err:
            if err.free_bytes is None or err.free_bytes < LEAST_STORAGE_BYTES:
                raise
            raise WorkloadFailedError("UNSUPPORTED", f"the model is too large for the phone: {err.problem}") from err

    def _tool_run(self, request: BlockRequest, model_path: str) -> ToolRun:
        device = self._device
        # Names of results follow from the occasion alone: an emulated phone draws its noise by the command line.
        occasion = request.occasion or f"block {self._blocks}"
        name = hashlib.sha256(occasion.encode()).hexdigest()[:16]
        return ToolRun(
            serial=self.name,
            program=self._session.program_path,
            model=model_path,
            results=f"{self._session.folder.path}/run-{name}",
            threads=device.threads,
            accelerator=device.accelerator,
            nnapi_accelerator=device.nnapi_accelerator,
            warmup_runs=request.warmup_runs,
            warmup_s=device.warmup_s,
            runs=request.runs,
            timeout_s=device.timeout_s,
            profiled=request.profiled,
            operators=len(request.workload.network.operators),
        )

    def _run_script(self, text: str) -> str:
        """Run a block's script; one that does not end is ended there.

        Raises:
            WorkloadFailedError: It did not end in time, or its exit status was lost.
            DeviceError: The phone went away.
        """
        transport, timeout_s = self._session.transport, self._device.timeout_s
        try:
            return transport.shell(text, timeout_s=timeout_s + min(timeout_s, _LOOKING_S), again=False).stdout
        except CommandFailedError as err:
            raise WorkloadFailedError("INVALID_OUTPUT", "the exit status of the phone's shell was lost") from err
        except DeviceTimeoutError as err:
            # It is known to be gone only when a look finds nothing: a phone that does not answer is another matter.
            self._session.end_jobs()
            raise WorkloadFailedError("TIMEOUT", f"did not end within {timeout_s:g} s and was ended") from err

    def _fetch(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Return the content of the result files that are there."""
        found = {}
        for path in paths:
            with contextlib.suppress(TransferError):
                found[path] = self._session.transport.read_file(path, timeout_s=self._patience.answer_s)
        return found

    def _require_allowed(self, code: int, log: str) -> None:
        """Refuse to go on where the phone does not run our program at all.

        Raises:
            DeviceRefusedError: It may not be executed.
            RuntimeNotSupportedError: It needs a library that the phone does not have.
            DeviceError: Somebody removed it.
        """
        if unlinked := _UNLINKED.search(log):
            raise RuntimeNotSupportedError(self.name, self._tool.name, f"the phone says: {unlinked[0]}")
        if code == _NOT_EXECUTABLE and _REFUSAL.search(log):
            said = " ".join(log.split())[-200:]
            problem = f"does not let our program run from {self._session.folder.path} (noexec or a policy): {said}"
            raise DeviceRefusedError(self.name, problem)
        if code == _NOT_FOUND:
            folder = self._session.folder.path
            raise DeviceError(self.name, f"our program is no longer in {folder}; keep others from that folder")

    def _come_back(self, error: DeviceError, losses: int) -> None:
        """Come back to a phone that went away in a block.

        Raises:
            WorkloadFailedError: It has booted in between.
            DeviceError: It does not come back, or went away too often.
        """
        if self._session.recover():
            raise WorkloadFailedError("UNEXPECTED_REBOOT", "the phone booted in the block") from error
        if losses > _MOST_LOSSES:
            problem = f"the connection broke in each of {losses} tries of a block: {error.problem}"
            raise DeviceOfflineError(self.name, problem) from error

    def _require_same_boot(self, attempt: _Attempt) -> None:
        """Refuse a block on a phone that has booted since it was made ready, and make it ready again.

        Raises:
            WorkloadFailedError: It has.
        """
        if any(self._session.has_booted_anew(look.boot_id) for look in (attempt.before, attempt.after)):
            self._session.recover()
            raise WorkloadFailedError("UNEXPECTED_REBOOT", "the phone had booted before the block")

    def _cool_down(self) -> float:
        """Wait until the phone throttles no more, and return the seconds slept.

        Raises:
            WorkloadFailedError: It does not cool down.
        """
        patience = self._patience
        for slept_s in patience.moments(patience.cooldown_s, patience.cooldown_look_every_s):
            if not self._session.health(BRIEF_PROBES).throttles:
                return slept_s
        raise WorkloadFailedError("THROTTLED", f"the phone did not cool down within {patience.cooldown_s:g} s")

    def _result(self, request: BlockRequest, attempt: _Attempt, cooled_s: float) -> BlockResult:
        """Return what a calm attempt tells.

        Raises:
            WorkloadFailedError: The screen went off in it, or what it tells cannot be relied on.
        """
        if attempt.after.awake is False or attempt.after.idle:
            self._session.settings.wake()
            raise WorkloadFailedError("INTERRUPTED", "the screen went off, or the phone dozed, in the block")
        reading = self._tool.reading(attempt.run, attempt.end)
        if not 0 < reading.latency_ms * attempt.run.runs <= 1000.0 * self._device.timeout_s:
            detail = f"{attempt.run.runs} runs of {reading.latency_ms:g} ms are not in the time that a block has"
            raise WorkloadFailedError("INVALID_OUTPUT", detail)
        return BlockResult(
            request,
            (reading.latency_ms,),
            None,
            attempt.started_unix_s,
            runs_per_sample=request.runs,
            operators=reading.operators,
            checks=tuple(_beside(attempt, cooled_s)),
        )

    @property
    def _session(self) -> PhoneSession:
        if self._opened is None:
            raise DeviceError(self.name, "not open; use the backend in a `with` block")
        return self._opened

    def _close_session(self) -> None:
        self._opened = None

    # What another kind of phone does differently.

    def _make_lease(self, wait_s: float) -> DeviceLease:
        """Return the lease; two names of one phone share it."""
        return DeviceLease(self.name, shared=f"phone {self._adb_device.serial}", wait_s=wait_s)

    def _connect(self, opening: contextlib.ExitStack) -> Transport:
        """Return the way to the phone, open until the stack is closed."""
        # Who waits for the phone also waits for somebody to accept our key on it.
        transport = open_transport(self._adb_device.serial, authorize_timeout_s=max(_AUTHORIZE_S, self._wait_s))
        return opening.enter_context(transport)

    def _read_program(self) -> bytes:
        """Return the program that runs models."""
        path = Path(self._adb_device.program)
        try:
            return path.read_bytes()
        except OSError as err:
            raise ConfigError(f"cannot be read: {err.strerror}", path=path, key=f"{self.name}.program") from err

    def _folder(self) -> str:
        """Return our folder on the phone."""
        return self._adb_device.remote_directory

    @property
    def _adb_device(self) -> AdbDevice:
        return cast(AdbDevice, self._device)


def _prefixed(prefix: str, probes: Mapping[str, str]) -> dict[str, str]:
    return {prefix + name: command for name, command in probes.items()}


def _health(answers: Mapping[str, bytes], prefix: str) -> PhoneHealth:
    return read_health({name.removeprefix(prefix): text for name, text in answers.items() if name.startswith(prefix)})


def _beside(attempt: _Attempt, cooled_s: float) -> Iterator[Check]:
    """Yield what was seen beside a block that counts all the same."""
    low = battery_check(attempt.after)
    if low:
        yield low
    if cooled_s:
        detail = f"the phone throttled; it cooled down for {cooled_s:g} s, and the block was done again"
        yield Check("THERMAL-STATUS", detail)


def _failure(error: WorkloadFailedError) -> Failure:
    known = get_args(FailureReason)
    reason = cast(FailureReason, error.reason) if error.reason in known else "INVALID_OUTPUT"
    return Failure(reason, error.detail, error.signal)
