"""The host backend, under each of its runtimes, keeps the promises of a backend and those of its own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from profiler.backends import Backend, BlockRequest, HostBackend
from profiler.devices import Device, HostDevice
from profiler.errors import WorkloadFailedError
from profiler.formats import build_torch
from profiler.workload import Workload
from tests.conformance.backend_suite import PROFILED_RUNS, BackendConformance
from tests.conformance.networks import inverted_residuals, tiny

FAULT_DELAY_S = 0.3
"""Long enough for a warm worker to be inside the long block, short against its length."""


class HostConformance(BackendConformance):
    """What holds for every runtime of the host."""

    backend_name = "host"
    runs_in_means = PROFILED_RUNS // 2  # the calm half

    def with_timeout(self, device: Device, timeout_s: float) -> Device:
        return device.model_copy(update={"timeout_s": timeout_s})

    @contextmanager
    def crashing(self, backend: Backend) -> Iterator[None]:
        with _signalled(backend, signal.SIGSEGV):
            yield

    @contextmanager
    def hanging(self, backend: Backend) -> Iterator[None]:
        with _signalled(backend, signal.SIGSTOP):
            yield

    def test_outputs_equal_torch(self, backend: HostBackend) -> None:
        network = inverted_residuals()
        image = np.random.default_rng(1).standard_normal((1, 96, 96, 3), dtype=np.float32)
        with torch.no_grad():
            (expected,) = build_torch(network)(torch.from_numpy(image))
        outputs = backend.compute(Workload(network), {"image": image})
        assert set(outputs) == {"logits"}
        np.testing.assert_allclose(outputs["logits"], expected.numpy(), rtol=1e-4, atol=1e-4)

    def test_outputs_follow_the_weights(self, backend: HostBackend) -> None:
        image = np.ones((1, 8, 8, 3), np.float32)
        one, other = (
            backend.compute(Workload(tiny().with_random_weights(np.random.default_rng(seed))), {"x": image})["y"]
            for seed in (0, 1)
        )
        assert not np.allclose(one, other)

    def test_wrong_inputs_are_named(self, backend: HostBackend) -> None:
        with pytest.raises(WorkloadFailedError, match=r"takes .*\(1, 8, 8, 3\).* given .*\(1, 4, 4, 3\)"):
            backend.compute(Workload(tiny()), {"x": np.ones((1, 4, 4, 3), np.float32)})

    @pytest.mark.parametrize("content", [b"", b"\0" * 64, b"not a model" * 99], ids=["empty", "zeros", "text"])
    def test_what_is_no_model_is_said_so(self, backend: HostBackend, content: bytes) -> None:
        with pytest.raises(WorkloadFailedError) as caught:
            backend.compute_model(content, {})
        assert caught.value.reason == "INVALID_MODEL"
        assert "\n" not in str(caught.value)
        assert next(iter(backend.run_blocks([BlockRequest(Workload(tiny()), 0, 1)]))).failure is None


@contextmanager
def _signalled(backend: Backend, number: int) -> Iterator[None]:
    """Send the worker a signal in a moment."""
    assert isinstance(backend, HostBackend)
    timer = threading.Timer(FAULT_DELAY_S, lambda: os.kill(backend.worker_pid, number))
    timer.start()
    try:
        yield
    finally:
        timer.join()


class TestLitert(HostConformance):
    runtime_name = "litert"

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return HostDevice(name="conformance-litert", runtime="litert")

    def test_int8_runs(self, backend: HostBackend) -> None:
        (result,) = backend.run_blocks([BlockRequest(Workload(inverted_residuals(), "int8"), 1, 3)])
        assert result.failure is None


class TestLitertBuiltin(HostConformance):
    runtime_name = "litert"

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return HostDevice(name="conformance-builtin", runtime="litert", delegate="builtin")


class TestOnnxRuntime(HostConformance):
    runtime_name = "onnxruntime"

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return HostDevice(name="conformance-onnxruntime", runtime="onnxruntime")

    def test_int8_is_refused(self, backend: HostBackend) -> None:
        (result,) = backend.run_blocks([BlockRequest(Workload(tiny(), "int8"), 1, 3)])
        assert result.failure and result.failure.reason == "UNSUPPORTED"
        assert "litert" in result.failure.detail


@pytest.mark.tflite_runtime
class TestTfliteRuntime(HostConformance):
    runtime_name = "tflite-runtime"
    times_operators = False

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls, tflite_runtime_python: Path) -> Device:
        return HostDevice(name="conformance-tflite", runtime="tflite-runtime", python=str(tflite_runtime_python))

    def test_int8_runs(self, backend: HostBackend) -> None:
        (result,) = backend.run_blocks([BlockRequest(Workload(tiny(), "int8"), 1, 3)])
        assert result.failure is None
