"""Which binary interface a program for Android has, by the header that every ELF file begins with."""

from __future__ import annotations

import struct

_MAGIC = b"\x7fELF"
_CLASS, _DATA = 4, 5
_MACHINE = 18
_LEAST_BYTES = 20
_ABIS = {(2, 183): "arm64-v8a", (1, 40): "armeabi-v7a", (2, 62): "x86_64", (1, 3): "x86", (2, 243): "riscv64"}
"""Android's names, by the header's class (1: 32 bits, 2: 64) and machine.  Source: ELF specification; NDK, ABIs."""


def abi_of(program: bytes) -> str | None:
    """Return the binary interface of a program, such as "arm64-v8a"; None when it is no ELF file.

    Args:
        program: The program, or its first 20 bytes.

    Returns:
        Android's name of it, or for others the header's numbers.
    """
    if len(program) < _LEAST_BYTES or program[:4] != _MAGIC:
        return None
    order = ">" if program[_DATA] == 2 else "<"
    (machine,) = struct.unpack_from(f"{order}H", program, _MACHINE)
    return _ABIS.get((program[_CLASS], machine), f"ELF class {program[_CLASS]}, machine {machine}")
