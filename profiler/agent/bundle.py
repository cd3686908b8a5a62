"""Owns what is put on a device for a job: the program and what it needs beside it, and whether they fit the device."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from profiler.errors import AgentUnfitError

PROGRAM = "pocketnas-agent"
"""Name of the program in every build and on every device."""

# ELF, 64 bits, little endian; e_machine by Android's name of the processors.
_IDENTITY = b"\x7fELF\x02\x01"
_ABIS = {183: "arm64-v8a", 62: "x86_64"}
_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LOADED = 1
_OTHER_BUILD = "build one for it: pocketnas agent build --target"
_TARGETS = {"arm64-v8a": "aarch64", "x86_64": "x86_64"}


@dataclass(frozen=True)
class AgentBundle:
    """A build as it is put on a device.

    Attributes:
        files: Content of each file by its name; all go into one folder.
        words: What starts the program in that folder, before its own arguments; none for the program itself.
    """

    files: Mapping[str, bytes]
    words: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """The hash, in hex, of names and contents: equal bundles need to be put on a device once."""
        total = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            total.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(content).digest())
        return total.hexdigest()[:32]

    @property
    def bytes(self) -> int:
        """How much there is to put on a device."""
        return sum(map(len, self.files.values()))

    def require_fits(self, abis: Iterable[str], page_size: int) -> None:
        """Return if every file can be loaded on a device.

        Args:
            abis: The processors that the device runs programs of, as Android names them, as in "arm64-v8a".
            page_size: Bytes of a page of its kernel: 4,096, or 16,384 or 65,536 on some.

        Raises:
            AgentUnfitError: One file is for another processor or smaller pages, or is damaged.
        """
        wanted = tuple(abis)
        for name, content in self.files.items():
            abi, alignments = _read_elf(name, content)
            if abi not in wanted:
                known = next((_TARGETS[other] for other in wanted if other in _TARGETS), None)
                advice = f"{_OTHER_BUILD} {known}" if known else "the agent needs a 64-bit arm or x86 processor"
                raise AgentUnfitError(
                    name, f"is for {abi}, and the device runs {', '.join(wanted) or 'none'}; {advice}"
                )
            if unfit := [alignment for alignment in alignments if alignment % page_size]:
                raise AgentUnfitError(
                    name,
                    f"is laid out for pages of {min(unfit)} bytes, and the device's have {page_size}; "
                    "build it again: pocketnas agent build",
                )


def _read_elf(name: str, content: bytes) -> tuple[str, tuple[int, ...]]:
    """Return a program's or library's processor, and the alignments of what is loaded of it."""
    damaged = AgentUnfitError(name, "is no whole ELF file of 64 bits; build it again: pocketnas agent build")
    if not content.startswith(_IDENTITY) or len(content) < _HEADER.size:
        raise damaged
    _, machine, _, _, table, _, _, _, entry_bytes, entries, *_ = _HEADER.unpack_from(content)
    if machine not in _ABIS:
        raise AgentUnfitError(name, f"is for processor {machine} of ELF's list, which no device of ours has")
    if entry_bytes != _SEGMENT.size or table + entries * entry_bytes > len(content):
        raise damaged
    loaded = tuple(_loaded_segments(content, table, entries))
    if not loaded or any(end > len(content) for end, _ in loaded):
        raise damaged
    return _ABIS[machine], tuple(alignment for _, alignment in loaded)


def _loaded_segments(content: bytes, table: int, entries: int) -> Iterator[tuple[int, int]]:
    """Yield (end in the file, alignment) of each loaded segment."""
    for place in range(entries):
        kind, _, offset, _, _, size, _, alignment = _SEGMENT.unpack_from(content, table + place * _SEGMENT.size)
        if kind == _LOADED:
            yield offset + size, alignment
