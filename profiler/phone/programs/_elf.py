"""The little ELF files that stand for programs, and what a kernel reads in the header of any."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from profiler.phone.programs._benchmark_flags import FLAGS

Tool = Literal["benchmark_model", "onnxruntime_perf_test"]

TOOL_VERSIONS: Final[Mapping[Tool, str]] = {
    "benchmark_model": "benchmark_model version: 2.1.0",
    "onnxruntime_perf_test": "onnxruntime 1.23.0",
}
"""What each program says it is; whoever looks for a version in the file finds it as in the real one."""
_FLAGS: Final[Mapping[Tool, tuple[str, ...]]] = {
    "benchmark_model": tuple(flag.name for flag in FLAGS),
    "onnxruntime_perf_test": (),
}
"""Names of flags that stand in each program; whoever looks for one finds it as in the real one."""

_MAGIC = b"\x7fELF"
_MARK = b"pocketnas emulated program\0"
_CLASS, _DATA, _MACHINE = 4, 5, 18
_HEADER_BYTES = {1: 52, 2: 64}
_CLASSES_AND_MACHINES: Final[Mapping[str, tuple[int, int]]] = {
    "arm64-v8a": (2, 183),
    "armeabi-v7a": (1, 40),
    "x86_64": (2, 62),
}
"""Android's names of binary interfaces, with the header's class (1 for 32 bits) and machine."""


def virtual_program(tool: Tool, abi: str = "arm64-v8a") -> bytes:
    """Return a program that an emulated phone runs as `tool`, in place of the real one.

    Args:
        tool: Which program.
        abi: Binary interface that its header names: arm64-v8a, armeabi-v7a or x86_64.

    Raises:
        ValueError: The binary interface is none of these.
    """
    if abi not in _CLASSES_AND_MACHINES:
        raise ValueError(f"there are programs for {', '.join(_CLASSES_AND_MACHINES)}, not for {abi!r}")
    width, machine = _CLASSES_AND_MACHINES[abi]
    identification = _MAGIC + bytes([width, 1, 1]) + bytes(9)
    fields = (3, machine, 1, 0, 0, 0, 0, _HEADER_BYTES[width], 0, 0, 0, 0, 0)  # a shared object of no segments
    header = identification + struct.pack("<HHI3QI6H" if width == 2 else "<HHI3II6H", *fields)
    return header + _body(tool)


def tool_of(content: bytes) -> Tool | None:
    """Return which program a file is; None for any that is not ours, or is cut."""
    if content[:4] != _MAGIC:
        return None
    body = content[_HEADER_BYTES.get(content[_CLASS], 0) if len(content) > _CLASS else 0 :]
    return next((tool for tool in TOOL_VERSIONS if body == _body(tool)), None)


def _body(tool: Tool) -> bytes:
    return _MARK + b"".join(text.encode() + b"\0" for text in (TOOL_VERSIONS[tool], *_FLAGS[tool]))


def abi_of(content: bytes) -> str | None:
    """Return the binary interface that an ELF file is for; None when it is none that is known."""
    if content[:4] != _MAGIC or len(content) < _MACHINE + 2:
        return None
    order = ">" if content[_DATA] == 2 else "<"
    found = (content[_CLASS], struct.unpack_from(f"{order}H", content, _MACHINE)[0])
    return next((abi for abi, numbers in _CLASSES_AND_MACHINES.items() if numbers == found), None)


def bits_of(content: bytes) -> int | None:
    """Return the width of an ELF file's addresses, 32 or 64; None for other files."""
    return None if content[:4] != _MAGIC else 32 if content[_CLASS : _CLASS + 1] == b"\1" else 64


def is_loadable(content: bytes) -> bool:
    """Say whether an ELF file of 64 bits has segments to load; the little files that stand for programs have none."""
    return bits_of(content) == 64 and any(kind == _LOAD for kind, _, _ in _segments(content))


def interpreter_of(content: bytes) -> str | None:
    """Return the path of the loader that a program of 64 bits asks for; None for one that needs none."""
    for kind, offset, size in _segments(content):
        if kind == _INTERPRETER:
            return content[offset : offset + size].rstrip(b"\0").decode(errors="replace")
    return None


_LOAD, _INTERPRETER = 1, 3
_SEGMENTS_AT, _SEGMENT_BYTES = 32, 56


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield kind, offset and size of the segments whose headers are there, of a little-endian file of 64 bits."""
    if bits_of(content) != 64 or len(content) < _HEADER_BYTES[2]:
        return
    start, count = (
        struct.unpack_from("<Q", content, _SEGMENTS_AT)[0],
        struct.unpack_from("<H", content, _SEGMENTS_AT + 24)[0],
    )
    for place in range(start, start + count * _SEGMENT_BYTES, _SEGMENT_BYTES):
        if place + _SEGMENT_BYTES > len(content):
            return
        kind, _, offset, _, _, size = struct.unpack_from("<2I4Q", content, place)
        yield kind, offset, size
