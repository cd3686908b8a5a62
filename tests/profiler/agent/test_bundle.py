"""Whether a bundle fits a device, told by its ELF files alone."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.agent import AgentBundle
from profiler.errors import AgentUnfitError

AARCH64, X86_64, RISCV = 183, 62, 243


def elf(machine: int = AARCH64, alignment: int = 65536, *, bits: int = 2) -> bytes:
    """Return the least file that loads one segment of 8 bytes."""
    header = struct.pack("<4sBB10xHHIQQQIHHHHHH", b"\x7fELF", bits, 1, 2, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 120, 0, 0, 8, 8, alignment) + b"12345678"


@pytest.mark.parametrize("page_size", [4096, 16384, 65536])
def test_large_alignment_fits_all_pages(page_size: int) -> None:
    AgentBundle({"pocketnas-agent": elf()}).require_fits(["arm64-v8a", "armeabi-v7a"], page_size)


@pytest.mark.parametrize(("alignment", "page_size"), [(4096, 16384), (4096, 65536), (16384, 65536)])
def test_small_alignment_is_refused_on_larger_pages(alignment: int, page_size: int) -> None:
    bundle = AgentBundle({"pocketnas-agent": elf(), "libLiteRt.so": elf(alignment=alignment)})
    with pytest.raises(AgentUnfitError, match=f"device's have {page_size}") as caught:
        bundle.require_fits(["arm64-v8a"], page_size)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("machine", "abis", "said"),
    [
        (AARCH64, ["x86_64", "x86"], "agent build --target x86_64"),
        (X86_64, ["arm64-v8a"], "agent build --target aarch64"),
        (AARCH64, ["armeabi-v7a"], "64-bit"),
        (AARCH64, [], "runs none"),
        (RISCV, ["arm64-v8a"], "processor 243"),
    ],
)
def test_other_processors_are_refused_with_advice(machine: int, abis: list[str], said: str) -> None:
    with pytest.raises(AgentUnfitError, match=said):
        AgentBundle({"pocketnas-agent": elf(machine)}).require_fits(abis, 4096)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(elf()) - 1), st.binary(max_size=200))
def test_what_is_no_whole_elf_file_is_refused(cut: int, foreign: bytes) -> None:
    for content in (elf()[:cut], foreign, elf(bits=1)):
        with pytest.raises(AgentUnfitError):
            AgentBundle({"pocketnas-agent": content}).require_fits(["arm64-v8a"], 4096)


def test_key_is_of_names_and_contents() -> None:
    bundle = AgentBundle({"a": b"1", "b": b"2"})
    assert bundle.key == AgentBundle({"b": b"2", "a": b"1"}, ("./a",)).key
    assert len({bundle.key, AgentBundle({"a": b"12"}).key, AgentBundle({"a": b"2", "b": b"1"}).key}) == 3
    assert bundle.bytes == 2
