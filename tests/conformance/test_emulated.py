"""The emulated backend, under each program of a phone, keeps the promises of a backend."""

from __future__ import annotations

import pytest

from profiler.backends import Backend, EmulatedBackend
from profiler.devices import Device, EmulatedDevice
from profiler.phone import Phone
from tests.conformance.backend_suite import PROFILED_RUNS
from tests.conformance.phone_suite import PhoneConformance


class EmulatedConformance(PhoneConformance):
    """What holds for every program."""

    backend_name = "emulated"

    def phone_of(self, backend: Backend) -> Phone:
        assert isinstance(backend, EmulatedBackend)
        return backend.phone


class TestBenchmarkModel(EmulatedConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return EmulatedDevice(name="conformance-emulated")


class TestBenchmarkModelBuiltin(EmulatedConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return EmulatedDevice(name="conformance-emulated-builtin", delegate="builtin")


class TestOnnxruntimePerfTest(EmulatedConformance):
    runtime_name = "onnxruntime_perf_test"
    runs_in_means = PROFILED_RUNS // 2  # the calm half

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return EmulatedDevice(name="conformance-perf-test", runtime="onnxruntime_perf_test")
