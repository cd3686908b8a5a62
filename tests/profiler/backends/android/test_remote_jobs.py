"""What still runs from our folder is ended, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.adb import DirectTransport, RemoteFolder, Transport
from profiler.backends.android import end_leftovers
from profiler.phone import Phone, PhoneServer


@pytest.fixture
def gone(served: PhoneServer, key_path: Path) -> None:
    """A job in our folder and one elsewhere, of a computer that went away."""
    scripts = ("echo /data/local/tmp/pocketnas/x\nsleep 60", "echo /data/local/tmp/else/x\nsleep 61")
    for script in scripts:
        transport = DirectTransport.tcp(served.address, key_path=key_path)
        next(iter(transport.stream(script, timeout_s=20.0)))
        transport.close()


@pytest.mark.usefixtures("gone")
def test_leftovers_are_ended_and_others_are_not(phone: Phone, transport: Transport, folder: RemoteFolder) -> None:
    assert end_leftovers(transport, folder.path) >= 1
    running = [" ".join(process.arguments) for process in phone.processes]
    assert "sleep 61" in running
    assert not any(folder.path in arguments for arguments in running)
    assert end_leftovers(transport, folder.path) == 0


def test_nothing_is_found_where_nothing_runs(transport: Transport, folder: RemoteFolder) -> None:
    assert end_leftovers(transport, folder.path) == 0
