"""Rows 15-18 on the way to the phone: commands that hang, trickle, are cut short or lose their exit code."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from profiler.adb import DirectTransport, RemoteFolder, Transport, _process
from profiler.errors import CommandFailedError, DeviceTimeoutError, TransferError
from profiler.phone import FEATURES, Fault, Phone, PhoneServer, load_phone

LINE = "all is well and this is a line that is long enough"


@pytest.mark.parametrize("features", [FEATURES, ()], ids=["v2", "v1"])
def test_row_15_a_silent_command_is_killed_by_its_pid_and_gone(features: tuple[str, ...], key_path: Path) -> None:
    phone = Phone(load_phone("pixel4"), features=features)
    with PhoneServer(phone) as served, DirectTransport.tcp(served.address, key_path=key_path) as transport:
        started = time.monotonic()
        with pytest.raises(DeviceTimeoutError) as caught:
            transport.shell("sleep 55 & (sleep 66; echo never); wait", timeout_s=0.4)
        assert time.monotonic() - started < 3
        assert "may still run" not in str(caught.value)
        assert transport.shell("pidof sleep").stdout == ""
        assert not any("sleep" in process.arguments[-1] for process in phone.processes)


def test_row_15_a_shell_that_never_starts_is_said_to_be_unknown(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("hang", match="getprop", times=1))
    with pytest.raises(DeviceTimeoutError, match="process unknown may still run"):
        direct.shell("getprop", timeout_s=0.3)


def test_row_15_a_hang_while_a_hanging_command_is_ended(
    phone: Phone, direct: DirectTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that kills hangs as well: its own deadline holds, and the error says what may still run."""
    monkeypatch.setattr(_process, "_KILL_TIMEOUT_S", 0.5)
    phone.faults.add(Fault("offline", match="kill -9"))
    started = time.monotonic()
    with pytest.raises(DeviceTimeoutError, match=r"process \d+ may still run"):
        direct.shell("sleep 77", timeout_s=0.3)
    assert time.monotonic() - started < 3
    phone.faults.clear()
    assert direct.shell("echo on").stdout == "on\n"


def test_row_16_the_total_deadline_fires_through_a_trickle(phone: Phone, direct: DirectTransport) -> None:
    phone.faults.add(Fault("slow_output", match="cpuinfo", seconds=0.02))
    started = time.monotonic()
    with pytest.raises(DeviceTimeoutError):
        direct.shell("cat /proc/cpuinfo", timeout_s=0.5)
    assert time.monotonic() - started < 3
    assert direct.shell("echo on").stdout == "on\n"


@pytest.mark.parametrize("features", [FEATURES, ()], ids=["v2", "v1"])
@pytest.mark.parametrize("at_bytes", [0, 9, 30, 33, 60, 83, 84, 100, 110, 111])
def test_row_17_truncated_output_that_ends_well_is_refused(
    at_bytes: int, features: tuple[str, ...], key_path: Path
) -> None:
    phone = Phone(load_phone("pixel4"), features=features)
    phone.faults.add(Fault("truncate_output", match=LINE, at_bytes=at_bytes))
    with (
        PhoneServer(phone) as served,
        DirectTransport.tcp(served.address, key_path=key_path) as transport,
        pytest.raises(CommandFailedError, match="without an exit code"),
    ):
        transport.shell(f"echo {LINE}")


@pytest.mark.parametrize("features", [FEATURES, ()], ids=["v2", "v1"])
def test_row_17_output_in_single_bytes_is_whole(features: tuple[str, ...], key_path: Path) -> None:
    phone = Phone(load_phone("pixel4"), features=features)
    phone.faults.add(Fault("slow_output", match=LINE, seconds=0.001))
    with PhoneServer(phone) as served, DirectTransport.tcp(served.address, key_path=key_path) as transport:
        result = transport.shell(f"echo pocketnas-; echo {LINE} pocketnas-0123; exit 3")
    assert (result.exit_code, result.stdout) == (3, f"pocketnas-\n{LINE} pocketnas-0123\n")


@pytest.mark.parametrize("features", [FEATURES, ()], ids=["v2", "v1"])
def test_row_18_a_lost_exit_status_is_a_failure(features: tuple[str, ...], key_path: Path) -> None:
    kind = "lose_exit_status" if features else "truncate_output"
    phone = Phone(load_phone("pixel4"), features=features)
    phone.faults.add(Fault(kind, at_bytes=100, match=LINE, times=1))
    with PhoneServer(phone) as served, DirectTransport.tcp(served.address, key_path=key_path) as transport:
        with pytest.raises(CommandFailedError, match="without an exit code") as caught:
            transport.shell(f"echo {LINE}", check=False)
        assert (caught.value.exit_code, caught.value.exit_code_there) == (75, None)
        assert transport.shell(f"echo {LINE}").stdout == f"{LINE}\n"


def test_row_18_a_marker_of_another_command_is_none_of_ours(key_path: Path) -> None:
    """What a command prints cannot stand in for the marker: each has a nonce of its own."""
    phone = Phone(load_phone("pixel4"), features=())
    with PhoneServer(phone) as served, DirectTransport.tcp(served.address, key_path=key_path) as transport:
        forged = "pocketnas-0123456789abcdef 0"
        phone.faults.add(Fault("truncate_output", match=forged, at_bytes=75))
        with pytest.raises(CommandFailedError, match="without an exit code"):
            transport.shell(f"echo {forged}; exit 3")


@pytest.mark.parametrize("kind", ["lose_exit_status", "truncate_output"])
def test_row_18_a_hash_that_may_be_cut_is_no_proof(phone: Phone, direct: DirectTransport, kind: str) -> None:
    phone.faults.add(Fault(kind, match="sha256sum", at_bytes=60))  # type: ignore[arg-type]
    with pytest.raises((CommandFailedError, TransferError)) as caught:
        _put(direct)
    assert caught.value.exit_code == 75
    phone.faults.clear()
    assert direct.read_file(_put(direct)) == b"content"


def _put(transport: Transport) -> str:
    return RemoteFolder(transport).put(b"content")
