"""Row 22: the phone's own settings are as they were when we leave, however that came about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from profiler.adb import _backoff
from profiler.backends.emulated import EmulatedBackend
from profiler.errors import DeviceError, PocketnasError
from profiler.phone import Fault, Phone
from profiler.phone.files import SHELL_USER
from tests.faults._measured import RUN, device, run

STAY_ON = ("global", "stay_on_while_plugged_in")


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backoff, "PAUSES_S", (0.01, 0.03, 0.1))


class Left:
    """What an owner sees of a phone."""

    def __init__(self, phone: Phone) -> None:
        self.settings = dict(phone.state.settings)
        self.awake, self.fixed = phone.state.awake, phone.state.fixed_performance
        self.folder = phone.files.names("/data/local/tmp", SHELL_USER)
        self.running = [process.arguments for process in phone.processes if process.task is not None]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Left) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"Left({vars(self)})"


@pytest.fixture(params=["7", "0", "3", None])
def found(request: pytest.FixtureRequest) -> Iterator[EmulatedBackend]:
    """A phone whose owner has a setting of his own, or none, and the screen off."""
    backend = EmulatedBackend(device())
    state = backend.phone.state
    state.awake = False
    if request.param is None:
        state.settings.pop(STAY_ON)
    else:
        state.settings[STAY_ON] = request.param
    return backend


def test_row_22_after_a_job(found: EmulatedBackend) -> None:
    before = Left(found.phone)
    with found:
        run(found)
        assert found.phone.state.awake
    assert Left(found.phone) == before


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset_on_open", match="settings put", times=2),
        Fault("reset_on_open", match="svc power stayon false", times=2),
        Fault("drop_connection", times=3),
        Fault("reject_service", match="nothing"),
    ],
    ids=["reset at settings", "reset at svc", "dropped", "none"],
)
def test_row_22_when_the_connection_breaks_at_restoring(fault: Fault) -> None:
    backend = EmulatedBackend(device())
    before = Left(backend.phone)
    with backend:
        run(backend)
        backend.phone.faults.add(fault)
    assert Left(backend.phone) == before


@pytest.mark.parametrize(
    "fault",
    [
        Fault("no_execute", match=RUN, times=1),
        Fault("cut_output", match=RUN, at_bytes=0),
        Fault("reboot", match=RUN, at_run=1, times=1, seconds=20),
        Fault("kill", match=RUN, times=1),
        Fault("hang", match="getprop", times=1),
    ],
    ids=["noexec", "always cut", "reboot", "killed", "hang"],
)
def test_row_22_after_a_job_that_went_wrong(fault: Fault) -> None:
    backend = EmulatedBackend(device())
    before = Left(backend.phone)
    try:
        with backend:
            backend.phone.faults.add(fault)
            run(backend)
    except PocketnasError as err:
        assert isinstance(err, DeviceError)
        assert not getattr(err, "__notes__", [])
    backend.phone.files.mount_of("/data").noexec = False
    assert Left(backend.phone) == before


def test_row_22_an_interrupted_job_restores_too() -> None:
    backend = EmulatedBackend(device())
    before = Left(backend.phone)
    with pytest.raises(KeyboardInterrupt), backend:
        raise KeyboardInterrupt
    assert Left(backend.phone) == before


def test_row_22_what_cannot_be_restored_is_said() -> None:
    backend = EmulatedBackend(device())
    with pytest.raises(DeviceError), backend:
        backend.phone.faults.add(Fault("drop_connection"))
        backend.phone.faults.add(Fault("reset_on_open"))


def test_row_22_the_next_job_restores_what_a_killed_one_left() -> None:
    """A job that is killed restores nothing; its note on the phone says how things were."""
    first, second = EmulatedBackend(device()), EmulatedBackend(device())
    before = Left(first.phone)
    second.phone = first.phone
    with pytest.raises(DeviceError), first:
        first.phone.faults.add(Fault("reset_on_open"))
    first.phone.faults.clear()
    assert Left(first.phone) != before
    with second:
        run(second)
    assert Left(first.phone) == before
