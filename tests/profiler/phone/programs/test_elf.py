"""Which pushed files run, and what the shell says of those that do not."""

from __future__ import annotations

import platform
import shutil
import struct
from collections.abc import Callable

import pytest

from profiler.backends.android.elf import abi_of as abi_by_the_backend
from profiler.phone import Phone, load_phone
from profiler.phone.programs import Tool, abi_of, bits_of, tool_of, virtual_program
from profiler.phone.programs._elf import interpreter_of, is_loadable
from tests.profiler.phone.programs.bench import Bench


@pytest.mark.parametrize("tool", ["benchmark_model", "onnxruntime_perf_test"])
@pytest.mark.parametrize(("abi", "bits"), [("arm64-v8a", 64), ("armeabi-v7a", 32), ("x86_64", 64)])
def test_the_header_names_the_interface(tool: Tool, abi: str, bits: int) -> None:
    program = virtual_program(tool, abi)
    assert (abi_of(program), bits_of(program), tool_of(program)) == (abi, bits, tool)
    assert abi_by_the_backend(program) == abi
    assert tool_of(program[:-1]) is None
    assert tool_of(b"\x7fELF") is None


def test_interfaces_that_there_are_not() -> None:
    with pytest.raises(ValueError, match="mips"):
        virtual_program("benchmark_model", "mips")


def test_a_phone_runs_its_own_interfaces(model: bytes) -> None:
    older = Bench(Phone(load_phone("pixel4")), "benchmark_model", model, "armeabi-v7a")
    assert older.run("--num_runs=1 --min_secs=0").code == 0
    other = Bench(Phone(load_phone("pixel4")), "benchmark_model", model, "x86_64")
    ran = other.run("--num_runs=1")
    assert ran.code == 126
    assert ran.err == "/system/bin/sh: ./benchmark_model: not executable: 64-bit ELF file\n"


def test_a_phone_of_64_bits_alone_refuses_32(model: bytes) -> None:
    description = load_phone("pixel4")
    properties = description.properties | {"ro.product.cpu.abilist": "arm64-v8a"}
    phone = Phone(description.model_copy(update={"properties": properties}))
    ran = Bench(phone, "benchmark_model", model, "armeabi-v7a").run("--num_runs=1")
    assert (ran.code, "not executable: 32-bit ELF file" in ran.err) == (126, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (virtual_program("benchmark_model")[:-9], "not executable: 64-bit ELF file"),
        (b"\x1f\x8b\x08\x00" * 30, "not executable: magic 1F8B"),
    ],
)
def test_what_is_no_program(bench: Bench, content: bytes, said: str) -> None:
    bench.put("thing", content, 0o755)
    ran = bench.shell("./thing")
    assert ran.code == 126
    assert ran.err == f"/system/bin/sh: ./thing: {said}\n"


def elf(machine: int, *segments: tuple[int, bytes]) -> bytes:
    """Return an ELF file of 64 bits with segments of a kind and content."""
    fields = (2, machine, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", *fields)
    offset, table, body = 64 + 56 * len(segments), b"", b""
    for kind, content in segments:
        table += struct.pack("<IIQQQQQQ", kind, 5, offset + len(body), 0, 0, len(content), len(content), 4096)
        body += content
    return head + table + body


def test_what_a_program_needs_is_read_in_its_head() -> None:
    program = elf(183, (3, b"/lib/ld.so\0"), (1, b"code"))
    assert (is_loadable(program), interpreter_of(program)) == (True, "/lib/ld.so")
    assert (is_loadable(elf(183, (3, b"/x\0"))), interpreter_of(elf(183, (1, b"code")))) == (False, None)
    for cut in range(len(program)):
        is_loadable(program[:cut]), interpreter_of(program[:cut])
    assert not is_loadable(virtual_program("benchmark_model")), "so that a damaged one is no program that really runs"


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ([(1, b"code")], "arm64-v8a programs run here only with qemu; install the package qemu-user-static"),
        ([(1, b"code"), (3, b"/system/bin/linker64\0")], "install the package qemu-user-static"),
    ],
)
def test_without_qemu_the_package_is_named(
    bench: Bench, segments: list[tuple[int, bytes]], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    bench.put("thing", elf(183, *segments), 0o755)
    ran = bench.shell("./thing")
    assert (ran.code, ran.out, ran.err.count("\n")) == (126, "", 1)
    assert ran.err.startswith("/system/bin/sh: ./thing: can't execute: ") and ran.err.endswith(f"{said}\n")


def test_a_loader_that_the_phone_does_not_have_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/false")
    bench.put("thing", elf(183, (1, b"code"), (3, b"/system/bin/linker64\0")), 0o755)
    ran = bench.shell("./thing")
    assert ran.code == 126 and "needs the loader /system/bin/linker64, which this phone does not have" in ran.err


def test_a_program_needs_its_bit_and_a_place(bench: Bench) -> None:
    bench.shell("chmod 644 benchmark_model")
    ran = bench.run("--num_runs=1")
    assert (ran.code, "can't execute: Permission denied" in ran.err) == (126, True)
    bench.shell("chmod 755 benchmark_model; cp benchmark_model /sdcard/bm; chmod 755 /sdcard/bm")
    ran = bench.shell("/sdcard/bm --help")
    assert (ran.code, "can't execute: Permission denied" in ran.err) == (126, True)


def test_every_emulated_phone_says_what_it_is(benches: Callable[..., Bench]) -> None:
    assert benches().shell("getprop ro.pocketnas.emulated").out == "1\n"


def test_affinity_is_seen_and_given_on(bench: Bench) -> None:
    assert bench.shell("taskset 0f sh -c 'taskset -p $$'").out.endswith("affinity mask: ff\n")
    little, big = (bench.run("--num_runs=20 --min_secs=0 --num_threads=1", mask) for mask in ("01", "80"))
    assert little.code == big.code == 0
    assert _average_us(little.err) > 1.5 * _average_us(big.err)


def _average_us(log: str) -> float:
    line = next(line for line in log.splitlines() if "Inference (avg)" in line)
    return float(line.rpartition(" ")[2])
