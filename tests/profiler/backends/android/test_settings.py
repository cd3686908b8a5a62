"""A phone's settings while it measures, and afterwards."""

from __future__ import annotations

import copy

import pytest

from profiler.adb import RemoteFolder, Transport
from profiler.backends.android import PhoneSettings
from profiler.phone import Fault, Phone

STAY_ON = ("global", "stay_on_while_plugged_in")


@pytest.mark.parametrize("awake", [True, False])
@pytest.mark.parametrize("stay_on", ["0", "3", None])
def test_all_is_as_before(
    phone: Phone, transport: Transport, folder: RemoteFolder, stay_on: str | None, awake: bool
) -> None:
    phone.state.awake = awake
    phone.state.settings.pop(STAY_ON)
    if stay_on is not None:
        phone.state.settings[STAY_ON] = stay_on
    before = copy.deepcopy(phone.state.settings)
    settings = PhoneSettings(transport, folder, 31)
    settings.apply()
    assert phone.state.awake and phone.state.fixed_performance
    assert phone.state.settings[STAY_ON] == "7"
    settings.apply()
    settings.restore()
    assert (phone.state.settings, phone.state.awake, phone.state.fixed_performance) == (before, awake, False)
    phone.state.settings[STAY_ON] = "1"
    settings.restore()
    assert phone.state.settings[STAY_ON] == "1", "nothing is restored twice"


def test_what_a_killed_job_changed_is_restored_by_the_next(
    phone: Phone, transport: Transport, folder: RemoteFolder
) -> None:
    phone.state.settings[STAY_ON] = "3"
    phone.state.awake = False
    PhoneSettings(transport, folder, 31).apply()
    later = PhoneSettings(transport, folder, 31)
    later.apply()
    later.restore()
    assert (phone.state.settings[STAY_ON], phone.state.awake) == ("3", False)


def test_old_phones_have_no_steady_mode(phone: Phone, transport: Transport, folder: RemoteFolder) -> None:
    for sdk in (29, None):
        settings = PhoneSettings(transport, folder, sdk)
        settings.apply()
        assert not phone.state.fixed_performance
        settings.restore()


def test_a_phone_that_refuses_stays_as_it_is(phone: Phone, transport: Transport, folder: RemoteFolder) -> None:
    phone.faults.add(Fault("truncate_output", match="settings get", at_bytes=0, times=1))
    settings = PhoneSettings(transport, folder, 31)
    with pytest.raises(Exception, match="ended without"):
        settings.apply()
    settings.restore()
    assert phone.state.settings[STAY_ON] == "0"


def test_the_screen_is_woken(phone: Phone, transport: Transport, folder: RemoteFolder) -> None:
    phone.state.awake = False
    PhoneSettings(transport, folder, 31).wake()
    assert phone.state.awake
