"""The host backend's own promises: pinning, replacement of workers, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from profiler.backends import BlockRequest, HostBackend, backend_of
from profiler.devices import HostDevice
from profiler.errors import ConfigError, DeviceBusyError, DeviceError, RuntimeNotSupportedError
from profiler.workload import Workload
from tests.conformance.networks import inverted_residuals, tiny

BLOCK = BlockRequest(Workload(tiny()), 0, 2)


def opened(name: str, **settings: object) -> HostBackend:
    backend = backend_of(HostDevice.model_validate({"name": name, **settings}))
    assert isinstance(backend, HostBackend)
    return backend


def test_the_worker_is_pinned_to_the_last_processors() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    with opened("pinned") as backend:
        assert psutil.Process(backend.worker_pid).cpu_affinity() == allowed[-1:]
        assert "NOT-PINNED" not in {check.id for check in backend.checks()}


def test_the_worker_is_pinned_where_it_is_told() -> None:
    first = min(os.sched_getaffinity(0))
    with opened("chosen", cpus=(first,)) as backend:
        assert psutil.Process(backend.worker_pid).cpu_affinity() == [first]


def test_an_unpinned_worker_is_said_so() -> None:
    with opened("loose", cpus="any") as backend:
        (check,) = [check for check in backend.checks() if check.id == "NOT-PINNED"]
        assert "devices.yaml" in check.detail and check.suppressible


def test_processors_that_may_not_be_used_are_refused() -> None:
    with pytest.raises(ConfigError, match="only"), opened("foreign", cpus=(9999,)):
        pass


def test_host_devices_of_other_names_share_one_machine() -> None:
    with (
        opened("host"),
        pytest.raises(DeviceBusyError, match=rf"host-onnxruntime.*process {os.getpid()} "),
        opened("host-onnxruntime", runtime="onnxruntime"),
    ):
        pass
    with opened("host-onnxruntime", runtime="onnxruntime") as backend:
        (result,) = backend.run_blocks([BLOCK])
        assert result.failure is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"runtime": "onnxruntime", "execution_provider": "NoSuchProvider"}, "CPUExecutionProvider"),
        ({"python": "/no/such/python"}, "cannot start the interpreter"),
        ({"python": "/bin/false"}, "exit code 1"),
    ],
)
def test_a_runtime_that_is_not_there_is_refused_with_what_is(settings: dict[str, str], words: str) -> None:
    with pytest.raises(RuntimeNotSupportedError, match=words), opened("absent", **settings):
        pass
    with pytest.raises(RuntimeNotSupportedError), opened("absent", **settings):
        pass  # and the device is free again after the first


def test_a_worker_that_dies_while_idle_costs_no_block() -> None:
    with opened("idle") as backend:
        first = backend.worker_pid
        os.kill(first, signal.SIGKILL)
        time.sleep(0.1)
        (result,) = backend.run_blocks([BLOCK])
        assert result.failure is None
        assert backend.worker_pid != first


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "OUT_OF_MEMORY"), (signal.SIGABRT, "CRASHED"), (signal.SIGILL, "CRASHED")]
)
def test_how_a_worker_ended_is_told(number: signal.Signals, reason: str) -> None:
    long = BlockRequest(Workload(inverted_residuals()), 0, 1_000_000)
    with opened("ended", timeout_s=20.0) as backend:
        list(backend.run_blocks([BlockRequest(long.workload, 0, 1)]))
        timer = threading.Timer(0.2, os.kill, (backend.worker_pid, number))
        timer.start()
        (result,) = backend.run_blocks([long])
        timer.join()
    assert result.failure and result.failure.reason == reason
    assert number.name in result.failure.detail


def test_nothing_is_left_behind() -> None:
    mine = psutil.Process()
    before = {child.pid for child in mine.children()}
    descriptors = mine.num_fds()
    for _ in range(3):
        with opened("clean") as backend:
            pid = backend.worker_pid
            list(backend.run_blocks([BLOCK]))
        assert not psutil.pid_exists(pid)
    assert {child.pid for child in mine.children()} == before
    assert mine.num_fds() <= descriptors


def test_the_worker_dies_with_its_parent_even_inside_a_run(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from profiler.backends import BlockRequest, backend_of\n"
        "from profiler.devices import HostDevice\n"
        "from profiler.workload import Workload\n"
        "from tests.conformance.networks import inverted_residuals\n"
        "with backend_of(HostDevice(name='orphan')) as backend:\n"
        "    print(backend.worker_pid, flush=True)\n"
        "    list(backend.run_blocks([BlockRequest(Workload(inverted_residuals()), 0, 1_000_000)]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        worker = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.5)
        assert worker.status() in (psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs([worker], timeout=5)
    assert alive == []


def test_an_interrupted_block_does_not_answer_the_next() -> None:
    with opened("interrupted", timeout_s=20.0) as backend:
        first = backend.worker_pid
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            list(backend.run_blocks([BlockRequest(Workload(inverted_residuals()), 0, 1_000_000)]))
        timer.join()
        (result,) = backend.run_blocks([BLOCK])
        assert result.failure is None and len(result.samples_ms) == 2
        assert backend.worker_pid != first
    assert not psutil.pid_exists(first)


def test_two_threads_are_used() -> None:
    with opened("threads", threads=2) as backend:
        assert backend.facts().threads == 2
        (result,) = backend.run_blocks([BlockRequest(Workload(inverted_residuals()), 1, 3)])
        assert result.failure is None
        bound = psutil.Process(backend.worker_pid).cpu_affinity()
        assert len(bound) == min(2, len(os.sched_getaffinity(0)))


def test_blocks_ask_for_at_least_one_run() -> None:
    with pytest.raises(ConfigError, match="runs >= 1"):
        BlockRequest(BLOCK.workload, 0, 0)
    with pytest.raises(ConfigError, match="warmup_runs >= 0"):
        BlockRequest(BLOCK.workload, -1, 1)


def test_a_profile_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", None)
    with opened("trace", runtime="onnxruntime") as backend:
        assert backend.profile_operators(BLOCK.workload, warmup_runs=1, runs=2).operators
    assert list(tmp_path.iterdir()) == []


def test_a_closed_backend_has_no_worker() -> None:
    with pytest.raises(DeviceError, match="with"):
        _ = opened("closed").worker_pid
