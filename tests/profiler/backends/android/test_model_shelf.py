"""Models on a phone: within a limit, and again where room is scarce."""

from __future__ import annotations

import pytest

from profiler.adb import RemoteFolder, Transport
from profiler.backends.android import ModelShelf
from profiler.errors import DeviceStorageError
from profiler.phone import Phone


def names(transport: Transport, folder: RemoteFolder) -> set[str]:
    return set(transport.shell(f"ls {folder.path}").stdout.split())


def test_the_oldest_goes_first(transport: Transport, folder: RemoteFolder) -> None:
    program = folder.put(b"program", executable=True)
    shelf = ModelShelf(folder, limit_bytes=2500)
    models = [bytes([value]) * 1000 for value in range(3)]
    first, second = shelf.put(models[0]), shelf.put(models[1])
    assert shelf.put(models[0]) == first
    third = shelf.put(models[2])
    kept = {path.rpartition("/")[2] for path in (program, first, third)}
    assert names(transport, folder) == kept, "the second was used least lately"
    assert shelf.put(models[1]) == second
    assert transport.read_file(second) == models[1]


def test_one_that_is_larger_than_the_limit_stays(transport: Transport, folder: RemoteFolder) -> None:
    shelf = ModelShelf(folder, limit_bytes=10)
    shelf.put(b"small")
    path = shelf.put(b"x" * 100)
    assert names(transport, folder) == {path.rpartition("/")[2]}


def test_a_full_phone_gets_its_room_back_first(phone: Phone, transport: Transport, folder: RemoteFolder) -> None:
    shelf = ModelShelf(folder, limit_bytes=1 << 30)
    shelf.put(b"a" * 1_000_000)
    data = phone.files.mount_of("/data")
    data.used_bytes = data.size_bytes - (4 << 20) - 500_000
    path = shelf.put(b"b" * 1_000_000)
    assert names(transport, folder) == {path.rpartition("/")[2]}
    data.used_bytes = data.size_bytes
    with pytest.raises(DeviceStorageError):
        shelf.put(b"c" * 1_000_000)
