"""A job of our agent on a phone: its files, how it is started, and what to do when the phone went away."""

from __future__ import annotations

import contextlib
import posixpath
import signal
from collections.abc import Callable, Iterator

from profiler.adb import RemoteProcess, command_line
from profiler.agent import AgentProcess, AgentSite, ProcessEnd
from profiler.backends.android.phone_agent import PhoneAgent
from profiler.backends.android.refusals import NOT_FOUND, require_allowed
from profiler.backends.android.session import PhoneSession
from profiler.errors import (
    DeviceError,
    DeviceOfflineError,
    DeviceTimeoutError,
    ProgramRemovedError,
    TransferError,
)

LOCK = "/data/local/tmp/pocketnas-agent.lock"
"""Whoever runs an agent on the phone has it, from whichever computer: the lease on the phone is this computer's."""
_MOST_REMOVALS = 1
_KEPT_BYTES = 2000
_SAID_CHARS = 200
_START_S = 60.0
_SIGNALLED = 128
_RECORDS_MOST_BYTES = 256 * 2**20


class PhoneAgentSite(AgentSite):
    """Where one job runs: our folder on a phone.

    Args:
        session: The phone, ready.
        agent: The agent, on the phone.
        name: The device, as errors name it.
        runtime: The agent's runtime.
    """

    def __init__(self, session: PhoneSession, agent: PhoneAgent, name: str, runtime: str) -> None:
        self.serial = name
        self._session, self._agent, self._runtime = session, agent, runtime
        self._job = b""
        self._job_path = ""
        self._removals = 0

    def put(self, job: bytes) -> None:
        """Send the job under the hash of its content; the one before it goes."""
        if self._job_path:
            self._session.folder.drop(self._job_path, self._records_path)
        self._job, self._removals = job, 0
        self._send()
        self._session.transport.shell(command_line("rm", "-f", "--", self._records_path), check=True)

    def start(self, *arguments: str) -> AgentProcess:
        """Start the agent in its folder."""
        run = ("run", self._job_path, self._records_path, "--lock", LOCK, *arguments)
        # Whoever clears our folder takes the job along; shells' own words for that differ from phone to phone.
        there = f"cd {command_line(self._agent.path)} && [ -f {command_line(self._job_path)} ] || exit {NOT_FOUND}"
        command = f"{there}\n{command_line(*self._session.binding(), *self._agent.words, *run)}"
        process = self._session.transport.stream(command, timeout_s=_START_S, again=False)
        return PhoneAgentProcess(process, self._require_allowed)

    def stored(self) -> bytes:
        """Fetch the records; whatever of ours still runs is ended before."""
        try:
            return self._fetch()
        except (DeviceOfflineError, DeviceTimeoutError):
            self._session.recover()
            return self._fetch()

    def come_back(self, error: DeviceError) -> bool:
        """Come back to a phone that went away, or that somebody cleared our folder on."""
        if isinstance(error, ProgramRemovedError):
            self._removals += 1
            if self._removals > _MOST_REMOVALS:
                raise error
            self._session.prepare()
            booted = False
        else:
            booted = self._session.recover()
        self._send()
        return booted

    @property
    def _records_path(self) -> str:
        return f"{self._job_path}.records"

    def _send(self) -> None:
        self._agent.put(self._session.folder)
        self._job_path = self._session.folder.put(self._job)

    def _fetch(self) -> bytes:
        self._session.end_jobs()
        with contextlib.suppress(TransferError):
            return self._session.transport.read_file(
                self._records_path, timeout_s=self._session.patience.answer_s, max_bytes=_RECORDS_MOST_BYTES
            )
        return b""

    def _require_allowed(self, code: int | None, said: str) -> None:
        require_allowed(self.serial, self._runtime, posixpath.dirname(self._agent.path), code, said)


class PhoneAgentProcess(AgentProcess):
    """A process of the agent on a phone.

    Args:
        process: The phone's shell with the agent in it.
        require_allowed: Raises DeviceError when exit code and words say that the phone does not run our program.
    """

    def __init__(self, process: RemoteProcess, require_allowed: Callable[[int | None, str], None]) -> None:
        self._process, self._require_allowed = process, require_allowed
        self._parts: Iterator[tuple[str, bytes]] = iter(process)
        self._said = b""

    def read(self, timeout_s: float) -> bytes:
        """Return the next bytes of its standard output; standard error is kept aside."""
        if timeout_s <= 0:
            raise TimeoutError
        self._process.extend(timeout_s)
        try:
            for name, data in self._parts:
                if name == "stdout" and data:
                    return data
                self._said = (self._said + data)[-_KEPT_BYTES:]
        except DeviceTimeoutError as err:
            raise TimeoutError from err
        return b""

    def end(self) -> ProcessEnd:
        """Return how it ended.

        Raises:
            DeviceError: The phone does not run it.
        """
        code = self._process.exit_code
        text = self._said.decode(errors="replace")
        self._require_allowed(code, text)
        said = " ".join(text.split())[-_SAID_CHARS:]
        number = (code or 0) - _SIGNALLED
        if number in {one.value for one in signal.Signals} and number != signal.SIGTERM:
            return ProcessEnd(None, number, said)
        return ProcessEnd(code, None, said)

    def close(self) -> None:
        """End it on the phone, as far as the phone can be reached; whoever comes back to it looks again."""
        self._process.__exit__(None, None, None)
