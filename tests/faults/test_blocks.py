"""Rows 5, 7, 8 and 11-19: a block of runs, whatever happens to the phone or to the program in it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from profiler.backends.android import block as phone_block
from profiler.backends.base import PASSING_REASONS
from profiler.backends.emulated import EmulatedBackend
from profiler.errors import DeviceError, DeviceRefusedError, DeviceStorageError, DeviceTimeoutError
from profiler.phone import Fault
from profiler.phone.files import SHELL_USER
from tests.faults._measured import RUN, device, reason, run


@pytest.fixture
def backend() -> Iterator[EmulatedBackend]:
    with EmulatedBackend(device()) as opened:
        yield opened


def running(backend: EmulatedBackend) -> list[str]:
    """Command lines of what clients have started on the phone and still runs."""
    return [" ".join(process.arguments) for process in backend.phone.processes if process.task is not None]


@pytest.mark.parametrize("at_bytes", [0, 40, 400, 1500])
def test_row_05_a_cut_in_a_run_is_cleaned_up_and_the_block_done_again(backend: EmulatedBackend, at_bytes: int) -> None:
    calm = run(backend)
    backend.phone.faults.add(Fault("cut_output", match=RUN, at_bytes=at_bytes, times=1))
    result = run(backend)
    assert reason(result) == ""
    assert len(result.samples_ms) * result.runs_per_sample == len(calm.samples_ms) * calm.runs_per_sample
    assert running(backend) == []


def test_row_05_a_run_that_is_cut_each_time_is_the_infrastructures_fault(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("cut_output", match=RUN, at_bytes=10))
    with pytest.raises(DeviceError) as caught:
        run(backend)
    assert caught.value.exit_code == 75
    backend.phone.faults.clear()
    assert reason(run(backend)) == ""
    assert running(backend) == []


def test_row_07_a_reboot_in_a_run_is_said_and_everything_made_ready_again(backend: EmulatedBackend) -> None:
    phone = backend.phone
    before = phone.state.boot_id
    phone.faults.add(Fault("reboot", match=RUN, at_run=5, times=1, seconds=60))
    assert reason(run(backend)) == "UNEXPECTED_REBOOT"
    assert "UNEXPECTED_REBOOT" in PASSING_REASONS, "it is tried again in a later round"
    assert phone.state.boot_id != before
    assert phone.properties["sys.boot_completed"] == "1", "its boot was waited for"
    assert phone.state.fixed_performance, "settings were made again"
    assert reason(run(backend)) == ""


def test_row_07_a_reboot_between_blocks_is_noticed(backend: EmulatedBackend) -> None:
    backend.phone.reboot(boot_s=30)
    results = [reason(run(backend)) for _ in range(2)]
    assert results[1] == ""
    assert results[0] in ("", "UNEXPECTED_REBOOT")
    assert backend.phone.state.fixed_performance


def test_row_07_two_reboots_in_a_row(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("reboot", match=RUN, at_run=0, times=2, seconds=10))
    assert [reason(run(backend)) for _ in range(3)] == ["UNEXPECTED_REBOOT", "UNEXPECTED_REBOOT", ""]


def test_row_07_a_reboot_while_the_phone_is_made_ready_after_a_reboot(backend: EmulatedBackend) -> None:
    phone = backend.phone
    phone.faults.add(Fault("reboot", match=RUN, at_run=3, times=1, seconds=10))
    phone.faults.add(Fault("reboot", match="svc power stayon true", times=1, seconds=10))
    assert reason(run(backend)) == "UNEXPECTED_REBOOT"
    assert reason(run(backend)) in ("", "UNEXPECTED_REBOOT")
    assert reason(run(backend)) == ""
    assert phone.state.fixed_performance


def test_row_08_a_boot_that_never_completes_meets_its_deadline(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("reboot", match=RUN, at_run=5, times=1))
    started = time.monotonic()
    with pytest.raises(DeviceTimeoutError, match=r"sys\.boot_completed") as caught:
        run(backend)
    assert caught.value.exit_code == 75
    assert time.monotonic() - started < 20, "the phone's time is waited for, not ours"


def test_row_11_a_full_phone_is_said_before_anything_is_sent_and_nothing_foreign_removed(
    backend: EmulatedBackend,
) -> None:
    phone = backend.phone
    phone.files.place("/data/local/tmp/theirs", b"not ours", mode=0o644, owner=(2000, 2000))
    run(backend)
    phone.faults.add(Fault("storage_full", times=1, free_bytes=100_000))
    with pytest.raises(DeviceStorageError, match="free some on the phone"):
        run(backend, 64)
    assert phone.files.names("/data/local/tmp", SHELL_USER) == ["pocketnas", "theirs"]


def test_row_12_noexec_is_an_error_of_its_own_and_not_tried_again(backend: EmulatedBackend) -> None:
    phone = backend.phone
    fault = Fault("no_execute", match=RUN)
    phone.faults.add(fault)
    with pytest.raises(DeviceRefusedError, match="noexec or a policy"):
        run(backend)
    assert phone.faults.happened(fault) == 1


def test_row_13_killed_for_lack_of_memory_is_a_fact_about_the_model(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("kill", match=RUN, at_run=3, signal=9, times=1))
    result = run(backend)
    assert reason(result) == "OUT_OF_MEMORY"
    assert "OUT_OF_MEMORY" not in PASSING_REASONS
    assert reason(run(backend, 5)) == ""


@pytest.mark.parametrize(("signal", "name"), [(11, "SIGSEGV"), (4, "SIGILL"), (6, "SIGABRT"), (7, "SIGBUS")])
def test_row_14_a_crash_has_its_signal(backend: EmulatedBackend, signal: int, name: str) -> None:
    backend.phone.faults.add(Fault("kill", match=RUN, signal=signal, times=1))
    result = run(backend)
    assert result.failure is not None
    assert (result.failure.reason, result.failure.signal) == ("CRASHED", signal)
    assert name in result.failure.detail
    assert reason(run(backend)) == ""


def test_row_15_a_hanging_program_is_ended_and_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_block, "_LOOKING_S", 0.5)
    with EmulatedBackend(device(timeout_s=0.5)) as backend:
        backend.phone.faults.add(Fault("hang", match=RUN, at_run=4, times=1))
        started = time.monotonic()
        assert reason(run(backend)) == "TIMEOUT"
        assert time.monotonic() - started < 5
        assert running(backend) == []
        assert reason(run(backend)) == ""


def test_row_16_a_trickling_program_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_block, "_LOOKING_S", 0.5)
    with EmulatedBackend(device(timeout_s=0.5)) as backend:
        backend.phone.faults.add(Fault("slow_output", match=RUN, seconds=0.05, times=1))
        assert reason(run(backend)) == "TIMEOUT"
        assert running(backend) == []
        assert reason(run(backend)) == ""


@pytest.mark.parametrize("at_bytes", [0, 50, 500, 1000, 2000])
def test_row_17_truncated_output_of_a_program_gives_no_latency(backend: EmulatedBackend, at_bytes: int) -> None:
    backend.phone.faults.add(Fault("truncate_output", match=RUN, at_bytes=at_bytes, times=1))
    assert reason(run(backend)) == "INVALID_OUTPUT"
    assert reason(run(backend)) == ""


def test_row_18_a_lost_exit_status_gives_no_latency(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("lose_exit_status", match=RUN, times=1))
    assert reason(run(backend)) == "INVALID_OUTPUT"
    assert reason(run(backend)) == ""


def test_row_19_a_throttled_block_is_cooled_down_for_and_done_again(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("throttle", match=RUN, at_run=6, times=1, seconds=90))
    before_s = backend.phone.clock.now_s
    result = run(backend)
    assert reason(result) == ""
    assert backend.phone.clock.now_s - before_s >= 60, "it waited on the phone's clock"
    (check,) = result.checks
    assert check.id == "THERMAL-STATUS" and "cooled down" in check.detail


def test_row_19_the_third_throttled_block_is_given_up(backend: EmulatedBackend) -> None:
    fault = Fault("throttle", match=RUN, at_run=6, seconds=60)
    backend.phone.faults.add(fault)
    result = run(backend)
    assert reason(result) == "THROTTLED"
    assert backend.phone.faults.happened(fault) == 3


def test_row_22_a_screen_that_goes_off_spoils_the_block_and_is_lit_again(backend: EmulatedBackend) -> None:
    backend.phone.faults.add(Fault("screen_off", match=RUN, at_run=6, times=1))
    assert reason(run(backend)) == "INTERRUPTED"
    assert "INTERRUPTED" in PASSING_REASONS
    assert backend.phone.state.awake
    assert reason(run(backend)) == ""


@pytest.mark.parametrize("latency_ns", [0.0, -5.0, 1e300, 1e18])
@pytest.mark.parametrize("profiled", [False, True], ids=["plain", "profiled"])
def test_bad_input_24_a_latency_that_cannot_be_is_no_latency(
    backend: EmulatedBackend, latency_ns: float, profiled: bool
) -> None:
    backend.phone.faults.add(Fault("wrong_latency", match=RUN, latency_ns=latency_ns, times=1))
    assert reason(run(backend, profiled=profiled)) == "INVALID_OUTPUT"
    assert reason(run(backend, profiled=profiled)) == ""


@pytest.mark.parametrize("count", [0, 1, 11, 13, 10**9])
def test_bad_input_24_a_count_that_is_not_the_runs_is_no_latency(backend: EmulatedBackend, count: int) -> None:
    backend.phone.faults.add(Fault("wrong_count", match=RUN, count=count, times=1))
    assert reason(run(backend)) == "INVALID_OUTPUT"
