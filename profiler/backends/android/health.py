"""How a phone is at this moment: battery, heat, screen, storage, governor, clock; None where it does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from profiler.backends.android.probes import known, line, listing, silent
from profiler.tool_outputs import (
    BatteryState,
    ThermalState,
    parse_battery,
    parse_cpufreq,
    parse_df,
    parse_power,
    parse_thermal,
)

BRIEF_PROBES: Mapping[str, str] = {
    "boot_id": silent("cat /proc/sys/kernel/random/boot_id"),
    "thermal_service": silent("dumpsys thermalservice"),
}
"""What is asked before each block."""

BLOCK_PROBES: Mapping[str, str] = {
    **BRIEF_PROBES,
    "battery": silent("dumpsys battery"),
    # The whole dump is a hundred kilobytes on a real phone.
    "power": "dumpsys power 2>/dev/null | grep -E 'mWakefulness=|mScreenOn=|mLowPowerModeEnabled=|mDeviceIdleMode='",
}
"""What is asked after each block."""

HEALTH_PROBES: Mapping[str, str] = {
    **BLOCK_PROBES,
    "thermal_zones": listing(f"/sys/class/thermal/thermal_zone[0-9]*/{name}" for name in ("type", "temp")),
    "low_power": silent("settings get global low_power"),
    "storage": silent("df -k /data/local/tmp"),
    "governors": listing(["/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"]),
    "clock": silent("date +%s"),
}
"""What is asked when a person, or a campaign from time to time, wants to know all."""

_PROCESSOR_SENSORS = ("cpu", "soc", "tsens", "cluster", "apc")
_SKIN_OR_PROCESSOR = ("skin", "cpu", "soc")


@dataclass(frozen=True)
class PhoneHealth:
    """A phone at one moment.  None is unknown.

    Attributes:
        boot_id: Changes at each boot.
        battery_percent: Charge of the battery.
        battery_c: Its temperature.
        plugged: Whether it is plugged into anything.
        thermal_status: Throttling of the phone as a whole, from "none" to "shutdown"; Android 10 and later.
        temperature_c: Of the processor or, where its sensors are not to be read, of the skin or the battery.
        awake: Whether the screen is on.
        idle: Whether the system is in doze.
        power_save: Whether the battery saver is on.
        free_bytes: Room for files of ours.
        governors: Governor of each core that tells one.
        clock_unix_s: What its clock says, in whole seconds.
    """

    boot_id: str | None = None
    battery_percent: float | None = None
    battery_c: float | None = None
    plugged: bool | None = None
    thermal_status: str | None = None
    temperature_c: float | None = None
    awake: bool | None = None
    idle: bool | None = None
    power_save: bool | None = None
    free_bytes: int | None = None
    governors: tuple[tuple[int, str], ...] = ()
    clock_unix_s: int | None = None

    @property
    def throttles(self) -> bool:
        """Whether it says that it holds its clocks down because of heat."""
        return self.thermal_status not in (None, "none")


def read_health(answers: Mapping[str, bytes]) -> PhoneHealth:
    """Return what a phone's answers to any of the probes say."""
    battery = known(parse_battery, answers.get("battery"))
    power = known(parse_power, answers.get("power"))
    service = known(parse_thermal, answers.get("thermal_service"))
    zones = known(parse_thermal, answers.get("thermal_zones"))
    clock = line(answers.get("clock"))
    return PhoneHealth(
        boot_id=line(answers.get("boot_id")) or None,
        battery_percent=battery.level_percent if battery else None,
        battery_c=battery.temperature_c if battery else None,
        plugged=bool(battery.plugged) if battery and battery.plugged is not None else None,
        thermal_status=service.status if service else None,
        temperature_c=_temperature_c(zones, service, battery),
        awake=power.awake if power else None,
        idle=power.idle_mode if power else None,
        power_save=_power_save(answers, power.low_power_mode if power else None),
        free_bytes=_free_bytes(answers),
        governors=_governors(answers),
        clock_unix_s=int(clock) if clock.isascii() and clock.isdigit() else None,
    )


def _temperature_c(
    zones: ThermalState | None, service: ThermalState | None, battery: BatteryState | None
) -> float | None:
    """Return the hottest of what tells: zones of the processor; else the thermal service; else the battery."""
    in_zones = [(zone.name or "", zone.temperature_c) for zone in (zones.zones if zones else ())]
    in_service = [(one.type or "", one.temperature_c) for one in (service.temperatures if service else ())]
    for readings, names in ((in_zones, _PROCESSOR_SENSORS), (in_service, _SKIN_OR_PROCESSOR)):
        told = [
            value
            for name, value in readings
            if value is not None and any(name.lower().startswith(start) for start in names)
        ]
        if told:
            return max(told)
    return battery.temperature_c if battery else None


def _power_save(answers: Mapping[str, bytes], in_dump: bool | None) -> bool | None:
    setting = {"1": True, "0": False}.get(line(answers.get("low_power")))
    return in_dump if setting is None else setting or bool(in_dump)


def _free_bytes(answers: Mapping[str, bytes]) -> int | None:
    table = known(parse_df, answers.get("storage"))
    return table.filesystems[0].available_bytes if table and len(table.filesystems) == 1 else None


def _governors(answers: Mapping[str, bytes]) -> tuple[tuple[int, str], ...]:
    frequencies = known(parse_cpufreq, answers.get("governors"))
    return tuple((one.cpu, one.governor) for one in (frequencies.cpus if frequencies else ()) if one.governor)
