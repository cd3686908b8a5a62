"""An emulated phone: what it is, what is in it, and what it would do; how it is reached is the server's part."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable

import numpy as np

from profiler.phone._keys import Keyring
from profiler.phone._system_files import fill, mounts
from profiler.phone.commands import Command
from profiler.phone.description import PhoneDescription
from profiler.phone.faults import Fault, FaultScript
from profiler.phone.files import FileSystem
from profiler.phone.processes import ProcessTable
from profiler.phone.state import PhoneState

FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir", "sendrecv_v2", "delayed_ack")
"""What an adbd of Android 12 and later offers, without compression and without what is not emulated."""

ProgramFinder = Callable[[bytes], Command | None]


class Phone:
    """A phone that exists in this process only.

    Args:
        description: What it is.
        features: What its adbd offers; without "shell_v2" exit codes and standard error are lost, as before Android 7.
        secure: Whether computers must show a key that the phone trusts.
        faults: What goes wrong.
        seed: Fixes what differs from boot to boot, and on which occasions faults with a share happen.
        now_s: Tells the time, in seconds since 1970.

    Attributes:
        state: What changes while it runs; may be changed from outside.
        files: Its file system.
        processes: What runs on it.
        faults: What goes wrong; may be added to.
        keyring: Keys of the computers it trusts.
        programs: Finders of the programs that pushed files are.
    """

    def __init__(
        self,
        description: PhoneDescription,
        *,
        features: Iterable[str] = FEATURES,
        secure: bool = True,
        faults: Iterable[Fault] = (),
        seed: int = 0,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.description, self.features, self.secure = description, tuple(features), secure
        self.state = PhoneState(boot_id=_boot_id(seed))
        self.processes = ProcessTable()
        self.faults = FaultScript(faults, seed=seed)
        self.keyring = Keyring()
        self.programs: list[ProgramFinder] = []
        self.now_s = now_s
        self._booted_s = now_s()
        self.files = FileSystem(mounts(description), now_s)
        fill(self)

    @property
    def uptime_s(self) -> float:
        """Seconds since it booted."""
        return self.now_s() - self._booted_s

    def banner(self) -> str:
        """Return what it says of itself when a client connects."""
        names = ("ro.product.name", "ro.product.model", "ro.product.device")
        told = "".join(f"{name}={self.description.properties.get(name, '')};" for name in names)
        return f"device::{told}features={','.join(self.features)}"

    def program_of(self, content: bytes) -> Command | None:
        """Return what runs when a pushed file of this content is started; None when it is no known program."""
        return next((program for find in self.programs if (program := find(content))), None)


def _boot_id(seed: int) -> str:
    return str(uuid.UUID(bytes=np.random.default_rng(seed).bytes(16), version=4))
