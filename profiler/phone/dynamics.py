"""What load does to a phone as time passes: clocks ramp, it warms up and throttles, its battery empties.

Source: a phone as one thermal mass, C dT/dt = P - (T - ambient) / R, solved exactly for each stretch of constant
power; the battery follows it with a lag.  The numbers are the description's (`soc.thermal`, `soc.battery`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from profiler.phone.clock import PhoneClock
from profiler.phone.description import PhoneDescription
from profiler.phone.soc import ThrottleStep
from profiler.phone.state import PhoneState

STATUSES = ("NONE", "LIGHT", "MODERATE", "SEVERE", "CRITICAL", "EMERGENCY", "SHUTDOWN")
"""Android's thermal severities, by their number."""

_BATTERY_LAG_S = 200.0
_BATTERY_SHARE = 0.6
"""Of the phone's rise above its surroundings, what reaches the battery."""
_EMPTY_MV, _FULL_MV = 3400, 4350
_JOULES_PER_WH = 3600.0
_MAH_PER_AH = 1000.0


class Dynamics:
    """The physics between a phone's clock and its state.

    Args:
        description: The phone.
        state: What it changes.
        clock: What it follows.
    """

    def __init__(self, description: PhoneDescription, state: PhoneState, clock: PhoneClock) -> None:
        self._soc, self._clusters = description.soc, description.clusters
        self._state, self._clock = state, clock
        battery = description.soc.battery
        watt_hours = description.battery.capacity_mah / _MAH_PER_AH * battery.voltage_v
        self._capacity_j = watt_hours * _JOULES_PER_WH
        self._last_s = clock.elapsed_s
        self._loads: dict[object, tuple[float, Mapping[str, float]]] = {}
        self._lock = threading.RLock()
        self._settle()

    def catch_up(self) -> None:
        """Bring the state up to the clock."""
        with self._lock:
            now_s = self._clock.elapsed_s
            seconds, self._last_s = now_s - self._last_s, now_s
            if seconds > 0.0:
                power_w = self._soc.power.idle_w + sum(power_w for power_w, _ in self._loads.values())
                self._heat(power_w, seconds)
                self._drain(power_w, seconds)
                self._clock_down(seconds)

    @contextmanager
    def loaded(self, power_w: float, frequency_share: Mapping[str, float]) -> Iterator[None]:
        """Draw power inside of a `with` block.

        Args:
            power_w: What is drawn besides what an idle phone draws.
            frequency_share: Present clocks of the loaded clusters as shares of their highest, by name.
        """
        key = object()
        with self._lock:
            self.catch_up()
            self._loads[key] = (power_w, frequency_share)
            self._state.frequency_share.update(frequency_share)
        try:
            yield
        finally:
            with self._lock:
                self.catch_up()
                del self._loads[key]

    @property
    def cap_share(self) -> float:
        """What throttling leaves of each cluster's highest clock."""
        self.catch_up()
        severity = self._state.thermal_status
        shares = [step.frequency_share for step in self._soc.thermal.steps if _severity(step) <= severity]
        return min(shares, default=1.0)

    def _settle(self) -> None:
        """Begin as a phone that has lain idle for hours."""
        thermal, state = self._soc.thermal, self._state
        rise_c = thermal.resistance_c_per_w * self._soc.power.idle_w
        state.temperature_c = thermal.ambient_c + rise_c
        state.battery_c = thermal.ambient_c + _BATTERY_SHARE * rise_c
        state.charge_percent = float(self._soc.battery.level_percent)
        state.battery_mv = _voltage_mv(state.charge_percent)
        state.frequency_share = {
            cluster.name: cluster.frequencies_khz[0] / cluster.frequencies_khz[-1] for cluster in self._clusters
        }

    def _heat(self, power_w: float, seconds: float) -> None:
        thermal, state = self._soc.thermal, self._state
        goal_c = thermal.ambient_c + thermal.resistance_c_per_w * power_w
        decay = math.exp(-seconds / (thermal.resistance_c_per_w * thermal.capacity_j_per_c))
        state.temperature_c = goal_c + (state.temperature_c - goal_c) * decay
        battery_c = thermal.ambient_c + _BATTERY_SHARE * (state.temperature_c - thermal.ambient_c)
        state.battery_c = battery_c + (state.battery_c - battery_c) * math.exp(-seconds / _BATTERY_LAG_S)
        state.measured_status = self._status(state.temperature_c, state.measured_status)

    def _status(self, temperature_c: float, before: int) -> int:
        """Return the severity: a step that holds ends only when it is cooler by the hysteresis."""
        severity = 0
        for step in self._soc.thermal.steps:
            held = _severity(step) <= before
            if temperature_c >= step.above_c - (self._soc.thermal.hysteresis_c if held else 0.0):
                severity = _severity(step)
        return severity

    def _drain(self, power_w: float, seconds: float) -> None:
        charging_w = self._soc.battery.charging_w if self._state.usb_powered else 0.0
        gained = 100.0 * (charging_w - power_w) * seconds / self._capacity_j
        self._state.charge_percent = min(100.0, max(0.0, self._state.charge_percent + gained))
        self._state.battery_mv = _voltage_mv(self._state.charge_percent)

    def _clock_down(self, seconds: float) -> None:
        """Let the clocks of clusters without load fall."""
        loaded = {name for _, shares in self._loads.values() for name in shares}
        decay = math.exp(-seconds / self._soc.governor.decay_s)
        for cluster in self._clusters:
            if cluster.name not in loaded:
                least = cluster.frequencies_khz[0] / cluster.frequencies_khz[-1]
                above = self._state.frequency_share.get(cluster.name, least) - least
                self._state.frequency_share[cluster.name] = least + max(0.0, above) * decay


def _severity(step: ThrottleStep) -> int:
    return STATUSES.index(step.status)


def _voltage_mv(charge_percent: float) -> int:
    return round(_EMPTY_MV + (_FULL_MV - _EMPTY_MV) * charge_percent / 100.0)
