"""An emulated phone: what it is, what is in it, and what it would do; how it is reached is the server's part."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable

import numpy as np

from profiler.phone._keys import Keyring
from profiler.phone._system_files import fill, mounts
from profiler.phone.clock import PhoneClock
from profiler.phone.commands import Command
from profiler.phone.content_pool import ContentPool
from profiler.phone.description import PhoneDescription
from profiler.phone.dynamics import Dynamics
from profiler.phone.faults import Fault, FaultScript
from profiler.phone.files import FileSystem
from profiler.phone.processes import ProcessTable
from profiler.phone.programs import NativePrograms, VirtualPrograms
from profiler.phone.state import PhoneState

FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir", "sendrecv_v2", "delayed_ack")
"""What an adbd of Android 12 and later offers, without compression and without what is not emulated."""

_EMULATED = {"ro.pocketnas.emulated": "1"}
"""Says to everyone who asks that no number of this phone was measured."""

ProgramFinder = Callable[[bytes], Command | None]


class Phone:
    """A phone that exists in this process only.

    Args:
        description: What it is.
        features: What its adbd offers; without "shell_v2" exit codes and standard error are lost, as before Android 7.
        secure: Whether computers must show a key that the phone trusts.
        faults: What goes wrong.
        seed: Fixes what differs from boot to boot, and on which occasions faults with a share happen.
        clock: Its time; None for one at speed 0 that starts now.
        contents: Where large files are shared with other phones; None for a pool of its own.

    Attributes:
        clock: Its time.
        dynamics: What load does to it.
        files: Its file system.
        processes: What runs on it.
        faults: What goes wrong; may be added to.
        seed: What fixes its chances.
        keyring: Keys of the computers it trusts.
        programs: Finders of the programs that pushed files are.
        on_cut: Called when its connections break because it restarts or goes; whoever serves it puts itself there.
    """

    def __init__(
        self,
        description: PhoneDescription,
        *,
        features: Iterable[str] = FEATURES,
        secure: bool = True,
        faults: Iterable[Fault] = (),
        seed: int = 0,
        clock: PhoneClock | None = None,
        contents: ContentPool | None = None,
    ) -> None:
        self.description, self.features, self.secure = description, tuple(features), secure
        self.seed, self._boots = seed, 0
        self.clock = clock or PhoneClock()
        self._state = PhoneState(boot_id=_boot_id(seed, 0))
        self.dynamics = Dynamics(description, self._state, self.clock)
        self.processes = ProcessTable()
        self.faults = FaultScript(faults, seed=seed)
        self.keyring = Keyring()
        self.programs: list[ProgramFinder] = [VirtualPrograms(), NativePrograms(description.qemu_cpu)]
        self.on_cut: list[Callable[[], None]] = []
        self._booted_s = self.clock.elapsed_s
        self._has_booted = self._returned = self._after(0.0)
        self._cooled = self._after(None)
        self.files = FileSystem(mounts(description), self.now_s, ContentPool() if contents is None else contents)
        fill(self)

    @property
    def state(self) -> PhoneState:
        """What changes while it runs, as it is now; may be changed from outside."""
        self.dynamics.catch_up()
        if self._cooled():
            self._state.forced_status, self._cooled = None, self._after(None)
        return self._state

    def now_s(self) -> float:
        """Return its time, in seconds since 1970."""
        return self.clock.now_s

    @property
    def uptime_s(self) -> float:
        """Seconds since it booted."""
        return self.clock.elapsed_s - self._booted_s

    @property
    def present(self) -> bool:
        """Whether it can be reached at all."""
        return self._returned()

    @property
    def properties(self) -> dict[str, str]:
        """What `getprop` says at this moment."""
        booted = "1" if self._has_booted() else ""
        boot = {"sys.boot_completed": booted, "dev.bootcomplete": booted}
        return self.description.properties | _EMULATED | boot

    def reboot(self, *, boot_s: float | None = 0.0) -> None:
        """Start anew: processes end, connections break, files and settings stay.

        Args:
            boot_s: How long until it has booted; None for never.
        """
        self._boots += 1
        self._booted_s = self.clock.elapsed_s
        self._has_booted = self._after(boot_s)
        self.state.boot_id = _boot_id(self.seed, self._boots)
        self.state.fixed_performance = False
        self.processes.end_all()
        for cut in self.on_cut:
            cut()

    def vanish(self, seconds: float | None = None) -> None:
        """Be switched off and out of reach.

        Args:
            seconds: How long until it is back, booted; None for ever.
        """
        self._returned = self._after(seconds)
        self.reboot()

    def overheat(self, status: int, seconds: float | None = None) -> None:
        """Be in a thermal severity, whatever the heat.

        Args:
            status: Android's number of it.
            seconds: For how long; None for ever.
        """
        self.state.forced_status = status
        self._cooled = self._after(seconds)

    def _after(self, seconds: float | None) -> Callable[[], bool]:
        """Return what says whether seconds have passed, by the phone's clock or by ours, which may stand still."""
        if seconds is None:
            return lambda: False
        here_s, there_s = time.monotonic() + seconds, self.now_s() + seconds
        return lambda: time.monotonic() >= here_s or self.now_s() >= there_s

    def banner(self) -> str:
        """Return what it says of itself when a client connects."""
        names = ("ro.product.name", "ro.product.model", "ro.product.device")
        told = "".join(f"{name}={self.description.properties.get(name, '')};" for name in names)
        return f"device::{told}features={','.join(self.features)}"

    def runs(self, abi: str | None) -> bool:
        """Say whether programs for a binary interface can be executed."""
        return abi in self.description.properties.get("ro.product.cpu.abilist", "").split(",")

    def program_of(self, content: bytes) -> Command | None:
        """Return what runs when a pushed file of this content is started; None when it is no known program."""
        return next((program for find in self.programs if (program := find(content))), None)


def _boot_id(seed: int, boots: int) -> str:
    return str(uuid.UUID(bytes=np.random.default_rng([seed, boots]).bytes(16), version=4))
