"""Faults while a phone is made ready: before there is a first block, and at the worst moments for its owner."""

from __future__ import annotations

import pytest

from profiler.adb import _backoff
from profiler.backends.emulated import EmulatedBackend
from profiler.errors import DeviceError, DeviceOfflineError, DeviceRefusedError, DeviceStorageError
from profiler.phone import Fault
from profiler.phone.files import SHELL_USER
from tests.faults._measured import RUN, device, reason, run


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backoff, "PAUSES_S", (0.01, 0.03, 0.1))


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("cut_push", match="pocketnas", at_bytes=100, times=2)],
        [Fault("cut_push", match="pocketnas", at_bytes=100, times=1), Fault("reset_on_open", match="chmod", times=2)],
        [Fault("drop_connection", times=3), Fault("unauthorized", seconds=0.2, times=1)],
        [Fault("reboot", match="sys.boot_completed", times=1, seconds=30)],
        [Fault("reset_after_open", match="mkdir", times=1)],
    ],
    ids=["row_04_cut", "row_04_cut_and_reset", "row_02_dropped", "row_07_reboot", "row_06_reset"],
)
def test_what_passes_is_got_over(faults: list[Fault]) -> None:
    backend = EmulatedBackend(device())
    for fault in faults:
        backend.phone.faults.add(fault)
    with backend:
        assert all(backend.phone.faults.happened(fault) for fault in faults)
        assert reason(run(backend)) == ""


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("storage_full", match="sys.boot_completed", times=1, free_bytes=1000), DeviceStorageError),
        (Fault("vanish", match="sys.boot_completed", times=1, seconds=40), DeviceOfflineError),
        (Fault("cut_push", at_bytes=10), DeviceError),
        (Fault("reboot", match="svc power stayon true"), DeviceError),
        (Fault("lose_exit_status", match="svc power stayon true"), DeviceError),
        (Fault("reject_service", match="sync:"), DeviceError),
        (Fault("truncate_output", match="sha256sum", at_bytes=40), DeviceError),
    ],
    ids=["row_11_full", "row_20_vanish", "row_04_cut", "row_07_reboot", "row_18_lost", "refused", "row_17_truncated"],
)
def test_what_does_not_pass_leaves_the_phone_as_it_was(fault: Fault, error: type[DeviceError]) -> None:
    backend = EmulatedBackend(device())
    phone = backend.phone
    before = dict(phone.state.settings)
    phone.faults.add(fault)
    with pytest.raises(error), backend:
        pass
    assert phone.state.settings == before
    assert not phone.state.fixed_performance
    assert phone.files.names("/data/local/tmp", SHELL_USER) == []
    assert [process for process in phone.processes if process.task is not None] == []


def test_row_12_a_phone_that_runs_nothing_of_ours_is_said_at_the_first_block() -> None:
    backend = EmulatedBackend(device())
    backend.phone.faults.add(Fault("no_execute", times=1))
    with pytest.raises(DeviceRefusedError) as caught, backend:
        run(backend)
    assert not getattr(caught.value, "__notes__", [])


def test_two_faults_in_a_row_at_one_block() -> None:
    with EmulatedBackend(device()) as backend:
        backend.phone.faults.add(Fault("reset_after_open", match=RUN, times=1))
        backend.phone.faults.add(Fault("cut_output", match=RUN, at_bytes=200, times=1, after=1))
        backend.phone.faults.add(Fault("throttle", match=RUN, at_run=1, times=1, after=2, seconds=30))
        assert reason(run(backend)) == ""
