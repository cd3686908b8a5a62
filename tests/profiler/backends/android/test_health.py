"""How a phone is: its three ways to a temperature, and what is unknown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.backends.android import HEALTH_PROBES, PhoneHealth, read_health

BATTERY = b"Current Battery Service state:\n  USB powered: true\n  level: 40\n  scale: 100\n  temperature: 291\n"
SERVICE = (
    b"Thermal Status: 2\nCurrent temperatures from HAL:\n"
    b"\tTemperature{mValue=41.5, mType=3, mName=skin, mStatus=2}\n"
    b"\tTemperature{mValue=80.0, mType=8, mName=vbat, mStatus=0}\n"
)


def zones(**temperatures: str) -> bytes:
    return "".join(
        f"==> /sys/class/thermal/thermal_zone{index}/type <==\n{name}\n"
        f"==> /sys/class/thermal/thermal_zone{index}/temp <==\n{value}\n"
        for index, (name, value) in enumerate(temperatures.items())
    ).encode()


@pytest.mark.parametrize(
    ("answers", "temperature_c"),
    [
        ({"thermal_zones": zones(battery="29000", cpu0="55000", cpu1="61000", modem="90000")}, 61.0),
        ({"thermal_zones": zones(battery="29000")}, 41.5),
        ({"thermal_zones": b"cat: Permission denied\n"}, 41.5),
        ({"thermal_service": b"Can't find service: thermalservice\n"}, 29.1),
        ({"thermal_service": b"", "battery": b"Permission denied\n"}, None),
    ],
    ids=["zones", "zones of others", "zones denied", "no service", "nothing"],
)
def test_three_ways_to_a_temperature(answers: dict[str, bytes], temperature_c: float | None) -> None:
    health = read_health({"thermal_service": SERVICE, "battery": BATTERY} | answers)
    assert health.temperature_c == temperature_c


def test_what_is_told() -> None:
    answers = {
        "boot_id": b"5f82c2d9-cfeb-4fa3-a1d7-d982f8bd1045\n",
        "battery": BATTERY,
        "thermal_service": SERVICE,
        "power": b"  mWakefulness=Asleep\n  mDeviceIdleMode=true\n",
        "low_power": b"1\n",
        "storage": b"Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/dm-6 200 50 150 25% /data\n",
        "governors": b"==> /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor <==\nwalt\n",
        "clock": b"1700000000\n",
    }
    assert read_health(answers) == PhoneHealth(
        boot_id="5f82c2d9-cfeb-4fa3-a1d7-d982f8bd1045",
        battery_percent=40.0,
        battery_c=29.1,
        plugged=True,
        thermal_status="moderate",
        temperature_c=41.5,
        awake=False,
        idle=True,
        power_save=True,
        free_bytes=150 * 1024,
        governors=((0, "walt"),),
        clock_unix_s=1_700_000_000,
    )


@pytest.mark.parametrize(
    "refusal",
    [b"", b"Permission denied\n", b"/system/bin/sh: dumpsys: inaccessible or not found\n", b"null\n", b"\0\xff"],
)
def test_refusals_are_unknown(refusal: bytes) -> None:
    health = read_health(dict.fromkeys(HEALTH_PROBES, refusal) | {"boot_id": b""})
    assert health == PhoneHealth()
    assert not health.throttles


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(sorted(HEALTH_PROBES)), st.binary(max_size=200)))
def test_any_answer_is_read_or_unknown(answers: dict[str, bytes]) -> None:
    health = read_health(answers)
    assert health.battery_percent is None or 0 <= health.battery_percent <= 100
    assert health.free_bytes is None or health.free_bytes >= 0
