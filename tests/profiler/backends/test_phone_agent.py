"""What the adb backend makes of our agent's troubles on a phone: faults of cable, phone and program."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from profiler.backends import AdbBackend, BlockRequest, BlockResult, EmulatedBackend, phone_agent_runner
from profiler.backends.android.agent_site import LOCK
from profiler.devices import EmulatedDevice
from profiler.errors import ConfigError, DeviceRefusedError
from profiler.phone import Fault
from profiler.phone.files import SHELL_USER
from profiler.workload import Workload
from tests.conformance.networks import tiny

pytestmark = [pytest.mark.agent, pytest.mark.qemu]

REQUESTS = [BlockRequest(Workload(tiny(channels)), 1, 6) for channels in (4, 5, 6, 7)]
RUN = "pocketnas-agent run"
"""What stands in the command line of a job and of no other."""
DEVICE = EmulatedDevice(name="agent-phone", runtime="agent-ncnn", timeout_s=30.0)


@pytest.fixture
def backend() -> Iterator[EmulatedBackend]:
    with EmulatedBackend(DEVICE) as backend:
        yield backend


def run(backend: AdbBackend) -> list[BlockResult]:
    results = list(backend.run_blocks(REQUESTS))
    assert [result.request for result in results] == REQUESTS
    for result in results:
        assert bool(result.samples_ms) == (result.failure is None)
        assert result.failure or len(result.samples_ms) == result.request.runs
    return results


def reasons(results: list[BlockResult]) -> list[str]:
    return [result.failure.reason for result in results if result.failure]


@pytest.mark.parametrize("at_bytes", [40, 300, 700, 1000])
def test_a_cable_cut_in_a_job_costs_no_block(backend: EmulatedBackend, at_bytes: int) -> None:
    fault = Fault("cut_output", match=RUN, times=1, at_bytes=at_bytes)
    backend.phone.faults.add(fault)
    assert reasons(run(backend)) == []
    assert backend.phone.faults.happened(fault) == 1


def test_output_that_is_damaged_costs_no_block(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("damage_output", match=RUN, times=1, at_bytes=600))
    assert reasons(run(backend)) == []


def test_an_agent_that_is_killed_once_goes_on(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("kill", match=RUN, times=1, at_bytes=600, signal=9))
    assert reasons(run(backend)) == []


def test_a_crash_is_of_one_block(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("kill", match=RUN, times=1, at_bytes=600, signal=11))
    assert reasons(run(backend)) == ["CRASHED"]
    assert reasons(run(backend)) == []


def test_a_reboot_spoils_at_most_the_block_that_ran(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("reboot", match=RUN, times=1, seconds=3.0))
    assert set(reasons(run(backend))) <= {"UNEXPECTED_REBOOT"}
    assert reasons(run(backend)) == []


def test_a_folder_that_somebody_clears_is_filled_again(backend: EmulatedBackend) -> None:
    assert reasons(run(backend)) == []
    backend._session.transport.shell(f"rm -rf {backend._session.folder.path}", check=True)
    assert reasons(run(backend)) == []


def test_a_bundle_is_pushed_once(backend: EmulatedBackend) -> None:
    run(backend)
    program = f"{backend._runner.payload().path}/pocketnas-agent"  # type: ignore[attr-defined]
    first = backend._session.transport.shell(f"stat -c %Y {program}", check=True).stdout
    run(backend)
    assert backend._session.transport.shell(f"stat -c %Y {program}", check=True).stdout == first


def test_nothing_of_ours_stays_on_the_phone_but_the_lock() -> None:
    with EmulatedBackend(DEVICE) as backend:
        run(backend)
    assert LOCK.startswith("/data/local/tmp/pocketnas-agent")
    assert "pocketnas" not in backend.phone.files.names("/data/local/tmp", SHELL_USER)


def test_a_phone_that_runs_no_programs_says_so(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("no_execute", match=RUN))
    with pytest.raises(DeviceRefusedError, match="noexec"):
        run(backend)


def test_a_hot_phone_is_cooled_down_for(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("throttle", match=RUN, times=1, seconds=100.0, status=2))
    for result in run(backend):
        assert result.failure is None
        assert [check.id for check in result.checks] == ["THERMAL-STATUS"]
    assert not any(result.checks for result in run(backend))


def test_a_phone_that_is_hot_each_time_is_given_up(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("throttle", match=RUN, times=3, seconds=60.0, status=2))
    assert reasons(run(backend)) == ["THROTTLED"] * len(REQUESTS)
    assert reasons(run(backend)) == []


def test_a_screen_that_goes_off_spoils_what_ran_meanwhile(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("screen_off", match=RUN, times=1))
    assert reasons(run(backend)) == ["INTERRUPTED"] * len(REQUESTS)
    assert reasons(run(backend)) == []


def test_a_long_list_is_looked_after_in_between(backend: EmulatedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_agent_runner, "_LOOK_EVERY_S", 0.0)
    assert reasons(run(backend)) == []


def test_closing_the_results_frees_the_phone(backend: EmulatedBackend) -> None:
    results = backend.run_blocks([*REQUESTS, BlockRequest(Workload(tiny()), 0, 10**6)])
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert "records" not in backend._session.transport.shell("ps -A -o ARGS").stdout
    assert reasons(run(backend)) == []


def test_results_that_are_left_do_not_keep_the_phone() -> None:
    with EmulatedBackend(DEVICE) as backend:
        results = backend.run_blocks([*REQUESTS, BlockRequest(Workload(tiny()), 0, 10**6)])
        next(results)
    assert next(results, None) is None


def test_cores_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="cores"), EmulatedBackend(DEVICE.model_copy(update={"cpus": (40,)})):
        pass
