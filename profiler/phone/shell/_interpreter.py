"""Runs commands that the grammar has read: lists, pipes, redirections, background jobs, exit codes."""

from __future__ import annotations

import asyncio
import inspect
import posixpath
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from profiler.phone._io import ByteInput, Pipes, Sink
from profiler.phone.commands import COMMANDS, Answer, Call, Command
from profiler.phone.files import SHELL_USER, File, Folder
from profiler.phone.phone import Phone
from profiler.phone.processes import Process
from profiler.phone.programs import abi_of, bits_of
from profiler.phone.shell._expansion import Expander
from profiler.phone.shell._grammar import Group, Item, Pipeline, Redirect, Script, ShellSyntaxError, Simple, parse

_SHELL = "/system/bin/sh"
_MAX_CAPTURE_BYTES = 64 << 20
_MAX_DEPTH = 20
_COMMAND_S = 0.002
"""What starting a small command takes on the phone's clock."""
_HEAD_BYTES = 4096
"""What a kernel looks at to tell what a file is."""
_NOT_FOUND, _NOT_EXECUTABLE, _BROKEN_PIPE = 127, 126, 128 + 13
_ENVIRONMENT = {
    "PATH": "/product/bin:/apex/com.android.runtime/bin:/system/bin:/odm/bin:/vendor/bin",
    "HOME": "/",
    "USER": "shell",
    "LOGNAME": "shell",
    "SHELL": "/bin/sh",
    "TMPDIR": "/data/local/tmp",
    "ANDROID_DATA": "/data",
    "ANDROID_ROOT": "/system",
}


class _ExitSignal(Exception):  # noqa: N818 - it is no error
    """A command has ended its shell."""

    def __init__(self, code: int) -> None:
        self.code = code


async def run_script(phone: Phone, text: str, pipes: Pipes, *, hang: bool = False) -> int:
    """Run a text as adbd does: in a shell that leads a process group of its own.

    Args:
        phone: Where.
        text: Commands; empty for those that come on standard input, line by line.
        pipes: Its standard streams.
        hang: Do nothing for ever instead.

    Returns:
        The exit code; 128 + the signal if a signal ended it.
    """

    async def body(process: Process) -> int:
        if hang:
            await asyncio.Event().wait()
        shell = _Shell(phone, process, pipes)
        return await (shell.run_text(text) if text else shell.run_lines())

    # What follows -c says which command it is to whoever looks at the process's command line.
    arguments = (_SHELL, "-c", text) if text else (_SHELL, "-")
    return await phone.processes.start(arguments, None, body).wait()


class _Shell:
    """One shell process, or a copy of it for a subshell."""

    def __init__(self, phone: Phone, process: Process, pipes: Pipes, depth: int = 0) -> None:
        self._phone, self._process, self._pipes, self._depth = phone, process, pipes, depth
        self._variables = {**_ENVIRONMENT, "HOSTNAME": phone.description.properties.get("ro.product.device", "phone")}
        self._folder = "/"
        self._status, self._last_job = 0, ""
        self._arguments: tuple[str, ...] = ("sh",)
        self._jobs: list[Process] = []
        self._becomes_command = False
        self._expand = Expander(self._value, self._capture, phone.files, lambda: self._folder)

    async def run_text(self, text: str) -> int:
        """Run a text to its end, or to the `exit` in it, and return its code."""
        try:
            script = parse(text)
        except ShellSyntaxError as err:
            await self._complain(f"syntax error: {err}")
            return 1
        return await self._run_all(script)

    async def run_lines(self) -> int:
        """Run lines as they come on standard input, until its end or `exit`."""
        while line := await self._pipes.stdin.read_line():
            try:
                for item in parse(line.decode(errors="surrogateescape")):
                    self._status = await self._item(item)
            except ShellSyntaxError as err:
                await self._complain(f"syntax error: {err}")
                self._status = 1
            except _ExitSignal as end:
                return end.code
        return self._status

    async def _run_all(self, script: Script) -> int:
        try:
            for item in script:
                self._status = await self._item(item)
        except _ExitSignal as end:
            return end.code
        except BrokenPipeError:
            return _BROKEN_PIPE
        return self._status

    async def _item(self, item: Item) -> int:
        if item.background:
            return await self._start_job(item)
        code = await self._pipeline(item.pipelines[0])
        for operator, pipeline in zip(item.operators, item.pipelines[1:], strict=True):
            if (code == 0) == (operator == "&&"):
                self._status = code
                code = await self._pipeline(pipeline)
        return code

    async def _start_job(self, item: Item) -> int:
        script = (Item(item.pipelines, item.operators, background=False),)

        async def body(process: Process) -> int:
            shell = self._copy(process)
            # A shell becomes its only command, so that $! is the command's own number.
            shell._becomes_command = len(item.pipelines) == 1 and len(item.pipelines[0].commands) == 1
            return await shell._run_all(script)

        job = self._phone.processes.start(self._process.arguments, self._process, body)
        self._jobs.append(job)
        self._last_job = str(job.pid)
        await asyncio.sleep(0)  # let it start
        return 0

    async def _pipeline(self, pipeline: Pipeline) -> int:
        *before, last = pipeline.commands
        stdin = self._pipes.stdin
        for command in before:
            # One after the other: nothing here prints for ever, so nothing is lost by not running together.
            captured = bytearray()
            await self._copy(self._process, Pipes(stdin, _into(captured), self._pipes.stderr))._one(command)
            stdin = ByteInput(bytes(captured))
        shell = self if not before else self._copy(self._process, Pipes(stdin, self._pipes.stdout, self._pipes.stderr))
        code = await shell._one(last)
        return int(code == 0) if pipeline.negated else code

    async def _one(self, command: Simple | Group) -> int:
        if self._depth > _MAX_DEPTH:
            await self._complain("nested too deep")
            return 1
        pipes = await self._redirected(command.redirects)
        if pipes is None:
            return 1
        if isinstance(command, Group):
            if command.subshell:
                return await self._copy(self._process, pipes)._run_all(command.script)
            return await self._braces(command.script, pipes)
        return await self._simple(command, pipes)

    async def _braces(self, script: Script, pipes: Pipes) -> int:
        kept, self._pipes = self._pipes, pipes
        try:
            for item in script:
                self._status = await self._item(item)
        finally:
            self._pipes = kept
        return self._status

    async def _simple(self, command: Simple, pipes: Pipes) -> int:
        words = [field for word in command.words for field in await self._expand.fields(word)]
        assigned = {name: await self._expand.text(word) for name, word in command.assignments}
        if not words:
            self._variables.update(assigned)
            return 0
        return await self._execute(words, pipes, {**self._variables, **assigned})

    async def _execute(
        self, words: Sequence[str], pipes: Pipes, variables: dict[str, str], process: Process | None = None
    ) -> int:
        name, *arguments = words
        if builtin := self._BUILTINS.get(name):
            return await builtin(self, arguments, pipes)
        found = await self._find(name, pipes)
        if isinstance(found, int):
            return found
        call = Call(
            self._phone,
            name,
            tuple(arguments),
            pipes,
            self._folder,
            variables,
            self._process,
            lambda words, pipes, process: self._execute(words, pipes, variables, process),
        )
        await self._phone.clock.spend(_COMMAND_S)
        if inspect.iscoroutinefunction(found):
            return await self._lasting(tuple(words), found, call, process)
        return await _deliver(cast(Answer, found(call)), pipes)

    async def _lasting(
        self,
        words: tuple[str, ...],
        command: Callable[[Call], Awaitable[Answer]],
        call: Call,
        becoming: Process | None,
    ) -> int:
        """Run a command that takes time as a process of its own, so that it is listed and can be killed."""

        async def body(process: Process) -> int:
            return await _deliver(await command(call.as_process(process)), call.pipes)

        becoming = self._process if self._becomes_command else becoming
        if becoming is not None:
            becoming.arguments = words
            return await body(becoming)
        child = self._phone.processes.start(words, self._process, body)
        return await child.wait()

    async def _find(self, name: str, pipes: Pipes) -> Command | int:
        """Return what a name runs, or the exit code after saying why nothing."""
        if "/" not in name:
            if name in COMMANDS:
                return COMMANDS[name]
            await self._complain(f"{name}: inaccessible or not found", pipes)
            return _NOT_FOUND
        path = posixpath.normpath(posixpath.join(self._folder, name))
        try:
            node = self._phone.files.find(path, SHELL_USER)
        except OSError:
            await self._complain(f"{name}: inaccessible or not found", pipes)
            return _NOT_FOUND
        if isinstance(node, Folder) or node.mount.noexec or not self._phone.files.may(path, SHELL_USER, 1):
            why = "Is a directory" if isinstance(node, Folder) else "Permission denied"
            await self._complain(f"{name}: can't execute: {why}", pipes)
            return _NOT_EXECUTABLE
        content = cast(File, node).read()
        if posixpath.dirname(path) == "/system/bin" and posixpath.basename(path) in COMMANDS:
            return COMMANDS[posixpath.basename(path)]
        head = bytes(content[:_HEAD_BYTES])
        if self._phone.runs(abi_of(head)) and (program := self._phone.program_of(head)):
            return program
        if bits := bits_of(head):
            await self._complain(f"{name}: not executable: {bits}-bit ELF file", pipes)
            return _NOT_EXECUTABLE
        if b"\0" in head:
            await self._complain(f"{name}: not executable: magic {head[:2].hex().upper()}", pipes)
            return _NOT_EXECUTABLE
        return self._script(content.decode(errors="surrogateescape"))

    def _script(self, text: str) -> Command:
        async def run(call: Call) -> Answer:
            shell = self._copy(call.process, call.pipes)
            shell._arguments = (call.name, *call.arguments)
            return Answer(code=await shell.run_text(text))

        return run

    async def _redirected(self, redirects: Sequence[Redirect]) -> Pipes | None:
        """Return the streams after redirection; None after saying why one cannot be."""
        stdin, sinks = self._pipes.stdin, {1: self._pipes.stdout, 2: self._pipes.stderr}
        for redirect in redirects:
            target = await self._expand.text(redirect.target)
            if redirect.operator == ">&":
                if not (target.isdigit() and int(target) in sinks):
                    await self._complain(f"{target}: bad file descriptor")
                    return None
                sinks[redirect.fd] = sinks[int(target)]
                continue
            path = posixpath.join(self._folder, target)
            try:
                if redirect.operator == "<":
                    stdin = ByteInput(bytes(self._phone.files.read(path, SHELL_USER)))
                else:
                    sinks[redirect.fd] = self._file_sink(path, append=redirect.operator == ">>")
            except OSError as err:
                verb = "open" if redirect.operator == "<" else "create"
                await self._complain(f"can't {verb} {target}: {err.strerror}")
                return None
        return Pipes(stdin, sinks[1], sinks[2])

    def _file_sink(self, path: str, *, append: bool) -> Sink:
        if posixpath.normpath(path) == "/dev/null":
            return _nowhere
        files = self._phone.files
        file = files.open_to_append(path, SHELL_USER) if append else files.create(path, SHELL_USER)

        async def write(data: bytes) -> None:
            try:
                files.append(file, data)
            except OSError as err:
                await self._complain(f"write error: {err.strerror}")

        return write

    async def _capture(self, script: Script) -> str:
        captured = bytearray()
        shell = self._copy(self._process, Pipes(self._pipes.stdin, _into(captured), self._pipes.stderr))
        self._status = await shell._run_all(script)
        return captured.decode(errors="surrogateescape").replace("\0", "")

    def _copy(self, process: Process, pipes: Pipes | None = None) -> _Shell:
        shell = _Shell(self._phone, process, pipes or self._pipes, self._depth + 1)
        shell._variables = dict(self._variables)
        shell._folder, shell._arguments = self._folder, self._arguments
        shell._status, shell._last_job = self._status, self._last_job
        return shell

    def _value(self, name: str) -> str:
        match name:
            case "?":
                return str(self._status)
            case "$":
                # $$ is the shell that the client started, in its subshells too.
                return str(self._process.group)
            case "!":
                return self._last_job
            case "#":
                return str(len(self._arguments) - 1)
            case "@" | "*":
                return " ".join(self._arguments[1:])
            case _ if name.isdigit():
                return self._arguments[int(name)] if int(name) < len(self._arguments) else ""
            case _:
                return self._variables.get(name, "")

    async def _complain(self, text: str, pipes: Pipes | None = None) -> None:
        await (pipes or self._pipes).stderr(f"{_SHELL}: {text}\n".encode(errors="surrogateescape"))

    # What only the shell itself can do.

    async def _exit(self, arguments: Sequence[str], pipes: Pipes) -> int:
        raise _ExitSignal(int(arguments[0]) & 0xFF if arguments and arguments[0].isdigit() else self._status)

    async def _cd(self, arguments: Sequence[str], pipes: Pipes) -> int:
        target = arguments[0] if arguments else "/"
        path = posixpath.normpath(posixpath.join(self._folder, target))
        try:
            node = self._phone.files.find(path, SHELL_USER)
        except OSError as err:
            await self._complain(f"cd: {target}: {err.strerror}", pipes)
            return 2
        if not isinstance(node, Folder):
            await self._complain(f"cd: {target}: Not a directory", pipes)
            return 2
        self._folder = path
        return 0

    async def _export(self, arguments: Sequence[str], pipes: Pipes) -> int:
        for argument in arguments:
            name, equals, value = argument.partition("=")
            if equals:
                self._variables[name] = value
        return 0

    async def _unset(self, arguments: Sequence[str], pipes: Pipes) -> int:
        for name in arguments:
            self._variables.pop(name, None)
        return 0

    async def _wait(self, arguments: Sequence[str], pipes: Pipes) -> int:
        wanted = {int(text) for text in arguments if text.isdigit()}
        code = 0
        for job in self._jobs:
            if not wanted or job.pid in wanted:
                code = await job.wait()
        if wanted - {job.pid for job in self._jobs}:
            return _NOT_FOUND
        return code if wanted else 0

    async def _exec(self, arguments: Sequence[str], pipes: Pipes) -> int:
        if not arguments:
            self._pipes = pipes
            return 0
        raise _ExitSignal(await self._execute(arguments, pipes, self._variables))

    async def _sh(self, arguments: Sequence[str], pipes: Pipes) -> int:
        shell = self._copy(self._process, pipes)
        if arguments[:1] == ["-c"] and len(arguments) > 1:
            shell._arguments = tuple(arguments[2:]) or ("sh",)
            return await shell.run_text(arguments[1])
        if arguments:
            try:
                path = posixpath.join(self._folder, arguments[0])
                text = bytes(self._phone.files.read(path, SHELL_USER)).decode(errors="surrogateescape")
            except OSError as err:
                await self._complain(f"{arguments[0]}: {err.strerror}", pipes)
                return _NOT_FOUND
            shell._arguments = tuple(arguments)
            return await shell.run_text(text)
        return await shell.run_lines()

    _BUILTINS: dict[str, Callable[[_Shell, Sequence[str], Pipes], Awaitable[int]]] = {  # noqa: RUF012 - never changed
        "exit": _exit,
        "cd": _cd,
        "export": _export,
        "unset": _unset,
        "wait": _wait,
        "exec": _exec,
        "sh": _sh,
    }


async def _deliver(answer: Answer, pipes: Pipes) -> int:
    if answer.stdout:
        await pipes.stdout(bytes(answer.stdout))
    if answer.stderr:
        await pipes.stderr(answer.stderr.encode(errors="surrogateescape"))
    return answer.code


def _into(captured: bytearray) -> Sink:
    async def write(data: bytes) -> None:
        captured.extend(data[: _MAX_CAPTURE_BYTES - len(captured)])

    return write


async def _nowhere(data: bytes) -> None:
    """Take output and lose it."""
