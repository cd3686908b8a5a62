"""Programs that really run: pushed ELF files, as processes of this computer, through qemu where it is of another kind.

They show what a program does, never how long it takes: under qemu cores rank wrongly, and the phone's law is not
asked.  A second of theirs is a second on the phone's clock; its clocks are at their highest meanwhile, and it stays as
cool as it was.  Such a process has a group of its own, gets the signals that the phone's commands send, and ends with
the phone.  Affinity is kept in the phone's books alone: this computer has other cores.  A program sees the phone's
files below /data/local/tmp and a few of /proc and /sys (`_mirror`), and has no standard input.  It is no sandbox: a
program can open what its user can, so the phone's server lets in nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from profiler.phone._io import ClientSink, Sink
from profiler.phone._strikes import strike
from profiler.phone.commands import Answer, Call, Command
from profiler.phone.files import SHELL_USER
from profiler.phone.programs._elf import abi_of, interpreter_of, is_loadable
from profiler.phone.programs._mirror import Mirror
from profiler.phone.programs._words import shown_words

_NATIVE = {"x86_64": ("x86_64", "AMD64")}
"""What runs as it is, by what Python calls this computer's processor."""
_QEMU = {"arm64-v8a": ("qemu-aarch64-static", "qemu-aarch64")}
_PACKAGE = "qemu-user-static"
_NOT_EXECUTABLE = 126
_READ_BYTES = 1 << 16
_TICK_S = 0.1
"""How often files are compared."""
_SHOW_S = 0.5
"""How often temperatures and clocks are brought up to the present."""
_ENDING_S = 0.005
"""How often a process that has closed its outputs is asked whether it has ended."""
_MOST_LIMIT_BYTES = 1 << 60
_LOADER_VARIABLES = ("LD_", "QEMU_")


class NativePrograms:
    """The programs of one phone that really run.

    Args:
        qemu_cpu: Processor that qemu is to be, as its -cpu takes it.
    """

    def __init__(self, qemu_cpu: str) -> None:
        self._qemu_cpu = qemu_cpu
        self._mirror: Mirror | None = None

    def __call__(self, content: bytes) -> Command | None:
        """Return what runs when a file that begins so is started; None for what no program of ours can be."""
        abi = abi_of(content)
        if abi not in (*_NATIVE, *_QEMU) or not is_loadable(content):
            return None
        launcher = _launcher(abi, self._qemu_cpu)
        loader = interpreter_of(content)

        async def run(call: Call) -> Answer:
            if launcher is None:
                return _refused(call, f"{abi} programs run here only with qemu; install the package {_PACKAGE}")
            if loader is not None and not call.files.may(loader, SHELL_USER, 1):
                return _refused(call, f"needs the loader {loader}, which this phone does not have")
            if self._mirror is None:
                self._mirror = Mirror(call.files)
            try:
                return Answer(code=await _Run(call, self._mirror, launcher).finished())
            except OSError as err:
                return _refused(call, f"this computer cannot run it: {err.strerror}")

        return run


def _refused(call: Call, why: str) -> Answer:
    return Answer(stderr=f"/system/bin/sh: {call.name}: can't execute: {why}\n", code=_NOT_EXECUTABLE)


def _launcher(abi: str, cpu: str) -> tuple[str, ...] | None:
    """Return the words before a program of a binary interface; None when this computer cannot run it."""
    if platform.machine() in _NATIVE.get(abi, ()):
        return ()
    qemu = next((found for name in _QEMU.get(abi, ()) if (found := shutil.which(name))), None)
    return None if qemu is None else (qemu, "-cpu", cpu)


class _Run:
    """One process, from its start to its end.

    Args:
        call: The command as the phone's shell has it.
        mirror: Shows it the phone's files.
        launcher: Words before the program.
    """

    def __init__(self, call: Call, mirror: Mirror, launcher: tuple[str, ...]) -> None:
        self._call, self._mirror, self._launcher = call, mirror, launcher
        self._line = " ".join((call.name, *call.arguments))
        self._kill = call.phone.faults.take("kill", self._line, run=0)
        self._printed = 0

    async def finished(self) -> int:
        """Run it, and return its exit code, 128 + the signal if one ended it.

        Raises:
            OSError: It cannot be started, or there is no room to show it the phone's files.
        """
        with self._clocks_up(), self._mirror.held() as root, self._started(root) as process:
            strike(self._call.phone, self._line, 0)
            self._limit_files(process)
            self._end_if_due(process)
            pipes = self._call.pipes
            pumps = {
                asyncio.ensure_future(self._pump(process, cast(IO[bytes], file), sink, counted=file is process.stdout))
                for file, sink in ((process.stdout, pipes.stdout), (process.stderr, pipes.stderr))
            }
            try:
                await self._watch(process, pumps)
                # What it left running would hold the pipes open; what is in them is still the client's.
                _signal(process, signal.SIGKILL)
                process.wait()
                await asyncio.wait(pumps)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        code = process.returncode
        return code if code >= 0 else 128 - code

    @contextlib.contextmanager
    def _started(self, root: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Give the process inside a `with` block, at whose end it and its group are gone."""
        call = self._call
        folder = self._mirror.path_of(call.folder)
        folder.mkdir(parents=True, exist_ok=True)
        program = os.path.join(".", os.path.relpath(self._mirror.path_of(call.path(call.name)), folder))  # noqa: PTH118
        words = shown_words(call.arguments, call.folder)
        if self._launcher:
            # An option, for what qemu's own loader would heed is not meant for it.
            loaders = [word for name, value in _loaders(call.variables) for word in ("-E", f"{name}={value}")]
            words = [*self._launcher, "-L", str(root), *loaders, "-0", call.name, program, *words]
        else:
            words = [program, *words]
        process = subprocess.Popen(
            [*_wrapped(), *words],
            cwd=folder,
            env={name: value for name, value in call.variables.items() if not name.startswith(_LOADER_VARIABLES)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        call.process.deliver = lambda number: _signal(process, number)
        with process:
            try:
                yield process
            finally:
                call.process.deliver = None
                _signal(process, signal.SIGKILL)

    @contextlib.contextmanager
    def _clocks_up(self) -> Iterator[None]:
        """Let the phone look busy, but for its heat: that is this computer's."""
        dynamics, clusters = self._call.phone.dynamics, self._call.phone.description.clusters
        with dynamics.loaded(0.0, {cluster.name: dynamics.cap_share for cluster in clusters}):
            yield

    def _throttle(self) -> None:
        """Let heat hold the clocks down."""
        phone = self._call.phone
        cap_share = phone.dynamics.cap_share
        phone.state.frequency_share.update({cluster.name: cap_share for cluster in phone.description.clusters})

    async def _watch(self, process: subprocess.Popen[bytes], pumps: set[asyncio.Task[None]]) -> None:
        """Return when it has ended; meanwhile time passes on the phone, and files are compared."""
        last_s = agreed_s = shown_s = time.monotonic()
        while not _has_ended(process):
            if all(pump.done() for pump in pumps):
                await asyncio.sleep(_ENDING_S)
            else:
                await asyncio.wait(pumps, timeout=_TICK_S)
            now_s = time.monotonic()
            if not self._call.phone.clock.speed:
                await self._call.phone.clock.spend(now_s - last_s)
            last_s = now_s
            if now_s - agreed_s >= _TICK_S:
                self._mirror.agree()
                self._limit_files(process)
                agreed_s = now_s
            if now_s - shown_s >= _SHOW_S:
                self._throttle()
                self._mirror.show()
                shown_s = now_s

    async def _pump(self, process: subprocess.Popen[bytes], file: IO[bytes], sink: Sink, *, counted: bool) -> None:
        """Hand its output on as it comes; when nobody takes it any more, close the pipe, as adbd does."""
        os.set_blocking(file.fileno(), False)
        gone = sink.gone if isinstance(sink, ClientSink) else asyncio.Event()
        with file:
            while not gone.is_set():
                room = self._kill.at_bytes - self._printed if counted and self._kill else _READ_BYTES
                try:
                    data = os.read(file.fileno(), min(room, _READ_BYTES))
                except BlockingIOError:
                    await _readable(file.fileno(), gone)
                    continue
                if not data:
                    return
                try:
                    await sink(data)
                except (BrokenPipeError, ConnectionAbortedError):
                    return
                if counted:
                    self._printed += len(data)
                    self._end_if_due(process)

    def _limit_files(self, process: subprocess.Popen[bytes]) -> None:
        """Let files grow no further than the phone has room; what would is an error of its write, EFBIG at that."""
        most = min(self._mirror.most_file_bytes(), _MOST_LIMIT_BYTES)
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, hard))

    def _end_if_due(self, process: subprocess.Popen[bytes]) -> None:
        """Let the script's signal end it when it has printed so much."""
        if self._kill and self._printed >= self._kill.at_bytes:
            _signal(process, self._kill.signal)
            self._kill = None


async def _readable(file: int, gone: asyncio.Event) -> None:
    """Return when there is something to read, or nobody to read it for."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(file, ready.set)
    waiting = [asyncio.ensure_future(event.wait()) for event in (ready, gone)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(file)
        for one in waiting:
            one.cancel()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Say whether it has ended, and leave it unreaped: its number stays its own, and its group can be ended."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to its group, unless it is reaped: then the number may be somebody else's."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def _wrapped() -> list[str]:
    """Return words before a command that let it leave no core file, and end it when the thread that starts it ends."""
    wrappers = (("setpriv", "--pdeathsig", "KILL", "--"), ("prlimit", "--core=0", "--"))
    return [word for name, *options in wrappers if (path := shutil.which(name)) for word in (path, *options)]


def _loaders(variables: Mapping[str, str]) -> list[tuple[str, str]]:
    # qemu takes a comma for the end of a variable.
    return [pair for pair in variables.items() if pair[0].startswith("LD_") and "," not in pair[1]]
