"""dumpsys for the three services that a measurement asks: battery, thermalservice, power.

The shapes are those of Android 10 to 12; vendors add lines of their own, which nobody should depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from profiler.phone.commands._call import Answer, Call, Command, text
from profiler.phone.state import PhoneState

_CHARGING, _NOT_CHARGING, _FULL = 2, 3, 5
_CPU, _GPU, _BATTERY, _SKIN = 0, 1, 2, 3


def _battery(call: Call) -> str:
    state, battery = call.phone.state, call.phone.description.battery
    status = (_FULL if state.level_percent == 100 else _CHARGING) if state.usb_powered else _NOT_CHARGING
    fields = {
        "AC powered": "false",
        "USB powered": str(state.usb_powered).lower(),
        "Wireless powered": "false",
        "Max charging current": 500_000 if state.usb_powered else 0,
        "Max charging voltage": 5_000_000 if state.usb_powered else 0,
        "Charge counter": battery.capacity_mah * 10 * state.level_percent,
        "status": status,
        "health": 2,
        "present": "true",
        "level": state.level_percent,
        "scale": 100,
        "voltage": state.battery_mv,
        "temperature": round(10 * state.battery_c),
        "technology": battery.technology,
    }
    return "Current Battery Service state:\n" + "".join(f"  {name}: {value}\n" for name, value in fields.items())


def _thermalservice(call: Call) -> str:
    state = call.phone.state
    overridden = state.reported_status is not None
    status = state.reported_status if overridden else state.thermal_status
    readings = "".join(_temperature(state, zone) for zone in call.phone.description.thermal_zones)
    return (
        f"IsStatusOverride: {str(overridden).lower()}\n"
        "ThermalEventListeners:\n\tcallbacks: 1\n\tkilled: false\n\tbroadcasts count: -1\n"
        "ThermalStatusListeners:\n\tcallbacks: 2\n\tkilled: false\n\tbroadcasts count: -1\n"
        f"Thermal Status: {status}\n"
        f"Cached temperatures:\n{readings}"
        "HAL Ready: true\nHAL connection:\n\tThermalHAL 2.0 connected: yes\n"
        f"Current temperatures from HAL:\n{readings}"
        "Current cooling devices from HAL:\n"
        "\tCoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}\n"
    )


def _temperature(state: PhoneState, zone: str) -> str:
    kinds = {"cpu": _CPU, "gpuss": _GPU, "battery": _BATTERY, "skin": _SKIN}
    kind = next((number for start, number in kinds.items() if zone.startswith(start)), _SKIN)
    value = state.battery_c if kind == _BATTERY else state.temperature_c
    return f"\tTemperature{{mValue={value}, mType={kind}, mName={zone}, mStatus={state.thermal_status}}}\n"


def _power(call: Call) -> str:
    state = call.phone.state
    wakefulness = "Awake" if state.awake else "Asleep"
    return (
        "POWER MANAGER (dumpsys power)\n\n"
        "Power Manager State:\n"
        "  mDirty=0x0\n"
        f"  mWakefulness={wakefulness}\n"
        "  mWakefulnessChanging=false\n"
        f"  mIsPowered={str(state.usb_powered).lower()}\n"
        f"  mPlugType={2 if state.usb_powered else 0}\n"
        f"  mBatteryLevel={state.level_percent}\n"
        f"  mStayOn={str(state.stay_on != 'false' and state.usb_powered).lower()}\n"
        "  mLowPowerModeEnabled=false\n"
        f"  mDeviceIdleMode={str(not state.awake).lower()}\n"
        f"Display Power: state={'ON' if state.awake else 'OFF'}\n"
    )


_SERVICES: Mapping[str, Callable[[Call], str]] = {
    "battery": _battery,
    "thermalservice": _thermalservice,
    "power": _power,
}


def _dumpsys(call: Call) -> Answer:
    match call.arguments:
        case ():
            return text("Currently running services:\n" + "".join(f"  {name}\n" for name in sorted(_SERVICES)))
        case ("-l",):
            return text("Currently running services:\n" + "".join(f"  {name}\n" for name in sorted(_SERVICES)))
        case ("battery", "set", "level", level) if level.isdigit():
            call.phone.state.level_percent = min(100, int(level))
            return Answer()
        case (service, *_) if service in _SERVICES:
            return text(_SERVICES[service](call))
        case (service, *_):
            return Answer(stderr=f"Can't find service: {service}\n", code=0)
        case _:
            return Answer(code=1)


DUMPSYS_COMMANDS: Mapping[str, Command] = {"dumpsys": _dumpsys}
