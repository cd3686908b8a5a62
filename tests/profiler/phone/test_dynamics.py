"""Load heats a phone, throttles it, empties its battery; rest undoes that."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from profiler.phone import Phone
from profiler.tool_outputs import parse_battery, parse_thermal

Run = Callable[..., Any]
HOT_W = 12.0


def test_it_starts_at_rest(phone: Phone) -> None:
    soc, state = phone.description.soc, phone.state
    rest_c = soc.thermal.ambient_c + soc.thermal.resistance_c_per_w * soc.power.idle_w
    assert state.temperature_c == pytest.approx(rest_c)
    assert (state.thermal_status, phone.dynamics.cap_share) == (0, 1.0)
    phone.clock.sleep_s(3600.0)
    assert phone.state.temperature_c == pytest.approx(rest_c)


def test_it_heats_as_one_mass(phone: Phone) -> None:
    thermal, before_c = phone.description.soc.thermal, phone.state.temperature_c
    with phone.dynamics.loaded(2.0, {}):
        phone.clock.sleep_s(50.0)
        one_c = phone.state.temperature_c
    time_constant_s = thermal.resistance_c_per_w * thermal.capacity_j_per_c
    rise_c = 2.0 * thermal.resistance_c_per_w * (1.0 - math.exp(-50.0 / time_constant_s))
    assert one_c - before_c == pytest.approx(rise_c)
    phone.clock.sleep_s(20 * time_constant_s)
    assert phone.state.temperature_c == pytest.approx(before_c, abs=1e-3)


def test_how_often_it_is_looked_at_changes_nothing(phone: Phone) -> None:
    other = Phone(phone.description)
    with phone.dynamics.loaded(3.0, {}), other.dynamics.loaded(3.0, {}):
        for _ in range(40):
            phone.clock.sleep_s(1.0)
            phone.dynamics.catch_up()
        other.clock.sleep_s(40.0)
    assert phone.state.temperature_c == pytest.approx(other.state.temperature_c)
    assert phone.state.charge_percent == pytest.approx(other.state.charge_percent)


def test_heat_throttles_step_by_step_and_lets_go_later(phone: Phone, run: Run) -> None:
    steps = phone.description.soc.thermal.steps
    seen: list[tuple[int, float]] = []
    with phone.dynamics.loaded(HOT_W, {}):
        for _ in range(400):
            phone.clock.sleep_s(1.0)
            entry = (phone.state.thermal_status, phone.dynamics.cap_share)
            if not seen or seen[-1] != entry:
                seen.append(entry)
    assert [status for status, _ in seen] == list(range(len(seen)))
    assert [cap for _, cap in seen] == [1.0, *(step.frequency_share for step in steps)][: len(seen)]
    hottest = phone.state.thermal_status
    assert hottest >= 3
    assert parse_thermal(run("dumpsys thermalservice").out.encode()).status_code == hottest
    highest = int(run("cat /sys/devices/system/cpu/cpu7/cpufreq/scaling_max_freq").out)
    assert highest <= phone.description.clusters[-1].frequencies_khz[-1] * phone.dynamics.cap_share
    while phone.state.temperature_c > steps[hottest - 1].above_c - 0.5 * phone.description.soc.thermal.hysteresis_c:
        phone.clock.sleep_s(0.5)
    assert phone.state.thermal_status == hottest
    phone.clock.sleep_s(3600.0)
    assert phone.state.thermal_status == 0


def test_the_battery_empties_under_load_and_fills_at_rest(phone: Phone, run: Run) -> None:
    phone.state.level_percent = 50
    with phone.dynamics.loaded(8.0, {}):
        phone.clock.sleep_s(1800.0)
    emptied = parse_battery(run("dumpsys battery").out.encode())
    assert emptied.level_percent is not None and emptied.level_percent < 45
    assert emptied.temperature_c is not None and emptied.temperature_c > 35.0
    phone.clock.sleep_s(3 * 3600.0)
    assert phone.state.level_percent > 60
    assert parse_battery(run("dumpsys battery").out.encode()).temperature_c < emptied.temperature_c


def test_a_phone_without_a_cable_only_empties(phone: Phone) -> None:
    phone.state.usb_powered = False
    before = phone.state.charge_percent
    phone.clock.sleep_s(3600.0)
    capacity_wh = phone.description.battery.capacity_mah / 1000 * phone.description.soc.battery.voltage_v
    expected = 100.0 * phone.description.soc.power.idle_w / capacity_wh
    assert before - phone.state.charge_percent == pytest.approx(expected)


def test_a_forced_status_throttles_and_a_reported_one_does_not(phone: Phone, run: Run) -> None:
    run("cmd thermalservice override-status 3")
    assert "Thermal Status: 3" in run("dumpsys thermalservice").out
    assert "IsStatusOverride: true" in run("dumpsys thermalservice").out
    assert phone.dynamics.cap_share == 1.0
    run("cmd thermalservice reset")
    phone.state.thermal_status = 2
    assert phone.dynamics.cap_share < 1.0
    assert "Thermal Status: 2" in run("dumpsys thermalservice").out
    phone.state.thermal_status = 0
    assert phone.dynamics.cap_share == 1.0


def test_clocks_fall_when_the_load_ends(phone: Phone, run: Run) -> None:
    name = phone.description.clusters[-1].name
    with phone.dynamics.loaded(1.0, {name: 1.0}):
        phone.clock.sleep_s(1.0)
        assert phone.state.frequency_share[name] == 1.0
    phone.clock.sleep_s(phone.description.soc.governor.decay_s)
    least = phone.description.clusters[-1].frequencies_khz[0] / phone.description.clusters[-1].frequencies_khz[-1]
    assert phone.state.frequency_share[name] == pytest.approx(least + (1.0 - least) / math.e)
    phone.clock.sleep_s(60.0)
    assert run("cat /sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq").out == "825600\n"
