"""A phone that `pocketnas phone serve` serves, in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def phone_served(*options: str) -> Iterator[str]:
    """Yield the serial of a phone; at the end its server is interrupted, and ends as it should."""
    command = [sys.executable, "-m", "pocketnas", "phone", "serve", *options, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            assert told["serial"] == f"{told['host']}:{told['port']}"
            yield told["serial"]
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
