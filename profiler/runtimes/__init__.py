"""Runtimes of the host and of the agent: what each needs, and the worker process that runs the host's models."""

from profiler.runtimes._worker_process import ModelFile, Reply, WorkerProcess, WorkerSettings
from profiler.runtimes.agent_runtime import AGENT_RUNTIMES, AgentRuntime, write_agent_model
from profiler.runtimes.litert_events import read_litert_events
from profiler.runtimes.model_files import ModelFiles, WrittenModels, write_model_file
from profiler.runtimes.operator_profile import OperatorProfile, OperatorTime
from profiler.runtimes.ort_trace import read_ort_trace
from profiler.runtimes.runtime import RUNTIMES, Runtime

__all__ = [
    "AGENT_RUNTIMES",
    "RUNTIMES",
    "AgentRuntime",
    "ModelFile",
    "ModelFiles",
    "OperatorProfile",
    "OperatorTime",
    "Reply",
    "Runtime",
    "WorkerProcess",
    "WorkerSettings",
    "WrittenModels",
    "read_litert_events",
    "read_ort_trace",
    "write_agent_model",
    "write_model_file",
]
