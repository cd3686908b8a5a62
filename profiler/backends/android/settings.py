"""Settings of a phone that a measurement changes, each put back to what it was.

What was there before is kept in a file in our folder too, so that a later job restores it where ours was killed.
"""

from __future__ import annotations

from dataclasses import dataclass

from profiler.adb import RemoteFolder, Transport, command_line
from profiler.backends.android.health import BLOCK_PROBES, read_health
from profiler.backends.android.probes import ask, line, silent

_STAY_ON = "stay_on_while_plugged_in"
_ABSENT = "null"
"""What `settings get` prints for a key that is not set."""
_KEPT = "settings-before"
_FIXED_PERFORMANCE_SDK = 30
"""Android 11: the first with a fixed performance mode."""
_FIXED_PERFORMANCE = "cmd power set-fixed-performance-mode-enabled"
_WAKE = "input keyevent KEYCODE_WAKEUP"
_SLEEP = "input keyevent KEYCODE_SLEEP"


@dataclass(frozen=True)
class _Before:
    """The settings as they were found.

    Attributes:
        stay_on: Value of stay_on_while_plugged_in; empty when the phone does not tell.
        awake: Whether the screen was on; None when the phone does not tell.
    """

    stay_on: str
    awake: bool | None

    def to_line(self) -> str:
        return f"{self.stay_on or '-'} {self.awake}"

    @classmethod
    def of_line(cls, text: str) -> _Before | None:
        words = text.split()
        if len(words) != 2:
            return None
        stay_on = words[0] if words[0].isdigit() or words[0] == _ABSENT else ""
        return cls(stay_on, {"True": True, "False": False}.get(words[1]))


class PhoneSettings:
    """The screen stays on and clocks are held steady from `apply` until `restore`.

    Args:
        transport: The way to the phone.
        folder: Our folder there.
        sdk: Number of its Android version; None when unknown.
    """

    def __init__(self, transport: Transport, folder: RemoteFolder, sdk: int | None) -> None:
        self._transport, self._folder = transport, folder
        self._steady = sdk is not None and sdk >= _FIXED_PERFORMANCE_SDK
        self._before: _Before | None = None

    def apply(self) -> None:
        """Change the settings; what the phone refuses stays as it is.

        Raises:
            DeviceError: It cannot be reached.
        """
        if self._before is None:
            self._before = self._look()
        kept = command_line("echo", self._before.to_line()) + f" > {command_line(f'{self._folder.path}/{_KEPT}')}"
        steady = [f"{_FIXED_PERFORMANCE} true"] if self._steady else []
        self._run(kept, "svc power stayon true", _WAKE, *steady)

    def wake(self) -> None:
        """Switch the screen on again.

        Raises:
            DeviceError: The phone cannot be reached.
        """
        self._run(_WAKE)

    def restore(self) -> None:
        """Put everything back; does nothing when nothing was changed.

        The fixed performance mode goes off: it is off after a boot, and no phone tells whether it is on.

        Raises:
            DeviceError: The phone cannot be reached.
        """
        before, self._before = self._before, None
        if before is None:
            return
        commands = [f"{_FIXED_PERFORMANCE} false"] if self._steady else []
        if before.stay_on == _ABSENT:
            commands += ["svc power stayon false", f"settings delete global {_STAY_ON}"]
        elif before.stay_on:
            commands.append(command_line("settings", "put", "global", _STAY_ON, before.stay_on))
        else:
            commands.append("svc power stayon false")
        if before.awake is False:
            commands.append(_SLEEP)
        self._run(*commands)

    def _look(self) -> _Before:
        """Return the settings as they are, or as an earlier job found them that could not restore them."""
        probes = {
            "kept": silent(f"cat {command_line(f'{self._folder.path}/{_KEPT}')}"),
            "stay_on": silent(f"settings get global {_STAY_ON}"),
            "power": BLOCK_PROBES["power"],
        }
        answers = ask(self._transport, probes)
        kept = _Before.of_line(line(answers.get("kept")))
        if kept is not None:
            return kept
        now = line(answers.get("stay_on"))
        return _Before(now if now.isdigit() or now == _ABSENT else "", read_health(answers).awake)

    def _run(self, *commands: str) -> None:
        self._transport.shell("\n".join(silent(f"{{ {command}; }} >/dev/null") for command in commands))
