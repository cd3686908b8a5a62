from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from profiler.phone import Phone, PhoneClock, load_phone
from profiler.phone._io import ByteInput, Pipes
from profiler.phone.shell import run_script


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def phone() -> Phone:
    return Phone(load_phone("pixel4"), clock=PhoneClock(start_unix_s=1_700_000_000.0))


@pytest.fixture
def run(phone: Phone) -> Callable[..., Ran]:
    """Runs a text in the phone's shell, without a wire."""

    async def script(text: str, stdin: bytes) -> Ran:
        out, err = bytearray(), bytearray()

        async def to_out(data: bytes) -> None:
            out.extend(data)

        async def to_err(data: bytes) -> None:
            err.extend(data)

        code = await run_script(phone, text, Pipes(ByteInput(stdin), to_out, to_err))
        phone.processes.end_all()
        return Ran(code, out.decode(errors="replace"), err.decode(errors="replace"))

    return lambda text, stdin=b"": asyncio.run(script(text, stdin))
