"""Reads `df` of toybox, toolbox and busybox, with and without -h: columns by their headings, rows from the right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from profiler.errors import ToolOutputError
from profiler.tool_outputs._figures import count, figure
from profiler.tool_outputs._lines import Line, Text, read_text, short

KIND: Final = "df"

_TOKEN = re.compile(r"\S+")
_HEADINGS: Final = {
    "size": "size",
    "1k-blocks": "size",
    "1024-blocks": "size",
    "512-blocks": "size",
    "used": "used",
    "available": "available",
    "avail": "available",
    "free": "available",
    "use%": "percent",
    "capacity": "percent",
    "blksize": "block",
}
_BLOCK_BYTES: Final = {"1k-blocks": 1024, "1024-blocks": 1024, "512-blocks": 512}
_UNITS: Final = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_AMOUNT = re.compile(r"([0-9.]{1,20})([BKMGTP]?)i?B?")
_NEEDED: Final = {"size", "used", "available"}


@dataclass(frozen=True)
class FileSystem:
    """One row.  None is unknown.

    Attributes:
        filesystem: Device; None for Android's old toolbox, which names the mount point only.
        mounted_on: Mount point.
        size_bytes: Size.
        used_bytes: Used.
        available_bytes: What is left for programs; 0 is normal for a system partition.
        use_percent: Share used.
        rounded: Whether sizes were printed with a unit, so to two or three digits.
    """

    filesystem: str | None
    mounted_on: str
    size_bytes: int
    used_bytes: int
    available_bytes: int
    use_percent: int | None
    rounded: bool


@dataclass(frozen=True)
class DfOutput:
    """The table.

    Attributes:
        complete: Whether it does not end inside a row.  The mount point of a row that has no newline may be cut, so ask
            for this before trusting the last row's.
        filesystems: The rows, in order.
        messages: Other lines, such as "Permission denied" for a path.
    """

    complete: bool
    filesystems: tuple[FileSystem, ...]
    messages: tuple[str, ...]


@dataclass(frozen=True)
class _Header:
    columns: tuple[str, ...]
    block_bytes: int
    mounted: bool


def parse_df(data: bytes) -> DfOutput:
    r"""Return the file systems that `df` lists.

    Raises:
        ToolOutputError: There is no table, or its heading is none that we know.

    Example:
        >>> table = parse_df(b"Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/fuse 20 5 15 25% /sdcard\n")
        >>> table.filesystems[0].available_bytes
        15360
    """
    text = read_text(data, KIND)
    header: _Header | None = None
    rows, messages = [], []
    for line in _joined(text):
        if line.text.strip().lower().startswith("filesystem"):
            header = _header(line) if line.whole else None
            continue
        row = _row(line, header) if header else None
        if row is not None:
            rows.append(row)
        elif line.text.strip() and line.whole and header is not None:
            messages.append(short(line.text))
    if header is None:
        raise ToolOutputError(KIND, "the heading that begins with 'Filesystem' is missing")
    return DfOutput(not text.cut, tuple(rows), tuple(messages))


def _joined(text: Text) -> Iterator[Line]:
    """Iterate over the lines; a long device that has a line of its own is put before its row."""
    alone: Line | None = None
    for line in text.lines:
        words = line.text.split()
        if alone is not None:
            continues = line.text[:1].isspace() and len(words) >= 4
            yield Line(line.number, f"{alone.text} {line.text}", line.whole) if continues else alone
            alone = None
            if continues:
                continue
        if len(words) == 1 and line.whole:
            alone = line
        else:
            yield line
    if alone is not None:
        yield alone


def _header(line: Line) -> _Header:
    words = line.text.lower().split()[1:]
    mounted = words[-2:] == ["mounted", "on"]
    words = words[:-2] if mounted else words
    columns = tuple(_HEADINGS.get(word, "") for word in words)
    if "" in columns or not set(columns) >= _NEEDED or len(set(columns)) < len(columns):
        raise ToolOutputError(KIND, f"a table with an unknown heading: {short(line.text)}", line=line.number)
    block_bytes = next((_BLOCK_BYTES[word] for word in words if word in _BLOCK_BYTES), 1)
    return _Header(columns, block_bytes, mounted)


def _row(line: Line, header: _Header) -> FileSystem | None:
    tokens = list(_TOKEN.finditer(line.text))
    width = len(header.columns)
    # With a mount point the numbers end before it; it can hold spaces, and so can the device before them.
    starts = range(len(tokens) - width - 1, 0, -1) if header.mounted else [len(tokens) - width]
    for start in starts:
        window = tokens[start : start + width]
        if start < 1 or (not header.mounted and not line.whole):
            continue
        cells = dict(zip(header.columns, (token.group() for token in window), strict=True))
        device = short(line.text[: window[0].start()])
        mount = short(line.text[window[-1].end() :]) if header.mounted else device
        amounts = {name: _bytes(cells[name], header.block_bytes) for name in _NEEDED}
        size, used, available = amounts["size"], amounts["used"], amounts["available"]
        percent = cells.get("percent", "-")
        fits = mount.startswith("/") and (percent == "-" or percent.endswith("%"))
        if size is None or used is None or available is None or not fits:
            continue
        return FileSystem(
            filesystem=device if header.mounted else None,
            mounted_on=mount,
            size_bytes=size,
            used_bytes=used,
            available_bytes=available,
            use_percent=count(percent.removesuffix("%")),
            rounded=header.block_bytes == 1,
        )
    return None


def _bytes(cell: str, block_bytes: int) -> int | None:
    found = _AMOUNT.fullmatch(cell)
    if found is None or figure(found[1]) is None:
        return None
    unit = _UNITS[found[2]] if found[2] else block_bytes
    amount = int(Decimal(found[1]) * unit)
    # A kibibyte short of 8 EiB is the most that a file system can say.
    return amount if amount < 1 << 63 else None
