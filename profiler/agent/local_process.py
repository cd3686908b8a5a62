"""An agent that runs on this computer."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from profiler.agent.process import AgentProcess, AgentSite, ProcessEnd
from profiler.errors import DeviceError

_READ_BYTES = 1 << 20
_KEPT_BYTES = 2000
_SAID_CHARS = 200
_END_TIMEOUT_S = 5.0


class LocalAgent(AgentSite):
    """A job in a folder of this computer.

    Args:
        serial: The device, as errors name it.
        words: The program, and what comes before its arguments.
        folder: Where the job and its records go; nothing else is in it.
        options: Arguments of every start, such as where the engine's library is.

    Attributes:
        pid: Number of the process that runs now, or ran last; None before the first.
    """

    def __init__(self, serial: str, words: Sequence[str], folder: Path, *, options: Sequence[str] = ()) -> None:
        self.serial = serial
        self._words, self._options = tuple(words), tuple(options)
        self._job, self._out = folder / "job", folder / "records"
        self.pid: int | None = None

    def put(self, job: bytes) -> None:
        """Write the job; the records of an earlier one are removed."""
        self._out.unlink(missing_ok=True)
        self._job.write_bytes(job)

    def start(self, *arguments: str) -> AgentProcess:
        """Start the agent in a session of its own, so that an interrupt at a terminal is ours to pass on."""
        words = [*self._words, "run", str(self._job), str(self._out), *self._options, *arguments]
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as err:
            raise DeviceError(self.serial, f"the agent {self._words[0]!r} cannot be started: {err.strerror}") from err
        self.pid = process.pid
        return LocalAgentProcess(self.serial, process)

    def stored(self) -> bytes:
        """Read the records."""
        return self._out.read_bytes() if self._out.is_file() else b""


class LocalAgentProcess(AgentProcess):
    """A process of an agent on this computer.

    Args:
        serial: The device, as errors name it.
        process: The process, with pipes for what it says.
    """

    def __init__(self, serial: str, process: subprocess.Popen[bytes]) -> None:
        self._serial, self._process = serial, process
        self._selector = selectors.DefaultSelector()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe, selectors.EVENT_READ)
        self._said = b""

    def read(self, timeout_s: float) -> bytes:
        """Return the next bytes of its standard output; standard error is kept aside."""
        ends_s = time.monotonic() + timeout_s
        while self._selector.get_map():
            ready = self._selector.select(max(ends_s - time.monotonic(), 0.0))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                data = os.read(key.fd, _READ_BYTES)
                if not data:
                    self._selector.unregister(key.fileobj)
                elif key.fileobj is self._process.stdout:
                    return data
                else:
                    self._said = (self._said + data)[-_KEPT_BYTES:]
        return b""

    def end(self) -> ProcessEnd:
        """Return how it ended."""
        code = self._process.wait(_END_TIMEOUT_S)
        said = " ".join(self._said.decode(errors="replace").split())[-_SAID_CHARS:]
        return ProcessEnd(None, -code, said) if code < 0 else ProcessEnd(code, None, said)

    def close(self) -> None:
        """Kill it if it runs, and free what it held."""
        try:
            self._process.kill()
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired as err:
            problem = f"process {self._process.pid} of the agent does not end even when killed"
            raise DeviceError(self._serial, problem) from err
        finally:
            self._selector.close()
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
