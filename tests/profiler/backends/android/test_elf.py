"""Binary interfaces by the header."""

from __future__ import annotations

import struct

import pytest

from profiler.backends.android import abi_of


def header(bits: int, machine: int, *, big: bool = False) -> bytes:
    order = ">" if big else "<"
    return b"\x7fELF" + bytes([bits, 2 if big else 1, 1]) + bytes(9) + struct.pack(f"{order}HH", 2, machine)


@pytest.mark.parametrize(
    ("program", "abi"),
    [
        (header(2, 183), "arm64-v8a"),
        (header(1, 40), "armeabi-v7a"),
        (header(2, 62), "x86_64"),
        (header(1, 3), "x86"),
        (header(2, 21, big=True), "ELF class 2, machine 21"),
        (header(2, 183)[:-1], None),
        (b"#!/system/bin/sh\necho benchmark", None),
        (b"", None),
    ],
)
def test_abi(program: bytes, abi: str | None) -> None:
    assert abi_of(program) == abi
