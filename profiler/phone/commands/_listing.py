"""Commands that show what is stored: ls, stat, du, df."""

from __future__ import annotations

import posixpath
import stat as stat_bits
from collections.abc import Mapping
from datetime import UTC, datetime

from profiler.phone.commands._call import Answer, Call, Command, text
from profiler.phone.files import BLOCK_BYTES, SHELL_USER, FileStat, Folder, Mount

_NAMES = {0: "root", 1000: "system", 2000: "shell", 9997: "everybody"}


def _ls(call: Call) -> Answer:
    options, names = call.options("laAd1hRZ")
    lines, errors = [], ""
    for name in names or ["."]:
        path = call.path(name)
        try:
            node = call.files.find(path, SHELL_USER)
            if not isinstance(node, Folder) or "d" in options:
                lines.append(_entry(call, path, name, options))
                continue
            shown = [one for one in call.files.names(path, SHELL_USER) if options & {"a", "A"} or one[0] != "."]
            if len(names) > 1:
                lines.append(f"{name}:")
            if "l" in options:
                lines.append(f"total {sum(_kb(call, posixpath.join(path, one)) for one in shown)}")
            lines += [_entry(call, posixpath.join(path, one), one, options) for one in shown]
        except OSError as err:
            errors += f"ls: {name}: {err.strerror}\n"
    return Answer("".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"), errors, int(bool(errors)))


def _entry(call: Call, path: str, name: str, options: set[str]) -> str:
    if "l" not in options:
        return name
    found = call.files.stat(path, SHELL_USER, follow=False)
    return f"{_mode(found)} 1 {_owner(found.uid)} {_owner(found.gid)} {found.size:>8} {_minute(found)} {name}"


def _stat(call: Call) -> Answer:
    words = list(call.arguments)
    form = None
    if words[:1] == ["-c"] and len(words) > 2:
        form, words = words[1], words[2:]
    lines, errors = "", ""
    for name in words:
        try:
            found = call.files.stat(call.path(name), SHELL_USER, follow=False)
        except OSError as err:
            errors += f"stat: '{name}': {err.strerror}\n"
            continue
        lines += (_formatted(form, found, name) if form else _described(found, name)) + "\n"
    return Answer(lines.encode(errors="surrogateescape"), errors, int(bool(errors)))


def _formatted(form: str, found: FileStat, name: str) -> str:
    values = {
        "s": found.size,
        "a": f"{found.mode & 0o7777:o}",
        "A": _mode(found),
        "n": name,
        "Y": found.modified_s,
        "U": _owner(found.uid),
        "G": _owner(found.gid),
        "u": found.uid,
        "g": found.gid,
        "i": found.inode,
    }
    for letter, value in values.items():
        form = form.replace(f"%{letter}", str(value))
    return form


def _described(found: FileStat, name: str) -> str:
    kind = "directory" if stat_bits.S_ISDIR(found.mode) else "regular file"
    return (
        f"  File: {name}\n"
        f"  Size: {found.size}\t Blocks: {-(-found.size // 512)}\t IO Blocks: 512\t{kind}\n"
        f"Device: {found.device:x}h/{found.device}d\t Inode: {found.inode}\t Links: 1\n"
        f"Access: ({found.mode & 0o7777:04o}/{_mode(found)})\tUid: ({found.uid:>5}/{_owner(found.uid):>8})\t"
        f"Gid: ({found.gid:>5}/{_owner(found.gid):>8})\n"
        f"Modify: {_minute(found)}"
    )


def _du(call: Call) -> Answer:
    _, names = call.options("skhb")
    lines, errors = "", ""
    for name in names or ["."]:
        try:
            lines += f"{_kb(call, call.path(name), deep=True)}\t{name}\n"
        except OSError as err:
            errors += f"du: {name}: {err.strerror}\n"
    return Answer(lines.encode(errors="surrogateescape"), errors, int(bool(errors)))


def _kb(call: Call, path: str, *, deep: bool = False) -> int:
    """Return the storage of a file, or with deep of a folder with all in it, in KiB of whole blocks."""
    size = call.files.stat(path, SHELL_USER, follow=False).size
    total = -(-size // BLOCK_BYTES) * BLOCK_BYTES // 1024
    if deep and isinstance(call.files.find(path, SHELL_USER, follow=False), Folder):
        total += sum(_kb(call, posixpath.join(path, name), deep=True) for name in call.files.names(path, SHELL_USER))
    return total


def _df(call: Call) -> Answer:
    options, names = call.options("hkaiPH")
    try:
        for name in names:
            call.files.find(call.path(name), SHELL_USER)
    except OSError as err:
        return call.failure(f"{name}: {err.strerror}")
    chosen = [call.files.mount_of(posixpath.normpath(_real(call, name))) for name in names] or [
        mount for mount in call.files.mounts if mount.size_bytes
    ]
    human = "h" in options
    heading = ("Filesystem", "Size" if human else "1K-blocks", "Used", *(("Avail",) if human else ("Available",)))
    rows = [(*heading, "Use%", "Mounted on"), *(_df_row(mount, human=human) for mount in chosen)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        " ".join([row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in range(1, 5)), row[5]])
        for row in rows
    ]
    return text("".join(f"{line}\n" for line in lines))


def _real(call: Call, name: str) -> str:
    return "/storage/emulated/0" if name.startswith("/sdcard") else call.path(name)


def _df_row(mount: Mount, *, human: bool) -> tuple[str, ...]:
    share = -(-100 * mount.used_bytes // mount.size_bytes) if mount.size_bytes else 0
    show = _human if human else lambda count: str(count // 1024)
    figures = (show(mount.size_bytes), show(mount.used_bytes), show(mount.free_bytes))
    return (mount.device, *figures, f"{share}%", mount.path)


def _human(count: int) -> str:
    """Return a size as toybox does: one decimal below ten, powers of 1024."""
    size, unit = float(count), 0
    while size >= 1000 and unit < 4:
        size /= 1024
        unit += 1
    number = f"{size:.1f}" if size < 10 and unit else f"{size:.0f}"
    return number + " KMGT"[unit].strip()


def _mode(found: FileStat) -> str:
    return stat_bits.filemode(found.mode)


def _owner(number: int) -> str:
    return _NAMES.get(number, str(number))


def _minute(found: FileStat) -> str:
    return datetime.fromtimestamp(found.modified_s, UTC).strftime("%Y-%m-%d %H:%M")


LISTING_COMMANDS: Mapping[str, Command] = {"ls": _ls, "stat": _stat, "du": _du, "df": _df}
