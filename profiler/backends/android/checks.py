"""What makes latencies of a phone doubtful, as checks with ids that a user may know of."""

from __future__ import annotations

from collections.abc import Iterator

from profiler.backends.android.facts import PhoneFacts
from profiler.backends.android.health import PhoneHealth
from profiler.backends.base import Check

CHECK_IDS = (
    "CLOCK-SKEW",
    "ENG-BUILD",
    "GOVERNOR",
    "LOW-BATTERY",
    "LOW-STORAGE",
    "NOT-PINNED",
    "POWER-SAVE",
    "SCREEN-OFF",
    "THERMAL-STATUS",
)
"""Every check of a phone that the user may suppress; EMULATED is none of them."""

LEAST_STORAGE_BYTES = 50 * 2**20
"""As tradefed asks of a phone."""
_LEAST_BATTERY_PERCENT = 25.0
"""Below it phones lower their clocks.  Source: AndroidX benchmark, LOW-BATTERY."""
_MOST_SKEW_S = 5.0
"""As tradefed allows."""
_SLOW_GOVERNORS = frozenset({"powersave", "conservative", "userspace"})
"""Governors that hold the clock down under load.  schedutil, walt and the like are what phones have: they cannot be
changed without root, and rise to the top under a benchmark."""


def phone_checks(
    facts: PhoneFacts, health: PhoneHealth, *, cores: tuple[int, ...] | None, now_unix_s: float
) -> tuple[Check, ...]:
    """Return what holds of a phone; what is unknown raises no check.

    Args:
        facts: What the phone is.
        health: How it is.
        cores: Cores that programs are bound to; None when they are not.
        now_unix_s: What our clock says.
    """
    found = (*_power(health), *_measuring(facts, health, cores), *_system(facts, health, now_unix_s))
    return tuple(sorted(found, key=lambda check: check.id))


def battery_check(health: PhoneHealth) -> Check | None:
    """Return LOW-BATTERY, which ends a campaign, when the battery is too low."""
    if health.battery_percent is None or health.battery_percent >= _LEAST_BATTERY_PERCENT:
        return None
    detail = f"the battery is at {health.battery_percent:.0f} %; charge it to {_LEAST_BATTERY_PERCENT:.0f} % or more"
    return Check("LOW-BATTERY", detail, stops=True)


def emulated_check() -> Check:
    """Return EMULATED, which travels with every row of a phone that does not exist."""
    return Check(
        "EMULATED",
        "a phone that does not exist: its latencies are a model's or an emulator's, and no device's",
        suppressible=False,
    )


def _power(health: PhoneHealth) -> Iterator[Check]:
    low = battery_check(health)
    if low:
        yield low
    if health.power_save:
        yield Check("POWER-SAVE", "the battery saver holds the clocks down; switch it off")
    if health.awake is False or health.idle:
        yield Check("SCREEN-OFF", "the screen is off and the system may doze; wake the phone and unlock it")


def _measuring(facts: PhoneFacts, health: PhoneHealth, cores: tuple[int, ...] | None) -> Iterator[Check]:
    if health.throttles:
        detail = f"the phone throttles because of heat ({health.thermal_status}); let it cool down"
        yield Check("THERMAL-STATUS", detail)
    if cores is None:
        advice = "set `cpus: auto` or a list of cores in devices.yaml, on a phone that has taskset"
        yield Check("NOT-PINNED", f"the runtime may move between fast and slow cores; {advice}")
    used = set(facts.cores if cores is None else cores)
    slow = sorted({governor for core, governor in health.governors if core in used and governor in _SLOW_GOVERNORS})
    if slow:
        yield Check(
            "GOVERNOR", f"the governor {', '.join(slow)} holds the clock down; set another, or reboot the phone"
        )


def _system(facts: PhoneFacts, health: PhoneHealth, now_unix_s: float) -> Iterator[Check]:
    if health.free_bytes is not None and health.free_bytes < LEAST_STORAGE_BYTES:
        free = f"{health.free_bytes // 2**20} MiB"
        yield Check("LOW-STORAGE", f"{free} are free in /data; remove something from the phone")
    if facts.build_type == "eng":
        yield Check("ENG-BUILD", "the system is an engineering build, which is slower; use a phone with a user build")
    if facts.emulated:
        yield emulated_check()  # its clock is its own, and no sign of anything
    elif health.clock_unix_s is not None and abs(health.clock_unix_s - now_unix_s) > _MOST_SKEW_S:
        skew_s = health.clock_unix_s - now_unix_s
        yield Check("CLOCK-SKEW", f"the phone's clock differs by {skew_s:+.0f} s; let it set itself by the network")
