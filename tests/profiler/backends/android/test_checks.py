"""Which conditions of a phone raise which check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from profiler.backends.android import CHECK_IDS, PhoneHealth, phone_checks, read_facts
from profiler.backends.android.facts import PhoneFacts

FACTS = replace(read_facts({}), cores=(0, 1), build_type="user")
NOW_UNIX_S = 1_700_000_000.0
HEALTHY = PhoneHealth(
    battery_percent=80.0,
    thermal_status="none",
    awake=True,
    idle=False,
    power_save=False,
    free_bytes=1 << 32,
    governors=((0, "schedutil"), (1, "schedutil")),
    clock_unix_s=int(NOW_UNIX_S),
)


def ids(facts: PhoneFacts, health: PhoneHealth, cores: tuple[int, ...] | None = (1,)) -> list[str]:
    return [check.id for check in phone_checks(facts, health, cores=cores, now_unix_s=NOW_UNIX_S)]


def test_a_healthy_phone_and_an_unknown_one_raise_none() -> None:
    assert ids(FACTS, HEALTHY) == []
    assert ids(FACTS, PhoneHealth()) == []


@pytest.mark.parametrize(
    ("change", "id_"),
    [
        ({"battery_percent": 24.0}, "LOW-BATTERY"),
        ({"thermal_status": "light"}, "THERMAL-STATUS"),
        ({"power_save": True}, "POWER-SAVE"),
        ({"awake": False}, "SCREEN-OFF"),
        ({"idle": True}, "SCREEN-OFF"),
        ({"free_bytes": 1 << 20}, "LOW-STORAGE"),
        ({"clock_unix_s": int(NOW_UNIX_S) + 60}, "CLOCK-SKEW"),
        ({"governors": ((0, "schedutil"), (1, "powersave"))}, "GOVERNOR"),
    ],
)
def test_each_condition_has_its_check(change: dict[str, Any], id_: str) -> None:
    assert ids(FACTS, replace(HEALTHY, **change)) == [id_]


def test_the_build_the_binding_and_emulation() -> None:
    assert ids(replace(FACTS, build_type="eng"), HEALTHY) == ["ENG-BUILD"]
    assert ids(FACTS, HEALTHY, cores=None) == ["NOT-PINNED"]
    assert ids(FACTS, replace(HEALTHY, governors=((0, "powersave"),))) == [], "not one of the cores that are used"
    emulated = replace(FACTS, emulated=True)
    (check,) = phone_checks(emulated, replace(HEALTHY, clock_unix_s=1), cores=(1,), now_unix_s=NOW_UNIX_S)
    assert (check.id, check.suppressible) == ("EMULATED", False), "its clock is its own"


def test_only_a_low_battery_stops_a_campaign() -> None:
    bad = replace(HEALTHY, battery_percent=3.0, thermal_status="severe", awake=False, free_bytes=0)
    checks = phone_checks(FACTS, bad, cores=None, now_unix_s=NOW_UNIX_S)
    assert [check.id for check in checks if check.stops] == ["LOW-BATTERY"]
    assert {check.id for check in checks} < set(CHECK_IDS)
