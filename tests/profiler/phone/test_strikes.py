"""What faults do to the phone as a whole, seen through its own shell and over the wire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.adb import DirectTransport
from profiler.errors import DeviceError, TransferError
from profiler.phone import Fault, Phone, PhoneClock, PhoneServer, load_phone

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


@pytest.fixture
def phone() -> Phone:
    return Phone(load_phone("pixel4"))


@pytest.fixture
def direct(phone: Phone, tmp_path: Path) -> Iterator[DirectTransport]:
    with (
        PhoneServer(phone) as served,
        DirectTransport.tcp(served.address, key_path=tmp_path / "key") as transport,
    ):
        yield transport


def test_reboot_ends_processes_and_changes_the_boot_id(phone: Phone, direct: DirectTransport) -> None:
    before = direct.shell(f"{BOOT_ID}; echo kept > /data/local/tmp/f; sleep 77 &").stdout
    phone.faults.add(Fault("reboot", match="whoami", times=1, seconds=60))
    assert direct.shell("whoami").stdout == "shell\n", "adbd is there before the boot has ended"
    assert direct.shell(BOOT_ID).stdout != before
    assert direct.shell("pidof sleep; cat /data/local/tmp/f").stdout == "kept\n"
    assert direct.shell("getprop sys.boot_completed").stdout == "\n"
    assert phone.uptime_s < 30


def test_a_boot_is_over_when_the_phones_clock_says_so() -> None:
    clock = PhoneClock()
    phone = Phone(load_phone("pixel4"), clock=clock)
    phone.reboot(boot_s=60)
    assert phone.properties["sys.boot_completed"] == ""
    clock.sleep_s(61)
    assert phone.properties["sys.boot_completed"] == "1"
    phone.reboot(boot_s=None)
    clock.sleep_s(1e6)
    assert phone.properties["sys.boot_completed"] == ""


def test_the_seed_fixes_boot_ids() -> None:
    def ids(seed: int) -> list[str]:
        phone = Phone(load_phone("pixel4"), seed=seed)
        found = [phone.state.boot_id]
        for _ in range(2):
            phone.reboot()
            found.append(phone.state.boot_id)
        return found

    assert ids(1) == ids(1) != ids(2)
    assert len(set(ids(1))) == 3


def test_a_phone_that_vanishes_is_gone_and_comes_back_booted(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("vanish", match="whoami", times=1, seconds=0.5))
    before = phone.state.boot_id
    with pytest.raises(DeviceError):
        direct.shell("whoami", timeout_s=0.3)
    time.sleep(0.3)
    assert direct.shell("whoami; getprop sys.boot_completed").stdout == "shell\n1\n"
    assert phone.state.boot_id != before


def test_conditions(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("storage_full", match="whoami", free_bytes=10))
    phone.faults.add(Fault("no_execute", match="whoami"))
    phone.faults.add(Fault("battery", match="whoami", level_percent=24))
    phone.faults.add(Fault("screen_off", match="whoami"))
    phone.faults.add(Fault("throttle", match="whoami", status=3))
    direct.push(b"echo ran", "/data/local/tmp/x", mode=0o755)
    assert direct.shell("/data/local/tmp/x").stdout == "ran\n"
    direct.shell("whoami")
    assert direct.shell("/data/local/tmp/x").exit_code == 126
    with pytest.raises(TransferError, match="No space left"):
        direct.push(bytes(1000), "/data/local/tmp/y")
    assert "level: 24" in direct.shell("dumpsys battery").stdout
    assert "mWakefulness=Asleep" in direct.shell("dumpsys power").stdout
    assert "Thermal Status: 3" in direct.shell("dumpsys thermalservice").stdout
