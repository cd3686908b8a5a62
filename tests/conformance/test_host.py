"""The host backend, under each of its runtimes, keeps the promises of a backend and those of its own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from profiler.backends import BlockRequest, HostBackend
from profiler.devices import Device, HostDevice
from profiler.errors import WorkloadFailedError
from profiler.formats import build_torch
from profiler.network import Network, ResizeBilinear, TensorSpec
from profiler.workload import Workload
from tests.conformance.host_suite import OnThisComputer
from tests.conformance.networks import inverted_residuals, tiny


class HostConformance(OnThisComputer):
    """What holds for every runtime of the host.

    Attributes:
        tolerance: How far outputs may be from torch's, as a share and absolutely.
    """

    tolerance: ClassVar[float] = 1e-4

    def test_outputs_equal_torch(self, backend: HostBackend) -> None:
        network = inverted_residuals()
        image = np.random.default_rng(1).standard_normal((1, 96, 96, 3), dtype=np.float32)
        with torch.no_grad():
            (expected,) = build_torch(network)(torch.from_numpy(image))
        outputs = backend.compute(Workload(network), {"image": image})
        assert set(outputs) == {"logits"}
        np.testing.assert_allclose(outputs["logits"], expected.numpy(), rtol=self.tolerance, atol=self.tolerance)

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


class TestNcnn(HostConformance):
    runtime_name = "ncnn"

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return HostDevice(name="conformance-ncnn", runtime="ncnn")

    def test_int8_runs(self, backend: HostBackend) -> None:
        (result,) = backend.run_blocks([BlockRequest(Workload(inverted_residuals(), "int8"), 1, 3)])
        assert result.failure is None

    def test_what_ncnn_cannot_do_is_refused_by_name(self, backend: HostBackend) -> None:
        resize = ResizeBilinear("larger", ("x",), (5, 7), "asymmetric")
        network = Network("resize", [TensorSpec("x", (1, 3, 3, 2))], [resize], ["larger"])
        (result,) = backend.run_blocks([BlockRequest(Workload(network), 0, 1)])
        assert result.failure and result.failure.reason == "UNSUPPORTED"
        assert "'larger'" in result.failure.detail and "asymmetric" in result.failure.detail


class TestNcnnHalf(HostConformance):
    runtime_name = "ncnn"
    tolerance = 1e-2

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return HostDevice(name="conformance-ncnn-fp16", runtime="ncnn", precision="fp16")


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
