"""ONNX Runtime: sessions bound to fixed buffers, and its own profiler."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .engine import Array, Engine, Profiler, Session, Tensor, seeded_inputs
from .errors import EngineError

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
_REFUSALS = (
    "EPFail",
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "ModelLoadCanceled",
    "NotImplemented",
    "RuntimeException",
)
_ERROR_LEVEL = 3
"""ONNX Runtime's log level that leaves warnings out."""


def _tensor(value: Any) -> Tensor:
    if value.type not in _DTYPES or not all(isinstance(size, int) for size in value.shape):
        raise EngineError("UNSUPPORTED", f"tensor {value.name!r} is {value.type} of shape {value.shape}")
    return Tensor(str(value.name), tuple(value.shape), _DTYPES[value.type])


class OrtSession(Session):
    """A model with its inputs and outputs bound once, so that a run copies nothing."""

    def __init__(self, session: Any) -> None:
        self.inputs = tuple(_tensor(value) for value in session.get_inputs())
        self.outputs = tuple(_tensor(value) for value in session.get_outputs())
        self._binding = session.io_binding()
        for tensor in self.outputs:
            self._binding.bind_output(tensor.name, "cpu")
        # Not a method of ours: it would tie a ring that keeps dropped models until a collection.
        self.invoke = partial(session.run_with_iobinding, self._binding)

    def set_inputs(self, arrays: Mapping[str, Array]) -> None:
        """Bind copies of arrays as the inputs."""
        for tensor in self.inputs:
            # ONNX Runtime reads the array it is given in place, so it is given one that no one else has.
            array = np.array(arrays[tensor.name], dtype=tensor.dtype, order="C")
            self._binding.bind_cpu_input(tensor.name, array)

    def read_outputs(self) -> dict[str, Array]:
        """Return copies of the outputs."""
        values = self._binding.copy_outputs_to_cpu()
        return {tensor.name: np.array(value) for tensor, value in zip(self.outputs, values, strict=True)}


def _import_runtime(accelerator: str) -> Any:
    try:
        import onnxruntime
    except ImportError as err:
        raise EngineError("UNSUPPORTED", f"onnxruntime cannot be imported: {err}") from err
    available = onnxruntime.get_available_providers()
    if accelerator not in available:
        raise EngineError(
            "UNSUPPORTED",
            f"execution provider {accelerator!r} is not in this build; it has {', '.join(available)}",
        )
    return onnxruntime


def _refusals() -> tuple[type[Exception], ...]:
    """Return the exception types with which ONNX Runtime refuses a model; they have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return tuple(getattr(state, name) for name in _REFUSALS if hasattr(state, name))


def _open_session(runtime: Any, model: bytes, threads: int, accelerator: str, profile_prefix: str = "") -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERROR_LEVEL
    if profile_prefix:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    try:
        return runtime.InferenceSession(model, options, providers=[accelerator])
    except _refusals() as err:
        reason = "UNSUPPORTED" if type(err).__name__ == "NotImplemented" else "INVALID_MODEL"
        raise EngineError(reason, str(err)) from err


class OrtEngine(Engine):
    """The package onnxruntime."""

    def __init__(self, threads: int, accelerator: str) -> None:
        self._runtime = _import_runtime(accelerator)
        self._threads, self._accelerator = threads, accelerator

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return str(self._runtime.__version__)

    def load(self, model: bytes) -> Session:
        """Load an .onnx model."""
        return OrtSession(_open_session(self._runtime, model, self._threads, self._accelerator))


class OrtProfiler(Profiler):
    """ONNX Runtime's trace of node times."""

    def __init__(self, threads: int, accelerator: str) -> None:
        self._runtime = _import_runtime(accelerator)
        self._threads, self._accelerator = threads, accelerator

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return str(self._runtime.__version__)

    def profile(self, model: bytes, warmup_runs: int, runs: int, scratch: str) -> bytes:
        """Return the JSON trace of all runs, the warm-up included: the trace cannot be started later."""
        prefix = str(Path(scratch) / "trace")
        session = _open_session(self._runtime, model, self._threads, self._accelerator, prefix)
        bound = OrtSession(session)
        bound.set_inputs(seeded_inputs(bound.inputs, seed=0))
        for _ in range(warmup_runs + runs):
            bound.invoke()
        return Path(session.end_profiling()).read_bytes()
