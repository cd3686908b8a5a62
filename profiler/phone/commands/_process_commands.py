"""Commands about processes: ps, pidof, kill, sleep, taskset, nohup, timeout, id, whoami."""

from __future__ import annotations

import asyncio
import math
import posixpath
from collections.abc import Mapping

from profiler.phone.commands._call import Answer, Call, Command, text
from profiler.phone.files import SHELL_USER
from profiler.phone.processes import Process

_SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "SEGV": 11, "PIPE": 13, "ALRM": 14, "TERM": 15}
_USERS = {0: "root", 1000: "system", 2000: "shell"}
_TIMED_OUT = 124


def _ps(call: Call) -> Answer:
    chosen = [
        process
        for process in call.phone.processes
        if process.uid == SHELL_USER.uid or any(word in ("-A", "-e", "-ef", "-Af") for word in call.arguments)
    ]
    words = list(call.arguments)
    if "-p" in words[:-1]:
        wanted = words[words.index("-p") + 1].split(",")
        chosen = [process for process in call.phone.processes if str(process.pid) in wanted]
    columns = words[words.index("-o") + 1].split(",") if "-o" in words[:-1] else list(_PS_COLUMNS)
    if unknown := [column for column in columns if column.rstrip("=").upper() not in _PS_KNOWN]:
        return call.failure(f"bad -o {unknown[0]}")
    names = [column.rstrip("=").upper() for column in columns]
    rows = [] if all(column.endswith("=") for column in columns) else [names]
    for process in chosen:
        name = process.arguments[0]
        values = {
            "USER": _USERS.get(process.uid, str(process.uid)),
            "PID": str(process.pid),
            "PPID": str(process.parent),
            "PGID": str(process.group),
            "VSZ": "10784668",
            "RSS": "3216",
            "WCHAN": "0",
            "ADDR": "0",
            "S": "S",
            "NAME": name if name.startswith("[") else posixpath.basename(name),
            "ARGS": " ".join(process.arguments),
        }
        values["CMD"] = values["COMM"] = values["NAME"]
        rows.append([values[column] for column in names])
    widths = [max((len(row[place]) for row in rows), default=0) for place in range(len(names))]
    lines = [
        " ".join(cell.ljust(width) if place in (0, len(row) - 1) else cell.rjust(width)
                 for place, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]  # fmt: skip
    return text("".join(f"{line}\n" for line in lines))


_PS_COLUMNS = ("USER", "PID", "PPID", "VSZ", "RSS", "WCHAN", "ADDR", "S", "NAME")
_PS_KNOWN = frozenset({*_PS_COLUMNS, "PGID", "ARGS", "CMD", "COMM"})


def _pidof(call: Call) -> Answer:
    wanted = set(call.arguments) - {"-s"}
    found = [
        str(process.pid)
        for process in call.phone.processes
        if process.uid == SHELL_USER.uid and posixpath.basename(process.arguments[0]) in wanted
    ]
    return Answer(f"{' '.join(found)}\n".encode() if found else b"", code=int(not found))


def _kill(call: Call) -> Answer:
    words = list(call.arguments)
    signal = 15
    if words[:1] == ["-l"]:
        return text("".join(f"{number:2} {name}\n" for name, number in _SIGNALS.items()))
    if words[:1] == ["-s"]:
        words[:2] = ["-" + (words[1] if len(words) > 1 else "")]
    # A first word such as -9 or -KILL names the signal; later ones such as -4321 name groups.
    if len(words) > 1 and words[0].startswith("-") and words[0] != "--":
        name = words.pop(0)[1:].removeprefix("SIG")
        if not (name.isdigit() or name in _SIGNALS):
            return call.failure(f"bad signal '{name}'")
        signal = int(name) if name.isdigit() else _SIGNALS[name]
    errors = ""
    for word in [word for word in words if word != "--"]:
        try:
            call.phone.processes.kill(int(word), signal, SHELL_USER.uid)
        except ValueError:
            errors += f"/system/bin/sh: kill: {word}: arguments must be jobs or process IDs\n"
        except OSError as err:
            errors += f"/system/bin/sh: kill: {word}: {err.strerror}\n"
    return Answer(stderr=errors, code=int(bool(errors)))


async def _sleep(call: Call) -> Answer:
    seconds = _seconds(call.arguments[0] if call.arguments else "")
    if seconds is None:
        return call.failure("Needs a number of seconds")
    clock = call.phone.clock
    if not clock.speed:
        # Whoever starts a sleep waits for it: work may take no time, waiting does.
        await asyncio.sleep(seconds)
    await clock.spend(seconds)
    return Answer()


async def _timeout(call: Call) -> Answer:
    words = [word for word in call.arguments if not word.startswith("-")]
    seconds = _seconds(words[0]) if words else None
    if seconds is None or len(words) < 2:
        return call.failure("Needs 2 arguments")
    try:
        async with asyncio.timeout(seconds or None):
            return Answer(code=await call.run(words[1:], call.pipes, None))
    except TimeoutError:
        for process in call.phone.processes:
            if process.parent == call.process.parent and process.arguments == tuple(words[1:]):
                call.phone.processes.kill(process.pid, 15, SHELL_USER.uid)
                await process.wait()
        return Answer(code=_TIMED_OUT)


def _seconds(word: str) -> float | None:
    try:
        seconds = float(word.removesuffix("s"))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


async def _taskset(call: Call) -> Answer:
    words = list(call.arguments)
    by_pid = words[:1] == ["-p"]
    if by_pid:
        words.pop(0)
    if not words:
        return call.failure("Needs 1 argument")
    if by_pid and len(words) == 1:
        return _affinity(call, words[0])
    try:
        mask = int(words[0], 16)
    except ValueError:
        return call.failure(f"bad mask '{words[0]}'")
    chosen = tuple(core for core in call.phone.description.cores if mask >> core & 1)
    process = _process(call, words[1]) if by_pid else call.process
    if process is None:
        return call.failure(f"pid {words[1]}: No such process")
    if not chosen:
        return call.failure(f"pid {process.pid}: Invalid argument")
    process.affinity = chosen
    return Answer() if by_pid else Answer(code=await call.run(words[1:], call.pipes, process))


def _affinity(call: Call, word: str) -> Answer:
    process = _process(call, word)
    if process is None:
        return call.failure(f"pid {word}: No such process")
    mask = sum(1 << core for core in process.affinity or call.phone.description.cores)
    return text(f"pid {word}'s current affinity mask: {mask:x}\n")


def _process(call: Call, word: str) -> Process | None:
    return call.phone.processes.get(int(word)) if word.isdigit() else None


async def _nohup(call: Call) -> Answer:
    if not call.arguments:
        return call.failure("Needs 1 argument")
    return Answer(code=await call.run(call.arguments, call.pipes, call.process))


def _id(call: Call) -> Answer:
    if call.arguments in (("-u",), ("-g",)):
        return text("2000\n")
    if call.arguments == ("-un",):
        return text("shell\n")
    return text(
        "uid=2000(shell) gid=2000(shell) groups=2000(shell),1004(input),1007(log),1011(adb),1015(sdcard_rw),"
        "1028(sdcard_r),3001(net_bt_admin),3002(net_bt),3003(inet),3006(net_bw_stats),3009(readproc),3011(uhid) "
        "context=u:r:shell:s0\n"
    )


PROCESS_COMMANDS: Mapping[str, Command] = {
    "ps": _ps,
    "pidof": _pidof,
    "kill": _kill,
    "sleep": _sleep,
    "timeout": _timeout,
    "taskset": _taskset,
    "nohup": _nohup,
    "id": _id,
    "whoami": lambda _: text("shell\n"),
}
