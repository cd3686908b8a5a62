"""Commands that ask or set up the system: getprop, uname, date, uptime, pwd, env, settings, svc, cmd, which."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from profiler.phone.commands._call import Answer, Call, Command, text
from profiler.phone.files import SHELL_USER

_STAY_ON = {"true": "7", "usb": "2", "ac": "1", "wireless": "4", "false": "0"}


def _getprop(call: Call) -> Answer:
    properties = call.phone.properties
    if call.arguments:
        default = call.arguments[1] if len(call.arguments) > 1 else ""
        return text(f"{properties.get(call.arguments[0], default)}\n")
    return text("".join(f"[{name}]: [{value}]\n" for name, value in sorted(properties.items())))


def _uname(call: Call) -> Answer:
    kernel = call.phone.description.kernel
    parts = {"s": "Linux", "n": "localhost", "r": kernel, "v": "#1 SMP PREEMPT", "m": "aarch64", "o": "Toybox"}
    options, _ = call.options("asnrvmo")
    chosen = parts if "a" in options else {letter: part for letter, part in parts.items() if letter in (options or "s")}
    return text(" ".join(chosen.values()) + "\n")


def _date(call: Call) -> Answer:
    now_s = call.phone.now_s()
    forms = {"+%s": f"{now_s:.0f}", "+%s%N": f"{now_s * 1e9:.0f}", "+%N": f"{now_s % 1 * 1e9:09.0f}"}
    if call.arguments:
        form = call.arguments[0]
        return text(forms[form] + "\n") if form in forms else call.failure(f"bad date '{form}'")
    return text(datetime.fromtimestamp(now_s, UTC).strftime("%a %b %e %H:%M:%S UTC %Y\n"))


def _uptime(call: Call) -> Answer:
    minutes = int(call.phone.uptime_s / 60)
    clock = datetime.fromtimestamp(call.phone.now_s(), UTC).strftime("%H:%M:%S")
    return text(f" {clock} up {minutes} min,  0 users,  load average: 0.08, 0.12, 0.10\n")


def _env(call: Call) -> Answer:
    return text("".join(f"{name}={value}\n" for name, value in call.variables.items()))


def _which(call: Call) -> Answer:
    found = [name for name in call.arguments if call.phone.files.may(f"/system/bin/{name}", SHELL_USER, 1)]
    return Answer("".join(f"/system/bin/{name}\n" for name in found).encode(), code=int(not found))


def _settings(call: Call) -> Answer:
    match call.arguments:
        case ("get", space, key):
            return text(call.phone.state.settings.get((space, key), "null") + "\n")
        case ("put", space, key, value):
            call.phone.state.settings[space, key] = value
            return Answer()
        case ("delete", space, key):
            found = call.phone.state.settings.pop((space, key), None)
            return text(f"Deleted {int(found is not None)} rows\n")
        case ("list", space):
            pairs = sorted(call.phone.state.settings.items())
            return text("".join(f"{key}={value}\n" for (one, key), value in pairs if one == space))
        case _:
            return Answer(stderr="Invalid command: use get, put, delete or list\n", code=255)


def _svc(call: Call) -> Answer:
    match call.arguments:
        case ("power", "stayon", value) if value in _STAY_ON:
            call.phone.state.stay_on = value
            call.phone.state.settings["global", "stay_on_while_plugged_in"] = _STAY_ON[value]
            # The screen goes on when it is told to stay on.
            call.phone.state.awake = call.phone.state.awake or value != "false"
            return Answer()
        case _:
            return Answer(stderr="Available commands:\n    power stayon [true|false|usb|ac|wireless]\n", code=255)


def _cmd(call: Call) -> Answer:
    match call.arguments:
        case ("power", "set-fixed-performance-mode-enabled", ("true" | "false") as value):
            call.phone.state.fixed_performance = value == "true"
            return Answer()
        case ("thermalservice", "override-status", status) if status.isdigit() and int(status) <= 6:
            call.phone.state.reported_status = int(status)
            return Answer()
        case ("thermalservice", "reset"):
            call.phone.state.reported_status = None
            return Answer()
        case (service, *_):
            return Answer(stderr=f"cmd: Can't find service: {service}\n", code=20)
        case _:
            return Answer(stderr="cmd: No service specified; use -l to list all services\n", code=20)


def _input(call: Call) -> Answer:
    if call.arguments[:2] == ("keyevent", "KEYCODE_WAKEUP") or call.arguments[:2] == ("keyevent", "224"):
        call.phone.state.awake = True
    elif call.arguments[:2] in (("keyevent", "KEYCODE_SLEEP"), ("keyevent", "223")):
        call.phone.state.awake = False
    return Answer()


SYSTEM_COMMANDS: Mapping[str, Command] = {
    "getprop": _getprop,
    "uname": _uname,
    "date": _date,
    "uptime": _uptime,
    "env": _env,
    "which": _which,
    "pwd": lambda call: text(f"{call.folder}\n"),
    "sync": lambda _: Answer(),
    "settings": _settings,
    "svc": _svc,
    "cmd": _cmd,
    "input": _input,
}
