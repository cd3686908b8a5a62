"""The parent's side of a worker: starts it, talks to it under deadlines, and knows how it ended."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

from profiler.errors import DeviceError, DeviceTimeoutError, RuntimeNotSupportedError, WorkloadFailedError
from profiler.runtimes.host_worker import frames
from profiler.runtimes.host_worker.errors import FrameError

WORKER_FOLDER = Path(__file__).parent / "host_worker"

_START_TIMEOUT_S = 120.0
"""A cold interpreter imports numpy and a runtime from a slow disk in this time."""
_CLOSE_TIMEOUT_S = 2.0
_KILL_TIMEOUT_S = 10.0
_STDERR_BYTES = 64 * 1024
_CHUNK_BYTES = 1 << 20
_QUIET = {"ORT_DISABLE_TELEMETRY": "1"}
"""ONNX Runtime 1.31 sends usage data to its maker from a thread of its own, and writes a file for it."""
_OUT_OF_MEMORY_CODES = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""The kernel ends the process that has taken too much with SIGKILL; behind a wrapper it reads 137."""


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker runs.

    Attributes:
        device: Name of the device, for errors.
        python: Interpreter that has the runtime and numpy.
        service: "runner" times and computes, "profiler" times operators.
        runtime: Name of the runtime.
        threads: Threads the runtime may use.
        accelerator: Delegate or execution provider.
        cpus: Processors to bind to; None binds to none.
        cache_bytes: Most memory that loaded models may take.
    """

    device: str
    python: str
    service: str
    runtime: str
    threads: int
    accelerator: str
    cpus: tuple[int, ...] | None
    cache_bytes: int


@dataclass(frozen=True)
class ModelFile:
    """A model as a runtime's file format has it.

    Attributes:
        content: The file's bytes.
    """

    content: bytes

    @cached_property
    def digest(self) -> str:
        """Hash of the bytes, under which a worker keeps the loaded model."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Reply:
    """A worker's answer: its header's fields and the binary parts."""

    fields: dict[str, Any]
    parts: list[bytes]


class WorkerProcess:
    """A running worker.  Whatever ends it, it is reaped; it never outlives this process.

    Attributes:
        hello: What the worker said of itself: `version` of the runtime, `python`, `numpy`, `cpus`.

    Raises:
        RuntimeNotSupportedError: The interpreter cannot be started or has no such runtime.
        DeviceTimeoutError: The worker did not start in time.
    """

    hello: dict[str, Any]

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._stderr_tail = b""
        self._socket, self._process, lifeline = _start(settings)
        self._lifeline: int | None = lifeline
        self._stderr = cast(IO[bytes], self._process.stderr)  # it was asked for as a pipe
        os.set_blocking(self._stderr.fileno(), False)
        self._socket.setblocking(False)
        self._in_step, self._held = False, set[str]()
        try:
            self.hello = self._reply(b"", _START_TIMEOUT_S).fields
        except WorkloadFailedError as err:
            self._in_step = False
            if err.reason == "TIMEOUT":
                raise DeviceTimeoutError(settings.device, _START_TIMEOUT_S, "start of the worker") from err
            advice = f"{err.detail} (interpreter {settings.python})"
            raise RuntimeNotSupportedError(settings.device, settings.runtime, advice) from err
        finally:
            if not self._in_step:
                self.close()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether the worker runs and waits for a request: not so after its end or an interrupted call."""
        return self._in_step and self._process.poll() is None

    def call(self, header: frames.Header, parts: Sequence[bytes], timeout_s: float) -> Reply:
        """Send a request and wait for its answer.

        Raises:
            WorkloadFailedError: The worker refused it, died of it, or did not answer in time; in the
                last two cases it is gone.
            DeviceError: The worker could not be ended.
        """
        return self._reply(frames.encode(header, parts), timeout_s)

    def call_on_model(self, header: frames.Header, model: ModelFile, parts: Sequence[bytes], timeout_s: float) -> Reply:
        """Send a request about a model, and the model's bytes only when the worker does not hold them.

        Raises:
            WorkloadFailedError, DeviceError: As for call.
        """
        request = {**header, "digest": model.digest}
        if model.digest in self._held:
            try:
                return self.call({**request, "has_model": False}, parts, timeout_s)
            except WorkloadFailedError as err:
                if err.reason != frames.MISSING:
                    raise
        reply = self.call({**request, "has_model": True}, [model.content, *parts], timeout_s)
        self._held.add(model.digest)
        return reply

    def close(self) -> None:
        """End the worker and free all it held; may be called again."""
        self._socket.close()
        try:
            self._process.wait(_CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._kill()
        finally:
            self._stderr.close()
            if self._lifeline is not None:
                os.close(self._lifeline)
                self._lifeline = None

    def _kill(self) -> None:
        self._process.kill()
        try:
            self._process.wait(_KILL_TIMEOUT_S)
        except subprocess.TimeoutExpired as err:
            raise DeviceError(
                self._settings.device, f"worker process {self.pid} does not end even when killed"
            ) from err

    def _reply(self, outgoing: bytes, timeout_s: float) -> Reply:
        self._in_step = False
        try:
            header, parts = self._exchange(outgoing, time.monotonic() + timeout_s)
        except TimeoutError as err:
            pid = self.pid
            self._kill()
            raise WorkloadFailedError(
                "TIMEOUT", f"no answer within {timeout_s:g} s; worker process {pid} was killed"
            ) from err
        except (EOFError, ConnectionError, FrameError) as err:
            raise self._end(err) from err
        self._in_step = True
        if not header.pop("ok", False):
            raise WorkloadFailedError(str(header.get("reason")), _one_line(str(header.get("detail"))))
        return Reply(header, parts)

    def _exchange(self, outgoing: bytes, deadline_s: float) -> tuple[frames.Header, list[bytes]]:
        """Write a frame, read a frame, and keep draining stderr, all before the deadline."""
        unsent, incoming, wanted = memoryview(outgoing), bytearray(), frames.PREFIX_BYTES
        sizes: tuple[int, int] | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(self._stderr, selectors.EVENT_READ)
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            selector.register(self._socket, both if unsent else selectors.EVENT_READ)
            while len(incoming) < wanted:
                remaining_s = deadline_s - time.monotonic()
                if remaining_s <= 0:
                    raise TimeoutError
                for key, ready in selector.select(remaining_s):
                    if key.fileobj is self._stderr:
                        if not self._drain_stderr():
                            selector.unregister(self._stderr)
                        continue
                    if ready & selectors.EVENT_WRITE:
                        unsent = unsent[self._socket.send(unsent[:_CHUNK_BYTES]) :]
                        if not unsent:
                            selector.modify(self._socket, selectors.EVENT_READ)
                    if ready & selectors.EVENT_READ:
                        chunk = self._socket.recv(min(_CHUNK_BYTES, wanted - len(incoming)))
                        if not chunk:
                            raise EOFError("the worker closed the connection")
                        incoming += chunk
                if sizes is None and len(incoming) == wanted:
                    sizes = frames.body_sizes(incoming)
                    wanted += sum(sizes)
        body = memoryview(incoming)[frames.PREFIX_BYTES :]
        header_bytes = sizes[0] if sizes else 0
        return frames.decode(body[:header_bytes], body[header_bytes:])

    def _drain_stderr(self) -> bool:
        """Keep the end of what the worker wrote; False when it will write no more."""
        try:
            chunk = os.read(self._stderr.fileno(), _STDERR_BYTES)
        except BlockingIOError:
            return True
        self._stderr_tail = (self._stderr_tail + chunk)[-_STDERR_BYTES:]
        return bool(chunk)

    def _end(self, cause: Exception) -> WorkloadFailedError:
        """Reap a worker that broke off, and say how it ended."""
        try:
            code = self._process.wait(_CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._kill()
            return WorkloadFailedError("INVALID_OUTPUT", f"the worker's answer cannot be read: {cause}")
        while self._stderr_tail_grows():
            pass
        said = _one_line(self._stderr_tail.decode(errors="replace"))
        if code in _OUT_OF_MEMORY_CODES:
            return WorkloadFailedError(
                "OUT_OF_MEMORY", f"killed (SIGKILL), most likely by the system for lack of memory {said}".rstrip()
            )
        if "bad_alloc" in said or "MemoryError" in said:
            return WorkloadFailedError("OUT_OF_MEMORY", said)
        number = -code if code < 0 else None
        how = f"ended by {_signal_name(number)}" if number else f"ended with exit code {code}"
        return WorkloadFailedError("CRASHED", f"{how} {said}".rstrip(), signal=number)

    def _stderr_tail_grows(self) -> bool:
        before = self._stderr_tail
        return self._drain_stderr() and self._stderr_tail != before


def _start(settings: WorkerSettings) -> tuple[socket.socket, subprocess.Popen[bytes], int]:
    """Start the process; return our end of the connection, the process, and our end of the lifeline."""
    ours, theirs = socket.socketpair()
    lifeline_read, lifeline_write = os.pipe()
    text = json.dumps(
        {
            "connection": theirs.fileno(),
            "lifeline": lifeline_read,
            "service": settings.service,
            "runtime": settings.runtime,
            "threads": settings.threads,
            "accelerator": settings.accelerator,
            "cpus": settings.cpus,
            "cache_bytes": settings.cache_bytes,
        }
    )
    try:
        process = subprocess.Popen(
            [settings.python, str(WORKER_FOLDER), text],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(theirs.fileno(), lifeline_read),
            env=_environment(settings.python),
            start_new_session=True,  # Ctrl-C is ours to handle; the worker ends when we close it
        )
    except OSError as err:
        ours.close()
        os.close(lifeline_write)
        raise RuntimeNotSupportedError(
            settings.device, settings.runtime, f"cannot start the interpreter {settings.python!r}: {err.strerror}"
        ) from err
    finally:
        theirs.close()
        os.close(lifeline_read)
    return ours, process, lifeline_write


def _environment(python: str) -> dict[str, str]:
    """Return our environment; another interpreter must not look for packages where ours does."""
    dropped = () if python == sys.executable else ("PYTHONPATH", "PYTHONHOME")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return {**kept, **_QUIET}


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _one_line(text: str, limit: int = 500) -> str:
    """Return the end of a text as one line that is safe to print."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = " | ".join(lines)[-limit:]
    return "".join(char if char.isprintable() else "?" for char in shown)
