"""Commands that change files and sum them up: rm, mv, cp, mkdir, chmod, touch, sha256sum, md5sum."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from profiler.phone.commands._call import Answer, Call, Command
from profiler.phone.files import SHELL_USER, File, Folder


def _rm(call: Call) -> Answer:
    options, names = call.options("rRf")
    if not names and "f" not in options:
        return call.failure("Needs 1 argument")
    errors = ""
    for name in names:
        try:
            _remove(call, call.path(name), deep=bool(options & {"r", "R"}))
        except FileNotFoundError as err:
            errors += "" if "f" in options else f"rm: {name}: {err.strerror}\n"
        except OSError as err:
            errors += f"rm: {name}: {err.strerror}\n"
    return Answer(stderr=errors, code=int(bool(errors)))


def _remove(call: Call, path: str, *, deep: bool) -> None:
    node = call.files.find(path, SHELL_USER, follow=False)
    if deep and isinstance(node, Folder):
        for name in call.files.names(path, SHELL_USER):
            _remove(call, posixpath.join(path, name), deep=True)
    call.files.remove(path, SHELL_USER, folder_too=deep)


def _rmdir(call: Call) -> Answer:
    for name in call.arguments:
        try:
            call.files.remove(call.path(name), SHELL_USER, folder_too=True)
        except OSError as err:
            return call.failure(f"{name}: {err.strerror}")
    return Answer()


def _mv(call: Call) -> Answer:
    _, names = call.options("fn")
    return _each_into(call, names, lambda source, target: call.files.rename(source, target, SHELL_USER))


def _cp(call: Call) -> Answer:
    _, names = call.options("fp")

    def copy(source: str, target: str) -> None:
        content = bytes(call.files.read(source, SHELL_USER))
        mode = call.files.stat(source, SHELL_USER).mode
        call.files.append(call.files.create(target, SHELL_USER, mode), content)

    return _each_into(call, names, copy)


def _each_into(call: Call, names: list[str], act: Callable[[str, str], None]) -> Answer:
    """Do something with each name and the place it gets at the last one, which may be a folder."""
    if len(names) < 2:
        return call.failure("Needs 2 arguments")
    *sources, target = names
    for source in sources:
        place = call.path(target)
        try:
            if isinstance(call.files.find(place, SHELL_USER), Folder):
                place = posixpath.join(place, posixpath.basename(source.rstrip("/")))
        except OSError:
            pass  # the target is new
        try:
            act(call.path(source), place)
        except OSError as err:
            return call.failure(f"bad '{source}': {err.strerror}")
    return Answer()


def _mkdir(call: Call) -> Answer:
    options, names = call.options("p")
    for name in names:
        try:
            call.files.make_folder(call.path(name), SHELL_USER, parents="p" in options)
        except OSError as err:
            return call.failure(f"'{name}': {err.strerror}")
    return Answer() if names else call.failure("Needs 1 argument")


def _chmod(call: Call) -> Answer:
    words = [word for word in call.arguments if word not in ("-R", "-f")]
    if len(words) < 2:
        return call.failure("Needs 2 arguments")
    mode, *names = words
    for name in names:
        try:
            before = call.files.stat(call.path(name), SHELL_USER).mode & 0o7777
            after = _new_mode(mode, before)
            if after is None:
                return call.failure(f"bad mode '{mode}'")
            call.files.chmod(call.path(name), SHELL_USER, after)
        except OSError as err:
            return call.failure(f"chmod '{name}' to {mode}: {err.strerror}")
    return Answer()


def _new_mode(mode: str, before: int) -> int | None:
    if mode and all(digit in "01234567" for digit in mode):
        return int(mode, 8)
    who, sign, rights = mode.partition("+") if "+" in mode else mode.partition("-")
    if not sign or not rights or any(one not in "ugoa" for one in who) or any(one not in "rwx" for one in rights):
        return None
    bits = sum({"r": 4, "w": 2, "x": 1}[one] for one in set(rights))
    shifts = {"u": 6, "g": 3, "o": 0}
    mask = sum(bits << shift for one, shift in shifts.items() if not who or "a" in who or one in who)
    return before | mask if sign == "+" else before & ~mask


def _touch(call: Call) -> Answer:
    for name in call.arguments:
        try:
            call.files.open_to_append(call.path(name), SHELL_USER).modified_s = int(call.phone.now_s())
        except OSError as err:
            return call.failure(f"'{name}': {err.strerror}")
    return Answer()


def _digest_command(algorithm: Callable[..., Any]) -> Command:
    async def digest(call: Call) -> Answer:
        _, names = call.options("b")
        lines, errors = "", ""
        for name in names or ["-"]:
            try:
                content = (
                    await call.pipes.stdin.read_all() if name == "-" else call.files.read(call.path(name), SHELL_USER)
                )
            except OSError as err:
                errors += f"{call.name}: {name}: {err.strerror}\n"
                continue
            value = algorithm(content, usedforsecurity=False).hexdigest()
            lines += f"{value}\n" if "b" in call.options("b")[0] else f"{value}  {name}\n"
        return Answer(lines.encode(errors="surrogateescape"), errors, int(bool(errors)))

    return digest


def _readlink(call: Call) -> Answer:
    options, names = call.options("f")
    if not names:
        return call.failure("Needs 1 argument")
    try:
        node = call.files.find(call.path(names[0]), SHELL_USER, follow=False)
    except OSError:
        return Answer(code=1)
    target = getattr(node, "target", None)
    if target is None and "f" not in options:
        return Answer(code=1)
    return Answer(f"{target or posixpath.normpath(call.path(names[0]))}\n".encode())


def _truncate(call: Call) -> Answer:
    words = call.arguments
    if len(words) != 3 or words[0] != "-s" or not words[1].isdigit():
        return call.failure("Needs -s SIZE FILE")
    try:
        file = call.files.find(call.path(words[2]), SHELL_USER)
        content = bytes(call.files.read(call.path(words[2]), SHELL_USER))[: int(words[1])]
        if isinstance(file, File):
            made = call.files.create(call.path(words[2]), SHELL_USER)
            call.files.append(made, content + bytes(int(words[1]) - len(content)))
    except OSError as err:
        return call.failure(f"{words[2]}: {err.strerror}")
    return Answer()


FILE_COMMANDS: Mapping[str, Command] = {
    "rm": _rm,
    "rmdir": _rmdir,
    "mv": _mv,
    "cp": _cp,
    "mkdir": _mkdir,
    "chmod": _chmod,
    "touch": _touch,
    "readlink": _readlink,
    "truncate": _truncate,
    "sha256sum": _digest_command(hashlib.sha256),
    "sha1sum": _digest_command(hashlib.sha1),
    "md5sum": _digest_command(hashlib.md5),
}
