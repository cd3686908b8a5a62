"""A phone made ready for measuring, kept so, and left as it was found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

from profiler.adb import RemoteFolder, Transport
from profiler.backends.android.affinity import affinity_mask, chosen_cores
from profiler.backends.android.facts import FACT_PROBES, PhoneFacts, read_facts
from profiler.backends.android.health import BRIEF_PROBES, PhoneHealth, read_health
from profiler.backends.android.model_shelf import ModelShelf
from profiler.backends.android.patience import Patience
from profiler.backends.android.probes import ask, line, silent
from profiler.backends.android.remote_jobs import end_leftovers
from profiler.backends.android.settings import PhoneSettings
from profiler.devices import PhoneDevice
from profiler.errors import (
    DeviceError,
    DeviceOfflineError,
    DeviceTimeoutError,
    LeaseLostError,
)

_BOOT_PROBES: Mapping[str, str] = {
    "boot_id": BRIEF_PROBES["boot_id"],
    "booted": silent("getprop sys.boot_completed"),
    "sdk": silent("getprop ro.build.version.sdk"),
}
_GONE = (DeviceOfflineError, DeviceTimeoutError)


class Payload(Protocol):
    """What of ours has to be on a phone."""

    def require_fits(self, serial: str, facts: PhoneFacts) -> None:
        """Raise RuntimeNotSupportedError where it cannot run there."""

    def put(self, folder: RemoteFolder) -> None:
        """Have it in our folder."""


class PhoneSession:
    """A phone inside a `with` block: our program on it, its screen on, nothing of ours running.

    On leaving it, jobs of ours are ended, its settings are as before, and our folder is gone.

    Args:
        transport: The way to the phone.
        device: What is to be run, and how.
        payload: The program that runs it.
        folder: Our folder on the phone.
        patience: How long to wait for the phone.
        ensure_held: Raises LeaseLostError when the phone is another job's by now: its processes and files are not
            touched then.
        shelf_bytes: Most that models may take on it together.

    Attributes:
        transport: The way to the phone.
        patience: How long to wait for it.
        folder: Our folder on the phone.
        ensure_held: Raises LeaseLostError when the phone is another job's by now.
        models: Models on it.
        settings: Its settings.
        facts: What it is.
        cores: Cores that the program is bound to; None when it is not.
    """

    def __init__(
        self,
        transport: Transport,
        device: PhoneDevice,
        payload: Payload,
        *,
        folder: str,
        patience: Patience,
        ensure_held: Callable[[], None],
        shelf_bytes: int,
    ) -> None:
        self.transport, self.patience = transport, patience
        self.folder = RemoteFolder(transport, folder)
        self.models = ModelShelf(self.folder, shelf_bytes)
        self._device, self._payload = device, payload
        self.ensure_held = ensure_held
        self.facts: PhoneFacts
        self.settings: PhoneSettings
        self.cores: tuple[int, ...] | None

    def __enter__(self) -> Self:
        self._await_boot(self.ask(_BOOT_PROBES))
        self.facts = read_facts(self.ask(FACT_PROBES))
        self._payload.require_fits(self.transport.serial, self.facts)
        self.settings = PhoneSettings(self.transport, self.folder, self.facts.sdk)
        with contextlib.ExitStack() as undoing:
            undoing.push(self)
            self.prepare()
            undoing.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.ensure_held()
        except LeaseLostError:
            return
        problems: list[DeviceError] = []
        for step in (self.end_jobs, self.settings.restore, self.folder.remove):
            try:
                step()
            except DeviceError as err:
                problems.append(err)  # the other steps are still to be done, unless there is no phone to do them on
                if isinstance(err, _GONE):
                    break
        for problem in problems:
            if error is None:
                raise problem
            error.add_note(f"the phone was not left as it was: {problem}")

    def ask(self, probes: Mapping[str, str]) -> dict[str, bytes]:
        """Return what commands print, in one round trip.

        Raises:
            DeviceError: The phone cannot be reached.
        """
        return ask(self.transport, probes, timeout_s=self.patience.answer_s)

    def health(self, probes: Mapping[str, str]) -> PhoneHealth:
        """Return how the phone is, as far as probes tell; a connection that breaks at it is made again.

        Raises:
            DeviceError: The phone cannot be reached.
        """
        try:
            return read_health(self.ask(probes))
        except _GONE:
            self.recover()
            return read_health(self.ask(probes))

    def recover(self) -> bool:
        """Come back to a phone that went away: whatever of ours still runs there is ended.

        Returns:
            Whether it has booted anew; then everything was made ready again.

        Raises:
            LeaseLostError: It is another job's by now.
            DeviceError: It did not come back in time, or did not complete its boot.
        """
        self.ensure_held()
        known = self.facts.boot_id
        if self.has_booted_anew(self._await_boot(self._await_answer())):
            self.facts = read_facts(self.ask(FACT_PROBES))
            self.prepare()
            return self.facts.boot_id != known
        self.end_jobs()
        return False

    def end_jobs(self) -> None:
        """End what still runs there from our folder.

        Raises:
            LeaseLostError: The phone is another job's by now.
            DeviceError: Something cannot be ended, or the phone cannot be reached.
        """
        self.ensure_held()
        end_leftovers(self.transport, self.folder.path)

    def prepare(self) -> None:
        """Do all that a boot undoes, or somebody who clears our folder.

        Raises:
            LeaseLostError: The phone is another job's by now.
            DeviceError: It cannot be reached or made ready.
        """
        self.end_jobs()
        self.folder.forget()
        self.models.clear()
        self.folder.make()
        self.settings.apply()
        self._payload.put(self.folder)
        self.cores = self._usable(chosen_cores(self._device.cpus, self._device.threads, self.facts))

    def has_booted_anew(self, boot_id: str | None) -> bool:
        """Return whether this is the number of another boot than the one that the phone was made ready in."""
        return boot_id is not None and self.facts.boot_id is not None and boot_id != self.facts.boot_id

    def binding(self) -> tuple[str, ...]:
        """Return the words before a command that bind it to cores; none when it is not bound."""
        return () if self.cores is None else ("taskset", affinity_mask(self.cores))

    def _usable(self, cores: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """Return cores if the phone lets a program be bound to them."""
        if cores is None:
            return None
        done = self.transport.shell(
            f"taskset {affinity_mask(cores)} true 2>/dev/null", timeout_s=self.patience.answer_s
        )
        return cores if done.exit_code == 0 else None

    def _await_boot(self, answers: Mapping[str, bytes]) -> str | None:
        """Wait until a phone that answers has booted, too; return the boot's number.

        Args:
            answers: What it said to _BOOT_PROBES.

        Raises:
            DeviceError: It did not in time.
        """
        for _ in self.patience.moments(self.patience.boot_s, self.patience.look_every_s):
            # A phone that tells no properties at all is not one that boots.
            if line(answers.get("booted")) == "1" or not line(answers.get("sdk")):
                return line(answers.get("boot_id")) or None
            answers = self._await_answer()
        raise DeviceTimeoutError(self.transport.serial, self.patience.boot_s, "its boot (sys.boot_completed)")

    def _await_answer(self) -> dict[str, bytes]:
        last: DeviceError | None = None
        for _ in self.patience.moments(self.patience.return_s, self.patience.look_every_s):
            try:
                return self.ask(_BOOT_PROBES)
            except _GONE as err:
                last = err
        problem = f"did not come back within {self.patience.return_s:g} s; check its cable and that it is on"
        raise DeviceOfflineError(self.transport.serial, problem) from last
