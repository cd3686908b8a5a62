"""LiteRT and its elder, tflite-runtime: two packages with one `Interpreter`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from .engine import Array, Engine, Session, Tensor
from .errors import EngineError

_RESOLVERS = {"xnnpack": "AUTO", "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
"""Delegate to the name of the resolver that gives it: AUTO applies XNNPACK to all it can take."""


def _tensor(details: Mapping[str, Any]) -> Tensor:
    return Tensor(str(details["name"]), tuple(int(size) for size in details["shape"]), np.dtype(details["dtype"]).name)


class TfliteSession(Session):
    """A model in an `Interpreter`, its tensors allocated."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self.inputs = tuple(_tensor(details) for details in inputs)
        self.outputs = tuple(_tensor(details) for details in outputs)
        self._input_index = {str(details["name"]): details["index"] for details in inputs}
        self._output_index = {str(details["name"]): details["index"] for details in outputs}
        self.invoke = interpreter.invoke

    def set_inputs(self, arrays: Mapping[str, Array]) -> None:
        """Copy arrays into the interpreter's input tensors."""
        for name, index in self._input_index.items():
            self._interpreter.set_tensor(index, arrays[name])

    def read_outputs(self) -> dict[str, Array]:
        """Return copies of the output tensors."""
        return {name: self._interpreter.get_tensor(index) for name, index in self._output_index.items()}


class LitertEngine(Engine):
    """The package ai-edge-litert."""

    package = "ai-edge-litert"
    module = "ai_edge_litert.interpreter"
    advice = "install it there, or name another interpreter with `python:` in devices.yaml"

    def __init__(self, threads: int, accelerator: str) -> None:
        self._threads = threads
        try:
            self._version = version(self.package)
            self._check_numpy()
            self._api = importlib.import_module(self.module)
        except (ImportError, PackageNotFoundError) as err:
            raise EngineError("UNSUPPORTED", f"{self.package} cannot be imported ({err}); {self.advice}") from err
        self._resolver = getattr(self._api.OpResolverType, _RESOLVERS[accelerator])

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return self._version

    def _check_numpy(self) -> None:
        """LiteRT takes every numpy that pocketnas takes."""

    def load(self, model: bytes) -> Session:
        """Load a .tflite model and allocate its tensors."""
        try:
            interpreter = self._api.Interpreter(
                model_content=model, num_threads=self._threads, experimental_op_resolver_type=self._resolver
            )
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as err:
            reason = "UNSUPPORTED" if "unresolved custom op" in str(err).lower() else "INVALID_MODEL"
            raise EngineError(reason, str(err)) from err
        return TfliteSession(interpreter)


class TfliteRuntimeEngine(LitertEngine):
    """The package tflite-runtime, which needs numpy 1."""

    package = "tflite-runtime"
    module = "tflite_runtime.interpreter"
    advice = "it needs numpy < 2 and Python < 3.12: name such an interpreter with `python:` in devices.yaml"

    def _check_numpy(self) -> None:
        """Refuse numpy 2: the import would succeed, and the first interpreter end in a SystemError."""
        if int(np.__version__.split(".")[0]) >= 2:
            raise EngineError("UNSUPPORTED", f"found numpy {np.__version__}; {self.advice}")
