"""The worker's loop: read a request, load or find the model, run it, answer.

Models stay loaded under the hash of their bytes, so that interleaved rounds do not load them again;
the least recently used leave when the memory they take passes the bound.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import gc
import json
import os
import platform
import resource
import socket
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from . import frames
from .engine import Engine, Profiler, Session, seeded_inputs
from .errors import EngineError
from .litert_profiler import LitertProfiler
from .ncnn_engine import NcnnEngine, NcnnProfiler
from .ort import OrtEngine, OrtProfiler
from .tflite import LitertEngine, TfliteRuntimeEngine

ENGINES: dict[str, Callable[[int, str], Engine]] = {
    "litert": LitertEngine,
    "ncnn": NcnnEngine,
    "onnxruntime": OrtEngine,
    "tflite-runtime": TfliteRuntimeEngine,
}
PROFILERS: dict[str, Callable[[int, str], Profiler]] = {
    "litert": LitertProfiler,
    "ncnn": NcnnProfiler,
    "onnxruntime": OrtProfiler,
}

_INPUT_SEED = 0

Answer = tuple[frames.Header, list[bytes]]


class ModelCache:
    """Loaded models by the hash of their bytes, the most recently used last.

    Args:
        engine: Loads the models.
        limit_bytes: Most memory that models may take together, estimated; one is always kept.
    """

    def __init__(self, engine: Engine, limit_bytes: int) -> None:
        self._engine, self._limit_bytes = engine, limit_bytes
        self._sessions: OrderedDict[str, tuple[Session, int]] = OrderedDict()
        self._used_bytes = 0

    def session(self, digest: str, model: bytes | None) -> Session:
        """Return the loaded model, loading it when its bytes are given and it is not there yet."""
        if digest in self._sessions:
            self._sessions.move_to_end(digest)
            return self._sessions[digest][0]
        if model is None:
            raise EngineError(frames.MISSING, digest)
        session = self._engine.load(model)
        # Runtimes keep the weights twice (as read and packed) and inputs, outputs and scratch beside them.
        tensors_bytes = sum(tensor.nbytes for tensor in (*session.inputs, *session.outputs))
        size_bytes = 2 * len(model) + 2 * tensors_bytes
        self._sessions[digest] = (session, size_bytes)
        self._used_bytes += size_bytes
        while self._used_bytes > self._limit_bytes and len(self._sessions) > 1:
            _, (_, freed_bytes) = self._sessions.popitem(last=False)
            self._used_bytes -= freed_bytes
        return session


def timed_runs(invoke: Callable[[], object], warmup_runs: int, runs: int) -> tuple[float, array.array[int]]:
    """Run a model and return when the timed runs began (Unix time, s) and the latency of each, in ns.

    Only the call stands between the two clock readings, and the garbage collector is off.
    """
    samples_ns = array.array("q", bytes(8 * runs))
    clock_ns = time.perf_counter_ns
    gc.disable()
    try:
        for _ in range(warmup_runs):
            invoke()
        started_unix_s = time.time()
        for index in range(runs):
            start_ns = clock_ns()
            invoke()
            samples_ns[index] = clock_ns() - start_ns
    finally:
        gc.enable()
    return started_unix_s, samples_ns


class Runner:
    """Answers `run` and `compute` with an engine's sessions."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._engine = ENGINES[settings["runtime"]](settings["threads"], settings["accelerator"])
        self._cache = ModelCache(self._engine, settings["cache_bytes"])
        self.version = self._engine.version
        self.requests = {"run": self._run, "compute": self._compute}

    def _session(self, request: frames.Header, parts: list[bytes]) -> Session:
        return self._cache.session(request["digest"], parts.pop(0) if request["has_model"] else None)

    def _run(self, request: frames.Header, parts: list[bytes]) -> Answer:
        session = self._session(request, parts)
        if not session.holds_seeded_inputs:
            session.set_inputs(seeded_inputs(session.inputs, _INPUT_SEED))
            session.holds_seeded_inputs = True
        started_unix_s, samples_ns = timed_runs(session.invoke, request["warmup_runs"], request["runs"])
        return {"started_unix_s": started_unix_s}, [samples_ns.tobytes()]

    def _compute(self, request: frames.Header, parts: list[bytes]) -> Answer:
        session = self._session(request, parts)
        session.holds_seeded_inputs = False
        given = {
            spec["name"]: np.frombuffer(part, dtype=spec["dtype"]).reshape(spec["shape"])
            for spec, part in zip(request["inputs"], parts, strict=True)
        }
        wanted = {tensor.name: (tensor.shape, tensor.dtype) for tensor in session.inputs}
        found = {name: (value.shape, value.dtype.name) for name, value in given.items()}
        if wanted != found:
            raise EngineError("UNSUPPORTED", f"the model takes {wanted} and was given {found}")
        session.set_inputs(given)
        session.invoke()
        outputs = session.read_outputs()
        specs = [{"name": key, "dtype": value.dtype.name, "shape": value.shape} for key, value in outputs.items()]
        return {"outputs": specs}, [np.ascontiguousarray(value).tobytes() for value in outputs.values()]


class ProfileRunner:
    """Answers `profile` with a runtime's profiler."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._profiler = PROFILERS[settings["runtime"]](settings["threads"], settings["accelerator"])
        self.version = self._profiler.version
        self.requests = {"profile": self._profile}

    def _profile(self, request: frames.Header, parts: list[bytes]) -> Answer:
        profile = self._profiler.profile(parts[0], request["warmup_runs"], request["runs"], request["scratch"])
        return {}, [profile]


SERVICES: dict[str, Callable[[dict[str, Any]], Any]] = {"runner": Runner, "profiler": ProfileRunner}


def _die_with_parent(lifeline: int) -> None:
    """Let the kernel end this process when its parent is gone, even while a runtime hangs in native code.

    The parent holds the other end of the pipe; when it dies the pipe changes, and SIGIO, whose default
    is to end the process, is sent.  PR_SET_PDEATHSIG would fire at the end of the parent's *thread*.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _pin(cpus: list[int] | None) -> list[int] | None:
    """Bind this process, and all threads it will start, to processors; None where the system cannot."""
    if cpus is None or not hasattr(os, "sched_setaffinity"):
        return None
    os.sched_setaffinity(0, cpus)
    return sorted(os.sched_getaffinity(0))


def _receive_exactly(connection: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    view, filled = memoryview(data), 0
    while filled < count:
        received = connection.recv_into(view[filled:])
        if received == 0:
            raise EOFError("the parent closed the connection")
        filled += received
    return data


def _receive(connection: socket.socket) -> Answer:
    header_bytes, payload_bytes = frames.body_sizes(_receive_exactly(connection, frames.PREFIX_BYTES))
    text = _receive_exactly(connection, header_bytes)
    return frames.decode(text, _receive_exactly(connection, payload_bytes))


def _answer(handle: Callable[..., Answer], *arguments: Any) -> bytes:
    """Return the frame that answers a request, be it a result or a refusal.

    Any other exception ends the process; the parent then reports a crash with its traceback.
    """
    try:
        header, parts = handle(*arguments)
    except EngineError as err:
        return frames.encode({"ok": False, "reason": err.reason, "detail": err.detail})
    except MemoryError as err:
        return frames.encode({"ok": False, "reason": "OUT_OF_MEMORY", "detail": f"no memory left: {err}"})
    except (RuntimeError, ValueError) as err:
        return frames.encode({"ok": False, "reason": "INVALID_MODEL", "detail": f"{type(err).__name__}: {err}"})
    return frames.encode({"ok": True, **header}, parts)


def main(settings_text: str) -> None:
    """Serve requests until the parent closes the connection.

    Args:
        settings_text: JSON object: `connection` and `lifeline` (file descriptors), `service`, `runtime`,
            `threads`, `accelerator`, `cpus` (list or null), `cache_bytes`.
    """
    settings = json.loads(settings_text)
    _die_with_parent(settings["lifeline"])
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = socket.socket(fileno=settings["connection"])
    requests: dict[str, Callable[..., Answer]] = {}

    def start() -> Answer:
        cpus = _pin(settings["cpus"])
        service = SERVICES[settings["service"]](settings)
        requests.update(service.requests)
        facts = {"python": platform.python_version(), "numpy": np.__version__, "version": service.version}
        return {**facts, "cpus": cpus}, []

    connection.sendall(_answer(start))
    gc.collect()
    gc.freeze()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            request, parts = _receive(connection)
            connection.sendall(_answer(requests[request["request"]], request, parts))
