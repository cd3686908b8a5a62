"""What changes on an emulated phone while it runs: battery, heat, screen, settings."""

from __future__ import annotations

from dataclasses import dataclass, field


def _default_settings() -> dict[tuple[str, str], str]:
    return {
        ("global", "stay_on_while_plugged_in"): "0",
        ("global", "low_power"): "0",
        ("global", "airplane_mode_on"): "0",
        ("global", "device_name"): "phone",
        ("system", "screen_off_timeout"): "60000",
        ("system", "screen_brightness"): "102",
        ("secure", "android_id"): "9774d56d682e549c",
    }


@dataclass
class PhoneState:
    """The phone at this moment; whoever holds it may change it.

    Attributes:
        level_percent: Charge of the battery.
        battery_c: Its temperature.
        battery_mv: Its voltage.
        usb_powered: Whether it charges.
        thermal_status: Android's severity: 0 none, 1 light, 2 moderate, up to 6 shutdown.
        temperature_c: Temperature of the processor.
        awake: Whether the screen is on.
        clock_share: Present frequency of every cluster, as a share of its highest.
        boot_id: Changes at each boot.
        settings: Values of `settings` by namespace and key.
        stay_on: What `svc power stayon` was told.
        fixed_performance: What `cmd power set-fixed-performance-mode-enabled` was told.
    """

    level_percent: int = 87
    battery_c: float = 27.4
    battery_mv: int = 4142
    usb_powered: bool = True
    thermal_status: int = 0
    temperature_c: float = 31.5
    awake: bool = True
    clock_share: float = 1.0
    boot_id: str = "00000000-0000-4000-8000-000000000000"
    settings: dict[tuple[str, str], str] = field(default_factory=_default_settings)
    stay_on: str = "false"
    fixed_performance: bool = False
