"""A block's life on a phone, from its model to what the program left behind, with all that can come in between.

The model goes to the phone unless it is there; one shell command looks at the phone, runs the program and looks again;
the result files are read; what was not the workload's fault is done again.  How the phone is made ready and left is
the session's part, what the program says the tool's.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from profiler.adb import command_line
from profiler.backends.android.checks import LEAST_STORAGE_BYTES, battery_check
from profiler.backends.android.cooling import cool_down
from profiler.backends.android.health import BLOCK_PROBES, BRIEF_PROBES, PhoneHealth, read_health
from profiler.backends.android.phone_program import PhoneProgram
from profiler.backends.android.probes import ProbeScript, line
from profiler.backends.android.refusals import require_allowed
from profiler.backends.android.session import PhoneSession
from profiler.backends.base import BlockRequest, BlockResult, Check
from profiler.devices import PhoneDevice
from profiler.errors import (
    CommandFailedError,
    DeviceError,
    DeviceOfflineError,
    DeviceStorageError,
    DeviceTimeoutError,
    ProgramRemovedError,
    TransferError,
    WorkloadFailedError,
)
from profiler.runtimes.phone_tools import PhoneTool, ToolEnd, ToolRun

_MOST_LOSSES = 3
"""How often a block that lost its connection is done again."""
_MOST_COOLINGS = 2
"""How often a throttled block is cooled down for and done again.  Source: AndroidX benchmark."""
_LOOKING_S = 5.0
"""What the looks before and after the program may take at most, beyond the block's own time."""


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


class PhoneBlock:
    """One block of runs on a phone that is ready.

    Args:
        session: The phone.
        device: How models are to be run there.
        tool: What the program is that runs them.
        program: The program, on the phone.
        request: The block.
        occasion: Names this block among all others on the phone.
    """

    def __init__(
        self,
        session: PhoneSession,
        device: PhoneDevice,
        tool: PhoneTool,
        program: PhoneProgram,
        request: BlockRequest,
        occasion: str,
    ) -> None:
        self._session, self._device, self._tool, self._program = session, device, tool, program
        self._request, self._occasion = request, occasion

    def run(self, model: bytes) -> BlockResult:
        """Try the block until nothing but the workload itself had a part in what came out.

        Args:
            model: The workload's model file.

        Raises:
            WorkloadFailedError: The workload failed, or what happened beside it spoilt the block.
            RuntimeNotSupportedError: The tool or the phone cannot do what is asked.
            DeviceError: The phone is gone, or does not run our program at all.
        """
        losses, removals, coolings, cooled_s = 0, 0, 0, 0.0
        while True:
            try:
                attempt = self._attempt(model)
            except ProgramRemovedError:
                # Somebody cleared our folder, or the phone came back without what was on it.
                removals += 1
                if removals > 1:
                    raise
                self._session.prepare()
                continue
            except (DeviceOfflineError, DeviceTimeoutError) as err:
                losses += 1
                self._come_back(err, losses)
                continue
            self._require_same_boot(attempt)
            if not (attempt.before.throttles or attempt.after.throttles):
                return self._result(attempt, cooled_s)
            coolings += 1
            if coolings > _MOST_COOLINGS:
                status = attempt.after.thermal_status
                detail = f"throttled by heat ({status}) in {coolings} tries, with {cooled_s:g} s of cooling between"
                raise WorkloadFailedError("THROTTLED", detail)
            cooled_s += cool_down(self._session)

    def _attempt(self, model: bytes) -> _Attempt:
        """Send the model, run the program between two looks at the phone, and fetch what it wrote."""
        run = self._tool_run(self._send(model))
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
        require_allowed(self._device.name, self._tool.name, self._session.folder.path, int(code), log)
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

    def _tool_run(self, model_path: str) -> ToolRun:
        device, request = self._device, self._request
        # Names of results follow from the occasion alone: an emulated phone draws its noise by the command line.
        name = hashlib.sha256(self._occasion.encode()).hexdigest()[:16]
        return ToolRun(
            serial=self._device.name,
            program=self._program.path,
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
                found[path] = self._session.transport.read_file(path, timeout_s=self._session.patience.answer_s)
        return found

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
            raise DeviceOfflineError(self._device.name, problem) from error

    def _require_same_boot(self, attempt: _Attempt) -> None:
        """Refuse a block on a phone that has booted since it was made ready, and make it ready again.

        Raises:
            WorkloadFailedError: It has.
        """
        if any(self._session.has_booted_anew(look.boot_id) for look in (attempt.before, attempt.after)):
            self._session.recover()
            raise WorkloadFailedError("UNEXPECTED_REBOOT", "the phone had booted before the block")

    def _result(self, attempt: _Attempt, cooled_s: float) -> BlockResult:
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
            self._request,
            (reading.latency_ms,),
            None,
            attempt.started_unix_s,
            runs_per_sample=self._request.runs,
            operators=reading.operators,
            checks=tuple(_beside(attempt, cooled_s)),
        )


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
