"""The promises of a backend as tests: a backend's own test module subclasses this with a device and two faults."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from profiler.backends import Backend, BlockRequest, BlockResult, open_backend
from profiler.backends._device_files import FOLDER_VARIABLE
from profiler.devices import Device
from profiler.errors import DeviceBusyError, DeviceError, RuntimeNotSupportedError
from profiler.workload import Workload
from tests.conformance.networks import inverted_residuals, oddly_named, opaque, tiny

SHORT_TIMEOUT_S = 1.5
LONG_BLOCK_RUNS = 1_000_000
"""Runs that no device makes in the time that the tests give it."""
PROFILED_RUNS = 20


class BackendConformance:
    """Subclass it as Test…, give the class attributes and the fixtures and methods that are abstract here.

    Attributes:
        backend_name: The backend's key in BACKENDS.
        runtime_name: The runtime that the device uses.
        times_operators: Whether profile_operators works there.
        runs_in_means: How many of PROFILED_RUNS runs an operator's mean is over.
    """

    backend_name: ClassVar[str]
    runtime_name: ClassVar[str]
    times_operators: ClassVar[bool] = True
    runs_in_means: ClassVar[int] = PROFILED_RUNS

    @pytest.fixture(scope="class")
    @classmethod
    @abstractmethod
    def device(cls) -> Device:
        """A device of this backend."""

    def with_timeout(self, device: Device, timeout_s: float) -> Device:
        """Return the device with another limit on how long a block may take."""
        return device.model_copy(update={"timeout_s": timeout_s})

    def beside(self, device: Device) -> Device:
        """Return the device as a test may open it while the suite holds it."""
        return device

    @abstractmethod
    def crashing(self, backend: Backend) -> AbstractContextManager[object]:
        """Let the process that runs the long block, next inside the context, end with SIGSEGV."""

    @abstractmethod
    def hanging(self, backend: Backend) -> AbstractContextManager[object]:
        """Let the process that runs the long block, next inside the context, stop without an end."""

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, device: Device) -> Iterator[Backend]:
        with open_backend(device) as backend:
            yield backend

    @pytest.fixture
    def own_locks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lets a test open the device while the suite holds it."""
        monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))

    def test_says_what_it_is(self, backend: Backend, device: Device) -> None:
        facts = backend.facts()
        assert backend.name == device.name
        assert backend.source in ("measured", "emulated", "emulated-isa")
        assert facts.processor and facts.system and facts.runtime_version and facts.accelerator
        assert facts.runtime == self.runtime_name
        assert facts.cores >= 1 and facts.threads >= 1 and facts.memory_bytes > 2**20

    def test_checks_have_ids_and_advice(self, backend: Backend) -> None:
        for check in backend.checks():
            assert check.id == check.id.upper() and " " not in check.id
            assert len(check.detail) > 10

    def test_samples_are_as_many_as_asked_and_positive(self, backend: Backend) -> None:
        began = time.time()
        (result,) = backend.run_blocks([BlockRequest(Workload(inverted_residuals()), 2, 7)])
        assert result.failure is None
        assert len(result.samples_ms) * result.runs_per_sample == 7
        assert all(math.isfinite(sample) and sample > 0 for sample in result.samples_ms)
        assert began - 5 <= result.started_unix_s <= time.time() + 5

    def test_results_come_in_the_order_of_requests(self, backend: Backend) -> None:
        networks = [tiny(channels) for channels in (4, 5, 6, 4, 5, 6)]
        requests = [BlockRequest(Workload(network), 0, runs) for runs, network in enumerate(networks, 1)]
        results = list(backend.run_blocks(requests))
        assert [result.request for result in results] == requests
        assert [result.failure for result in results] == [None] * 6
        assert [len(result.samples_ms) * result.runs_per_sample for result in results] == [1, 2, 3, 4, 5, 6]

    def test_results_come_as_soon_as_they_are_there(self, backend: Backend) -> None:
        results = backend.run_blocks([BlockRequest(Workload(tiny()), 0, 1)] * 3)
        assert next(iter(results)).failure is None

    def test_more_work_takes_longer(self, backend: Backend) -> None:
        small, large = (
            min(self._only(backend, BlockRequest(Workload(network), 3, 10)).samples_ms)
            for network in (tiny(), inverted_residuals())
        )
        assert large > 3 * small

    def test_odd_names_are_only_text(self, backend: Backend, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert self._only(backend, BlockRequest(Workload(oddly_named()), 0, 1)).failure is None
        assert list(tmp_path.iterdir()) == []

    def test_a_refused_workload_does_not_stop_the_next(self, backend: Backend) -> None:
        refused, fine = backend.run_blocks(
            [BlockRequest(Workload(opaque()), 0, 1), BlockRequest(Workload(tiny()), 0, 1)]
        )
        assert refused.failure and refused.failure.reason == "UNSUPPORTED"
        assert refused.samples_ms == ()
        assert "y" in refused.failure.detail
        assert fine.failure is None

    @pytest.mark.usefixtures("own_locks")
    def test_a_crash_is_a_result_and_does_not_stop_the_next(self, device: Device) -> None:
        with open_backend(self.with_timeout(self.beside(device), 20.0)) as backend:
            crashed, fine = self._with_fault(backend, self.crashing)
        assert crashed.failure and crashed.failure.reason == "CRASHED"
        assert crashed.failure.signal == 11
        assert "SIGSEGV" in crashed.failure.detail
        assert crashed.samples_ms == ()
        assert fine.failure is None

    @pytest.mark.usefixtures("own_locks")
    def test_a_hang_ends_at_its_deadline_and_does_not_stop_the_next(self, device: Device) -> None:
        with open_backend(self.with_timeout(self.beside(device), SHORT_TIMEOUT_S)) as backend:
            began_s = time.monotonic()
            hung, fine = self._with_fault(backend, self.hanging)
            assert time.monotonic() - began_s < SHORT_TIMEOUT_S + 10
        assert hung.failure and hung.failure.reason == "TIMEOUT"
        assert fine.failure is None

    def test_operators_are_timed_or_refused(self, backend: Backend) -> None:
        workload = Workload(inverted_residuals())
        if not self.times_operators:
            with pytest.raises(RuntimeNotSupportedError, match="profiler"):
                backend.profile_operators(workload, warmup_runs=1, runs=1)
            return
        profile = backend.profile_operators(workload, warmup_runs=5, runs=PROFILED_RUNS)
        total_ms = sum(operator.mean_ms or 0.0 for operator in profile.operators)
        assert 0.6 <= total_ms / profile.end_to_end_ms <= 1.2
        # 4 blocks of 3 convolutions and a sum, stem, pooling, classifier; runtimes fuse some and add layout changes
        assert 14 <= len(profile.operators) <= 40
        assert all(operator.name and operator.kind for operator in profile.operators)
        assert {operator.runs for operator in profile.operators} == {self.runs_in_means}

    def test_one_job_at_a_time(self, backend: Backend, device: Device) -> None:
        with pytest.raises(DeviceBusyError, match="process"), open_backend(device):
            pass
        assert self._only(backend, BlockRequest(Workload(tiny()), 0, 1)).failure is None

    @pytest.mark.usefixtures("own_locks")
    def test_opens_again_after_it_was_closed(self, device: Device) -> None:
        for _ in range(2):
            with open_backend(self.beside(device)) as backend:
                assert self._only(backend, BlockRequest(Workload(tiny()), 0, 1)).failure is None

    @pytest.mark.usefixtures("own_locks")
    def test_is_open_inside_its_block_only(self, device: Device) -> None:
        with open_backend(self.beside(device)) as backend:
            pass
        with pytest.raises(DeviceError, match="with"):
            list(backend.run_blocks([BlockRequest(Workload(tiny()), 0, 1)]))

    @staticmethod
    def _only(backend: Backend, request: BlockRequest) -> BlockResult:
        (result,) = backend.run_blocks([request])
        return result

    def _with_fault(
        self, backend: Backend, fault: Callable[[Backend], AbstractContextManager[object]]
    ) -> Sequence[BlockResult]:
        """Run a long block with a fault inside it, then a short one."""
        workload = Workload(inverted_residuals())
        self._only(backend, BlockRequest(workload, 0, 1))  # loaded, so that the fault meets a running model
        with fault(backend):
            return list(
                backend.run_blocks([BlockRequest(workload, 0, LONG_BLOCK_RUNS), BlockRequest(Workload(tiny()), 0, 1)])
            )
