"""The host backend, under each engine of our agent, keeps the promises of a backend; nothing is between the runs."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from profiler.backends import BlockRequest, HostBackend
from profiler.devices import Device, HostDevice
from profiler.errors import RuntimeNotSupportedError
from profiler.workload import Workload
from tests.conformance.agent_suite import UnderTheAgent
from tests.conformance.host_suite import OnThisComputer
from tests.conformance.networks import tiny


class HostAgentConformance(UnderTheAgent, OnThisComputer):
    """What holds for every engine."""

    def test_a_list_of_blocks_is_one_process(self, backend: HostBackend) -> None:
        results = backend.run_blocks([BlockRequest(Workload(tiny(channels)), 1, 2) for channels in (4, 5, 6)])
        pids = {backend.worker_pid for _ in results}
        assert len(pids) == 1
        assert not psutil.pid_exists(pids.pop())

    def test_closing_the_results_ends_the_process(self, backend: HostBackend) -> None:
        results = backend.run_blocks([BlockRequest(Workload(tiny()), 0, 1), BlockRequest(Workload(tiny(5)), 0, 10**6)])
        next(results)
        pid = backend.worker_pid
        assert psutil.pid_exists(pid)
        results.close()  # type: ignore[attr-defined]
        assert not psutil.pid_exists(pid)

    def test_it_tells_no_outputs(self, backend: HostBackend) -> None:
        with pytest.raises(RuntimeNotSupportedError, match="latencies"):
            backend.compute(Workload(tiny()), {"x": np.ones((1, 8, 8, 3), np.float32)})

    def test_checks_say_whether_it_is_bound(self, backend: HostBackend) -> None:
        assert "NOT-PINNED" not in {check.id for check in backend.checks()}


@pytest.mark.agent
class TestAgentNcnn(HostAgentConformance):
    runtime_name = "agent-ncnn"

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return HostDevice(name="conformance-agent-ncnn", runtime="agent-ncnn")


@pytest.mark.agent
class TestAgentLitert(HostAgentConformance):
    runtime_name = "agent-litert"

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return HostDevice(name="conformance-agent-litert", runtime="agent-litert")


@pytest.mark.agent
class TestAgentLitertBuiltin(HostAgentConformance):
    runtime_name = "agent-litert"

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return HostDevice(name="conformance-agent-builtin", runtime="agent-litert", delegate="builtin")
