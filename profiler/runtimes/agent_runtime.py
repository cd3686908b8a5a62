"""What the parent knows of a runtime that our agent brings: on this computer and on phones it is the same program."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import ClassVar

from profiler.agent.job import AgentModel, Engine, RandomWeights
from profiler.errors import NetworkError, WorkloadFailedError
from profiler.runtimes.operator_profile import XNNPACK_CUT_US
from profiler.runtimes.runtime import RUNTIMES
from profiler.workload import Workload

_TFLITE_OPERATOR = re.compile(r"[A-Z0-9_]+")


class AgentRuntime(ABC):
    """An engine inside the agent.

    Attributes:
        name: Its name in devices.yaml and in rows.
        engine: Its name in jobs and builds of the agent.
        accelerator_option: The key of devices.yaml that chooses what computes.
        default_accelerator: What computes when nothing is chosen.
        accelerators: What may be chosen.
    """

    name: ClassVar[str]
    engine: ClassVar[Engine]
    accelerator_option: ClassVar[str]
    default_accelerator: ClassVar[str]
    accelerators: ClassVar[tuple[str, ...]]

    @abstractmethod
    def write_model(self, workload: Workload) -> AgentModel:
        """Return the workload as the agent takes it; a network without weights gets random ones.

        Raises:
            NetworkError: The engine's file format cannot hold the workload.
        """

    def cut_us(self, kind: str) -> float:
        """Return what the engine's profiler takes off an operator's latency on average, by the operator's kind."""
        return 0.0


class AgentLitert(AgentRuntime):
    """LiteRT inside the agent."""

    name = "agent-litert"
    engine = "litert"
    accelerator_option = "delegate"
    default_accelerator = "xnnpack"
    accelerators = ("xnnpack", "builtin")

    def write_model(self, workload: Workload) -> AgentModel:
        """Return the .tflite file that LiteRT on the host would get."""
        return AgentModel((RUNTIMES["litert"].write_model(workload),))

    def cut_us(self, kind: str) -> float:
        """Return XNNPACK's cut for its operators; TFLite's own have names such as CONV_2D, and are not cut."""
        return 0.0 if _TFLITE_OPERATOR.fullmatch(kind) else XNNPACK_CUT_US


class AgentNcnn(AgentRuntime):
    """ncnn inside the agent."""

    name = "agent-ncnn"
    engine = "ncnn"
    accelerator_option = "precision"
    default_accelerator = "fp32"
    accelerators = ("fp32", "fp16")

    def write_model(self, workload: Workload) -> AgentModel:
        """Return .param and .bin; weights that the network does not have are made where it runs."""
        # Here, for writers are not needed by whoever only looks at devices.
        from profiler.formats import Quantization
        from profiler.formats.ncnn_writer import Literal, write_ncnn

        network = workload.network
        quantization = Quantization.nominal(network) if workload.dtype == "int8" else None
        model = write_ncnn(network, quantization=quantization, channels_first=workload.is_kernel)
        segments = (
            part.data if isinstance(part, Literal) else RandomWeights(part.count, part.scale) for part in model.segments
        )
        return AgentModel(tuple(segments), model.param)


AGENT_RUNTIMES: dict[str, AgentRuntime] = {runtime.name: runtime for runtime in (AgentLitert(), AgentNcnn())}
"""Every runtime of the agent by its name."""


def write_agent_model(runtime: AgentRuntime, workload: Workload) -> AgentModel:
    """Return the workload as the agent takes it.

    Raises:
        WorkloadFailedError: The engine's file format cannot hold it.
    """
    try:
        return runtime.write_model(workload)
    except NetworkError as err:
        raise WorkloadFailedError("UNSUPPORTED", str(err)) from err
