"""Commands about text: echo, printf, cat, grep, head, tail, wc, test."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from profiler.phone.commands._call import Answer, Call, Command, text
from profiler.phone.files import SHELL_USER, File, Folder, stat_of

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "a": "\a", "0": "\0", "e": "\x1b"}


def _echo(call: Call) -> Answer:
    # mksh reads backslashes in echo's arguments unless -E is given.
    words = list(call.arguments)
    newline, escapes = "\n", True
    while words and words[0] in ("-n", "-e", "-E", "-ne", "-en"):
        option = words.pop(0)
        newline = "" if "n" in option else newline
        escapes = escapes and option != "-E"
    line = " ".join(words)
    return text((_unescape(line) if escapes else line) + newline)


def _printf(call: Call) -> Answer:
    if not call.arguments:
        return call.failure("needs 1 argument", 1)
    form, *values = call.arguments
    given = iter(values)
    line = re.sub(r"%([sd%])", lambda match: "%" if match[1] == "%" else next(given, ""), _unescape(form))
    return text(line)


def _unescape(line: str) -> str:
    return re.sub(r"\\([ntr\\a0e])", lambda match: _ESCAPES[match[1]], line)


async def _cat(call: Call) -> Answer:
    stdout, stderr = bytearray(), ""
    for name in call.arguments or ("-",):
        if name == "-":
            stdout += await call.pipes.stdin.read_all()
            continue
        try:
            stdout += call.files.read(call.path(name), SHELL_USER)
        except OSError as err:
            stderr += f"cat: {name}: {err.strerror}\n"
    return Answer(stdout, stderr, int(bool(stderr)))


async def _grep(call: Call) -> Answer:
    options, rest = call.options("qivcFEorn")
    if not rest:
        return call.failure("No REGEX", 2)
    wanted, *names = rest
    try:
        pattern = re.compile(re.escape(wanted) if "F" in options else wanted, re.IGNORECASE if "i" in options else 0)
    except re.error as err:
        return call.failure(f"bad REGEX '{wanted}': {err}", 2)
    try:
        inputs = [bytes(call.files.read(call.path(name), SHELL_USER)) for name in names]
    except OSError as err:
        return call.failure(f"{names[-1]}: {err.strerror}", 2)
    data = b"".join(inputs) if names else await call.pipes.stdin.read_all()
    lines = data.decode(errors="surrogateescape").splitlines()
    found = [line for line in lines if bool(pattern.search(line)) != ("v" in options)]
    if "q" in options:
        return Answer(code=int(not found))
    shown = f"{len(found)}\n" if "c" in options else "".join(f"{line}\n" for line in found)
    return Answer(shown.encode(errors="surrogateescape"), code=int(not found))


async def _head(call: Call) -> Answer:
    return await _ends(call, lambda lines, count: lines[:count])


async def _tail(call: Call) -> Answer:
    return await _ends(call, lambda lines, count: lines[-count:] if count else [])


async def _ends(call: Call, choose: Callable[[list[bytes], int], list[bytes]]) -> Answer:
    words, count = list(call.arguments), 10
    if words and (match := re.fullmatch(r"-n?(\d+)", words[0])):
        count = int(match[1])
        words.pop(0)
    elif words[:1] == ["-n"] and len(words) > 1 and words[1].isdigit():
        count = int(words[1])
        words = words[2:]
    if not words:
        data = await call.pipes.stdin.read_all()
        return Answer(b"".join(choose(data.splitlines(keepends=True), count)))
    stdout, stderr = b"", ""
    for name in words:
        try:
            lines = bytes(call.files.read(call.path(name), SHELL_USER)).splitlines(keepends=True)
        except OSError as err:
            stderr += f"{call.name}: {name}: {err.strerror}\n"
            continue
        # Of several files, each has its name above it.
        head = f"{chr(10) if stdout else ''}==> {name} <==\n" if len(words) > 1 else ""
        stdout += head.encode(errors="surrogateescape") + b"".join(choose(lines, count))
    return Answer(stdout, stderr, int(bool(stderr)))


async def _wc(call: Call) -> Answer:
    options, names = call.options("lwc")
    try:
        read = [bytes(call.files.read(call.path(name), SHELL_USER)) for name in names]
    except OSError as err:
        return call.failure(f"{names[-1]}: {err.strerror}")
    data = b"".join(read) if names else await call.pipes.stdin.read_all()
    counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
    shown = [str(counts[letter]) for letter in "lwc" if letter in (options or "lwc")]
    return text(" ".join(shown + names[:1]) + "\n")


def _test(call: Call) -> Answer:
    words = list(call.arguments)
    if call.name == "[":
        if words[-1:] != ["]"]:
            return call.failure("missing ]", 2)
        words.pop()
    negated = words[:1] == ["!"]
    holds = _holds(call, words[int(negated) :])
    if holds is None:
        return call.failure("bad arguments", 2)
    return Answer(code=int(holds == negated))


def _holds(call: Call, words: Sequence[str]) -> bool | None:
    if len(words) <= 1:
        return bool(words and words[0])
    if len(words) == 2:
        return _file_test(call, *words)
    if len(words) != 3:
        return None
    left, operator, right = words
    if operator in ("=", "==", "!="):
        return (left == right) == (operator != "!=")
    try:
        a, b = int(left), int(right)
    except ValueError:
        return None
    numbers = {"-eq": a == b, "-ne": a != b, "-lt": a < b, "-le": a <= b, "-gt": a > b, "-ge": a >= b}
    return numbers.get(operator)


def _file_test(call: Call, operator: str, argument: str) -> bool | None:
    if operator in ("-n", "-z"):
        return bool(argument) == (operator == "-n")
    path = call.path(argument)
    if operator in ("-r", "-w", "-x"):
        return call.files.may(path, SHELL_USER, {"-r": 4, "-w": 2, "-x": 1}[operator])
    try:
        node = call.files.find(path, SHELL_USER)
    except OSError:
        return False
    answers = {
        "-e": True,
        "-f": isinstance(node, File),
        "-d": isinstance(node, Folder),
        "-s": stat_of(node).size > 0,
    }
    return answers.get(operator)


TEXT_COMMANDS: Mapping[str, Command] = {
    "echo": _echo,
    "printf": _printf,
    "cat": _cat,
    "grep": _grep,
    "head": _head,
    "tail": _tail,
    "wc": _wc,
    "test": _test,
    "[": _test,
    "true": lambda _: Answer(),
    "false": lambda _: Answer(code=1),
    ":": lambda _: Answer(),
}
