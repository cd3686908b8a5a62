"""The parent's side of a worker: starts it, talks to it without ever waiting, and knows how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from search.engine._answers import WorkerLostError

_MODULE = "search.engine.worker"
_SOURCE = Path(__file__).parents[2]
_CHUNK_BYTES = 1 << 16
_LONGEST_LINE_BYTES = 1 << 22
"""An answer with the losses of 100,000 epochs fits."""


class WorkerProcess:
    """A running worker; `kill` must be called in the end.

    Args:
        folder: The engine's private folder.
        number: Of the worker, unlike that of any before it.

    Attributes:
        number: As given.
        answers: File descriptor that its answers come from.
        questions: File descriptor that requests go to.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self._said = folder / f"worker-{number}.txt"
        # A folder called "search" where we are started must not be taken for ours: -P.
        command = [sys.executable, "-P", "-m", _MODULE, str(folder)]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                bufsize=0,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        self._in, self._out = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self.questions, self.answers = self._in.fileno(), self._out.fileno()
        os.set_blocking(self.questions, False)
        os.set_blocking(self.answers, False)
        self._unsent, self._received = bytearray(), bytearray()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process is no more."""
        return self._process.poll() is not None

    @property
    def sending(self) -> bool:
        """Whether part of a request is still to be sent."""
        return bool(self._unsent)

    def ask(self, line: bytes) -> None:
        """Send a request, or as much of it as the pipe takes now; `send` sends the rest."""
        self._unsent += line
        self.send()

    def send(self) -> None:
        """Send what is left of a request and fits into the pipe."""
        # A worker that is gone is noticed where its answers end.
        with suppress(BlockingIOError, BrokenPipeError):
            while self._unsent:
                del self._unsent[: os.write(self.questions, self._unsent[:_CHUNK_BYTES])]

    def heard(self) -> list[bytes]:
        """Return the whole lines that came since the last call.

        Raises:
            WorkerLostError: There will be no more, or there is no end of a line.
        """
        while True:
            try:
                chunk = os.read(self.answers, _CHUNK_BYTES)
            except BlockingIOError:
                break
            if not chunk:
                raise WorkerLostError(self._end())
            self._received += chunk
            if len(self._received) > _LONGEST_LINE_BYTES:
                raise WorkerLostError("sent a line without end")
        *lines, rest = bytes(self._received).split(b"\n")
        self._received = bytearray(rest)
        return lines

    def kill(self) -> None:
        """End it, whatever it does, and reap it; may be called again."""
        self._process.kill()
        self._process.wait()
        self._in.close()
        self._out.close()

    def _end(self) -> str:
        """Reap a worker that closed its answers, and say how it ended."""
        deadline_s = time.monotonic() + 1
        while self._process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.01)
        code = self._process.poll()
        if code is None:
            return "stopped answering"
        if code == -signal.SIGKILL:
            return "was killed (SIGKILL), most likely by the system for lack of memory"
        how = f"ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with exit code {code}"
        lines = self._said.read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how}: {last[:200]}" if last else how


def _environment() -> dict[str, str]:
    """Return our environment, in which the worker finds the source that runs here, and computes with one thread."""
    path = os.pathsep.join([str(_SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
