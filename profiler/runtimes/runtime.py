"""What the parent knows of a runtime: the file it runs, its accelerators, how to read its profiler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from profiler.errors import NetworkError
from profiler.network import Network
from profiler.runtimes.litert_events import KNOWN_VERSIONS, read_litert_events
from profiler.runtimes.ncnn_times import read_ncnn_times
from profiler.runtimes.operator_profile import OperatorProfile
from profiler.runtimes.ort_trace import read_ort_trace
from profiler.workload import Workload

_WEIGHT_SEED = 0


class Runtime(ABC):
    """A runtime on the host.  Its other half, which loads and runs models, lives in the worker.

    Attributes:
        name: Its name in devices.yaml, in rows, and in the worker.
        accelerator_option: The key of devices.yaml that chooses what computes.
        default_accelerator: What computes when nothing is chosen.
        accelerators: What may be chosen; None when only the installed build can say.
    """

    name: ClassVar[str]
    accelerator_option: ClassVar[str]
    default_accelerator: ClassVar[str]
    accelerators: ClassVar[tuple[str, ...] | None]

    @abstractmethod
    def write_model(self, workload: Workload) -> bytes:
        """Return the workload as a model file; a network without weights gets seeded random ones.

        Raises:
            NetworkError: The runtime's file format cannot hold the workload.
        """

    @abstractmethod
    def profiler_problem(self, version: str) -> str | None:
        """Say why operators cannot be timed with this version of the runtime; None when they can."""

    @abstractmethod
    def read_profile(self, profile: bytes, *, warmup_runs: int, runs: int) -> OperatorProfile:
        """Return the operators' latencies from what the runtime's profiler wrote.

        Raises:
            MeasurementError: The profile could not be understood.
        """


class Litert(Runtime):
    """LiteRT (ai-edge-litert), the primary runtime."""

    name = "litert"
    accelerator_option = "delegate"
    default_accelerator = "xnnpack"
    accelerators = ("xnnpack", "builtin")

    def write_model(self, workload: Workload) -> bytes:
        """Return a .tflite file; int8 with nominal ranges, since only latency is asked of it."""
        from profiler.formats import Quantization, write_tflite

        network = _with_weights(workload)
        quantization = Quantization.nominal(network) if workload.dtype == "int8" else None
        return write_tflite(network, quantization=quantization)

    def profiler_problem(self, version: str) -> str | None:
        """Name the versions whose C interface was tried: with others it may abort."""
        if version in KNOWN_VERSIONS:
            return None
        known = ", ".join(KNOWN_VERSIONS)
        return f"operators cannot be timed with ai-edge-litert {version}; it works with {known}"

    def read_profile(self, profile: bytes, *, warmup_runs: int, runs: int) -> OperatorProfile:
        """Read the events that the worker collected run by run, after the warm-up."""
        return read_litert_events(profile, runs=runs)


class TfliteRuntime(Litert):
    """tflite-runtime, LiteRT's elder; it needs numpy 1 and so an interpreter of its own."""

    name = "tflite-runtime"

    def profiler_problem(self, version: str) -> str | None:
        """Its package has no profiler in any version."""
        return f"tflite-runtime {version} has no operator profiler; use the runtime litert or onnxruntime"


class OnnxRuntime(Runtime):
    """ONNX Runtime."""

    name = "onnxruntime"
    accelerator_option = "execution_provider"
    default_accelerator = "CPUExecutionProvider"
    accelerators = None

    def write_model(self, workload: Workload) -> bytes:
        """Return an .onnx file, float32 only; a kernel's tensors are channels first, as inside a network."""
        from profiler.formats import write_onnx

        if workload.dtype != "float32":
            raise NetworkError(f"{workload.dtype} models are written for litert, tflite-runtime and ncnn only")
        return write_onnx(_with_weights(workload), channels_first=workload.is_kernel)

    def profiler_problem(self, version: str) -> str | None:
        """All versions that pocketnas installs write the trace."""
        return None

    def read_profile(self, profile: bytes, *, warmup_runs: int, runs: int) -> OperatorProfile:
        """Read the trace of all runs."""
        return read_ort_trace(profile, warmup_runs=warmup_runs, runs=runs)


class Ncnn(Runtime):
    """ncnn, as its Python package has it for this machine."""

    name = "ncnn"
    accelerator_option = "precision"
    default_accelerator = "fp32"
    accelerators = ("fp32", "fp16")

    def write_model(self, workload: Workload) -> bytes:
        """Return layers and weights as one file; a kernel's tensors are channels first, as inside a network.

        int8 has nominal ranges, since only latency is asked of it; missing weights become random ones.
        """
        from profiler.formats import Quantization, write_ncnn

        network = workload.network
        quantization = Quantization.nominal(network) if workload.dtype == "int8" else None
        return write_ncnn(network, quantization=quantization, channels_first=workload.is_kernel).to_bytes()

    def profiler_problem(self, version: str) -> str | None:
        """Layers are timed from outside, in every version."""
        return None

    def read_profile(self, profile: bytes, *, warmup_runs: int, runs: int) -> OperatorProfile:
        """Read the times that the worker took layer by layer, after the warm-up."""
        return read_ncnn_times(profile, runs=runs)


RUNTIMES: dict[str, Runtime] = {
    "litert": Litert(),
    "ncnn": Ncnn(),
    "onnxruntime": OnnxRuntime(),
    "tflite-runtime": TfliteRuntime(),
}
"""Every runtime of the host by its name; profiler.runtimes.host_worker.serve has their other halves."""


def _with_weights(workload: Workload) -> Network:
    network = workload.network
    if network.weights is not None:
        return network
    return network.with_random_weights(np.random.default_rng(_WEIGHT_SEED))
