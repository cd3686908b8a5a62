"""Records as an agent writes them, for tests that have none."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from profiler.agent import Frame, encode_frame


def hello(**changes: object) -> bytes:
    said = {
        "schema": 1, "agent": 1, "engine": "ncnn", "engine_version": "1.0", "target": "aarch64", "pid": 5, "cores": 8,
        "page_size": 4096, "mask": "80", "threads": 1, "isa": "asimd fphp", "locked": "no", "zones": "cpu0,skin",
        "clock_ns": 1, "positions": 3, **changes,
    }  # fmt: skip
    return "".join(f"{key} {value}\n" for key, value in said.items()).encode()


def block(
    position: int,
    samples_ns: Sequence[int],
    *,
    entry: int | None = None,
    operators: Sequence[tuple[str, str, Sequence[int]]] = (),
    cooled_ns: int = 0,
) -> bytes:
    entry = position if entry is None else entry
    head = (position, 0, entry, 2, len(samples_ns), 7, 1000, 2000, 1, 0, 10**9, 10**18, cooled_ns, 2, len(operators))
    body = struct.pack("<IIIIIiIIIIQQQII", *head) + struct.pack(f"<{len(samples_ns)}Q", *samples_ns)
    body += struct.pack("<2i", 40_000, 30_500)
    for name, kind, times_ns in operators:
        texts = name.encode(), kind.encode()
        body += struct.pack("<HHI", *map(len, texts), len(times_ns)) + b"".join(texts)
        body += struct.pack(f"<{len(times_ns)}Q", *times_ns)
    return body


def error(position: int, text: str) -> bytes:
    return struct.pack("<III", position, 0, min(position, 0)) + text.encode()


def end(blocks: int, errors: int = 0, reason: int = 0) -> bytes:
    return struct.pack("<IIIIQQ", blocks, errors, reason, 0, 2**20, 10**9)


def stream(records: Sequence[tuple[int, bytes]], first: int = 0) -> bytes:
    return b"".join(encode_frame(Frame(first + index, *record)) for index, record in enumerate(records))
