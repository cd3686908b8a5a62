"""LiteRT's operator profiler, reached by ctypes in the C library that its Python package ships.

The package has no binding for it, and the C interface moves between versions: a wrong guess aborts the
process.  So the parent asks only for versions known to work, and always in a process of its own.
Names and layouts follow the headers in litert/c of the LiteRT sources (litert_profiler_event.h and others).
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

from .engine import Profiler
from .errors import EngineError

_CPU = 1
"""kLiteRtHwAcceleratorCpu."""
_SIGNATURE = 0
_WRITE = 1
"""kLiteRtTensorBufferLockModeWrite."""
_MAX_RANK = 8
_FLOAT32 = 1
"""kLiteRtElementTypeFloat32."""

_Handle = ctypes.c_void_p


class _Layout(ctypes.Structure):
    """LiteRtLayout; the rank and a flag share the first word's bits."""

    _fields_ = (
        ("rank_and_flag", ctypes.c_uint32),
        ("dimensions", ctypes.c_int32 * _MAX_RANK),
        ("strides", ctypes.c_uint32 * _MAX_RANK),
    )


class _TensorType(ctypes.Structure):
    """LiteRtRankedTensorType."""

    _fields_ = (("element_type", ctypes.c_int), ("layout", _Layout))


class _MemoryUsage(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in ("resident", "allocated", "in_use"))


class _Event(ctypes.Structure):
    """LiteRtProfilerEventData."""

    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory_before", _MemoryUsage),
        ("memory_after", _MemoryUsage),
        ("metadata_1", ctypes.c_uint64),
        ("metadata_2", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


class _Library:
    """The C library; each call raises when its status is not 0."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._c = ctypes.CDLL(None)
        self._c.malloc.restype, self._c.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
        self._c.free.restype, self._c.free.argtypes = None, (ctypes.c_void_p,)
        self._release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._c.free)

    def call(self, name: str, *arguments: Any) -> None:
        function = getattr(self._library, name, None)
        if function is None:
            raise EngineError("UNSUPPORTED", f"this LiteRT has no function {name}")
        status = function(*arguments)
        if status != 0:
            raise EngineError("INVALID_MODEL", f"{name} ended with status {status}")

    def new(self, name: str, *arguments: Any) -> Any:
        """Call a function whose last argument receives a handle, and return the handle."""
        handle = _Handle()
        self.call(name, *arguments, ctypes.byref(handle))
        return handle

    def count(self, name: str, *arguments: Any) -> int:
        value = ctypes.c_size_t()
        self.call(name, *arguments, ctypes.byref(value))
        return value.value

    def options(self, identifier: str, toml: str) -> Any:
        """Return opaque options; the library owns and frees their text, so it is C memory."""
        text = toml.encode() + b"\0"
        memory = self._c.malloc(len(text))
        ctypes.memmove(memory, text, len(text))
        return self.new("LiteRtCreateOpaqueOptions", identifier.encode(), ctypes.c_void_p(memory), self._release)


class _CompiledModel:
    """A model compiled for the CPU with profiling on, and buffers for its first signature."""

    def __init__(self, library: _Library, model: bytes, options: dict[str, str]) -> None:
        self._library = library
        self._environment = library.new("LiteRtCreateEnvironment", 0, None)
        self._bytes = ctypes.create_string_buffer(model, len(model))
        self._model = library.new("LiteRtCreateModelFromBuffer", self._environment, self._bytes, _size(len(model)))
        settings = library.new("LiteRtCreateOptions")
        library.call("LiteRtSetOptionsHardwareAccelerators", settings, _CPU)
        for identifier, toml in options.items():
            library.call("LiteRtAddOpaqueOptions", settings, library.options(identifier, toml))
        self._compiled = library.new("LiteRtCreateCompiledModel", self._environment, self._model, settings)
        self._signature = library.new("LiteRtGetModelSignature", self._model, _size(_SIGNATURE))
        self._inputs, self._outputs = self._buffers("Input"), self._buffers("Output")
        self._profiler = library.new("LiteRtCompiledModelGetProfiler", self._compiled)

    def _buffers(self, side: str) -> Any:
        count = self._library.count(f"LiteRtGetNumSignature{side}s", self._signature)
        buffers = (_Handle * count)()
        for index in range(count):
            tensor = self._library.new(f"LiteRtGetSignature{side}TensorByIndex", self._signature, _size(index))
            tensor_type = _TensorType()
            self._library.call("LiteRtGetRankedTensorType", tensor, ctypes.byref(tensor_type))
            needs = self._library.new(
                f"LiteRtGetCompiledModel{side}BufferRequirements", self._compiled, _size(_SIGNATURE), _size(index)
            )
            buffer = self._library.new(
                "LiteRtCreateManagedTensorBufferFromRequirements",
                self._environment,
                ctypes.byref(tensor_type),
                needs,
            )
            if side == "Input":
                self._fill(buffer, tensor_type.element_type)
            buffers[index] = buffer.value
        return buffers

    def _fill(self, buffer: Any, element_type: int) -> None:
        """Write normal data into an input of reals; other types keep what the buffer holds."""
        if element_type != _FLOAT32:
            return
        size_bytes = self._library.count("LiteRtGetTensorBufferSize", buffer)
        memory = ctypes.c_void_p()
        self._library.call("LiteRtLockTensorBuffer", buffer, ctypes.byref(memory), _WRITE)
        values = np.random.default_rng(0).standard_normal(size_bytes // 4, dtype=np.float32)
        ctypes.memmove(memory, values.ctypes.data, values.nbytes)
        self._library.call("LiteRtUnlockTensorBuffer", buffer)

    def run(self) -> None:
        self._library.call(
            "LiteRtRunCompiledModel",
            self._compiled,
            _size(_SIGNATURE),
            _size(len(self._inputs)),
            self._inputs,
            _size(len(self._outputs)),
            self._outputs,
        )

    def profiled_run(self) -> dict[str, Any]:
        """Run once; return the latency as a whole and the profiler's events, in us."""
        self._library.call("LiteRtResetProfiler", self._profiler)
        self._library.call("LiteRtStartProfiler", self._profiler)
        start_ns = time.perf_counter_ns()
        self.run()
        elapsed_ns = time.perf_counter_ns() - start_ns
        self._library.call("LiteRtStopProfiler", self._profiler)
        count = ctypes.c_int()
        self._library.call("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(count))
        events = (_Event * count.value)()
        self._library.call("LiteRtGetProfilerEvents", self._profiler, count, events)
        fields = [
            {
                "tag": (event.tag or b"").decode(errors="replace"),
                "type": event.type,
                "start_us": event.start_us,
                "elapsed_us": event.elapsed_us,
                "node": event.metadata_1,
                "source": event.source,
            }
            for event in events
        ]
        return {"elapsed_us": elapsed_ns / 1e3, "events": fields}


class LitertProfiler(Profiler):
    """The profiler of ai-edge-litert's compiled models."""

    def __init__(self, threads: int, accelerator: str) -> None:
        try:
            self._distribution = distribution("ai-edge-litert")
        except PackageNotFoundError as err:
            raise EngineError("UNSUPPORTED", "ai-edge-litert is not installed") from err
        kernels = 'kernel_mode = "builtin"\n' if accelerator == "builtin" else ""
        self._options = {
            "xnnpack": f"num_threads = {threads}\n{kernels}",
            "runtime_options_string": "enable_profiling = true\n",
        }

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return self._distribution.version

    def profile(self, model: bytes, warmup_runs: int, runs: int, scratch: str) -> bytes:
        """Return JSON: one object a run with `elapsed_us` and `events`."""
        suffix = {"darwin": "dylib"}.get(sys.platform, "so")
        path = Path(str(self._distribution.locate_file(f"ai_edge_litert/libLiteRt.{suffix}")))
        compiled = _CompiledModel(_Library(path), model, self._options)
        for _ in range(warmup_runs):
            compiled.run()
        return json.dumps([compiled.profiled_run() for _ in range(runs)]).encode()


def _size(value: int) -> ctypes.c_size_t:
    return ctypes.c_size_t(value)
