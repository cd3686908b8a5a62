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
    """The phone at this moment; whoever holds it may change it, and Dynamics goes on from there.

    Attributes:
        charge_percent: Charge of the battery.
        battery_c: Its temperature.
        battery_mv: Its voltage.
        usb_powered: Whether it charges.
        measured_status: Android's severity of the heat that was measured: 0 none, 1 light, up to 6 shutdown.
        forced_status: A severity that the phone is made to be in instead; None for none.
        reported_status: A severity that it only says it is in (`cmd thermalservice override-status`); None for none.
        temperature_c: Temperature of the phone and its processor.
        awake: Whether the screen is on.
        frequency_share: Present clock of every cluster, as a share of its highest, by the cluster's name.
        boot_id: Changes at each boot.
        settings: Values of `settings` by namespace and key.
        stay_on: What `svc power stayon` was told.
        fixed_performance: What `cmd power set-fixed-performance-mode-enabled` was told.
    """

    charge_percent: float = 87.0
    battery_c: float = 27.4
    battery_mv: int = 4142
    usb_powered: bool = True
    measured_status: int = 0
    forced_status: int | None = None
    reported_status: int | None = None
    temperature_c: float = 31.5
    awake: bool = True
    frequency_share: dict[str, float] = field(default_factory=dict)
    boot_id: str = "00000000-0000-4000-8000-000000000000"
    settings: dict[tuple[str, str], str] = field(default_factory=_default_settings)
    stay_on: str = "false"
    fixed_performance: bool = False

    @property
    def level_percent(self) -> int:
        """Charge of the battery as Android shows it."""
        return round(self.charge_percent)

    @level_percent.setter
    def level_percent(self, level: int) -> None:
        self.charge_percent = float(level)

    @property
    def thermal_status(self) -> int:
        """Severity that throttles the phone; setting one forces it, 0 gives it back to what is measured."""
        return self.measured_status if self.forced_status is None else self.forced_status

    @thermal_status.setter
    def thermal_status(self, status: int) -> None:
        self.forced_status = status or None
