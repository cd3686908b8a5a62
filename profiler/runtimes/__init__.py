"""Runtimes of the host: what each needs, and the worker process that runs their models."""

from profiler.runtimes._worker_process import ModelFile, Reply, WorkerProcess, WorkerSettings
from profiler.runtimes.litert_events import read_litert_events
from profiler.runtimes.model_files import ModelFiles, write_model_file
from profiler.runtimes.operator_profile import OperatorProfile, OperatorTime
from profiler.runtimes.ort_trace import read_ort_trace
from profiler.runtimes.runtime import RUNTIMES, Runtime

__all__ = [
    "RUNTIMES",
    "ModelFile",
    "ModelFiles",
    "OperatorProfile",
    "OperatorTime",
    "Reply",
    "Runtime",
    "WorkerProcess",
    "WorkerSettings",
    "read_litert_events",
    "read_ort_trace",
    "write_model_file",
]
