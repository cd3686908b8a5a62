"""What the worker asks of a runtime: an engine loads models into sessions, a profiler times their operators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import EngineError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Tensor:
    """A model's input or output as its runtime describes it.

    Attributes:
        name: Name in the model file.
        shape: All sizes, fixed.
        dtype: numpy's name of the type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Size of the tensor, in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


class Session(ABC):
    """One loaded model.

    Attributes:
        inputs: The model's inputs.
        outputs: The model's outputs.
        invoke: Runs the model once.  An attribute, so that the timed loop calls the runtime itself
            and not a method of ours around it.
        holds_seeded_inputs: Whether the inputs are the seeded ones that timed runs use.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    invoke: Callable[[], object]
    holds_seeded_inputs: bool = False

    @abstractmethod
    def set_inputs(self, arrays: Mapping[str, Array]) -> None:
        """Copy arrays into the model's inputs; they stay for all runs until set again.

        Args:
            arrays: One array an input, by name, of its shape and type.
        """

    @abstractmethod
    def read_outputs(self) -> dict[str, Array]:
        """Return copies of the outputs of the latest run, by name."""


class Engine(ABC):
    """A runtime with its settings.

    Args:
        threads: Threads the runtime may use.
        accelerator: Delegate or execution provider.

    Raises:
        EngineError: The runtime, or this accelerator of it, is not to be had in this interpreter.
    """

    @abstractmethod
    def __init__(self, threads: int, accelerator: str) -> None: ...

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the runtime."""

    @abstractmethod
    def load(self, model: bytes) -> Session:
        """Load a model from its file's bytes.

        Raises:
            EngineError: The runtime refuses the model.
        """


class Profiler(ABC):
    """A runtime's own profiler, with the settings of its engine."""

    @abstractmethod
    def __init__(self, threads: int, accelerator: str) -> None: ...

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the runtime."""

    @abstractmethod
    def profile(self, model: bytes, warmup_runs: int, runs: int, scratch: str) -> bytes:
        """Run a model under the profiler and return what it wrote, which the parent understands.

        Args:
            model: The model file's bytes.
            warmup_runs: Runs that are left out.
            runs: Runs that are profiled.
            scratch: Folder for temporary files; the parent removes it.

        Raises:
            EngineError: The runtime refuses the model, or its profiler does not answer as expected.
        """


def seeded_inputs(tensors: tuple[Tensor, ...], seed: int) -> dict[str, Array]:
    """Return reproducible inputs: standard normal reals, or integers over their type's whole range.

    Zeros would let a runtime skip work and denormals would slow it; normal data does neither.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for tensor in tensors:
        kind = np.dtype(tensor.dtype)
        if np.issubdtype(kind, np.floating):
            arrays[tensor.name] = rng.standard_normal(tensor.shape, dtype=np.float32).astype(kind)
        elif np.issubdtype(kind, np.integer):
            limits = np.iinfo(kind)
            arrays[tensor.name] = rng.integers(limits.min, limits.max, tensor.shape, dtype=kind, endpoint=True)
        elif kind == np.bool_:
            arrays[tensor.name] = rng.integers(0, 2, tensor.shape).astype(np.bool_)
        else:
            raise EngineError("UNSUPPORTED", f"input {tensor.name!r} has the type {tensor.dtype}")
    return arrays
