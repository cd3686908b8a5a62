"""What only Google's own daemon can show: its keys, its end, its flood."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler.adb import DirectTransport, load_or_create_key
from profiler.adb._channel import ServiceRefusedError
from profiler.adb._deadline import Deadline
from profiler.errors import DeviceError, DeviceOfflineError, DeviceUnauthorizedError
from tests.adb_programs import AdbDaemon, own_adbd

pytestmark = [pytest.mark.slow, pytest.mark.adbd]


@pytest.fixture
def daemon(adbd_path: Path) -> Iterator[AdbDaemon]:
    with own_adbd(adbd_path) as running:
        yield running


@pytest.fixture
def direct(daemon: AdbDaemon, key_path: Path) -> Iterator[DirectTransport]:
    with DirectTransport.tcp(daemon.address, key_path=key_path) as transport:
        yield transport


def test_features_are_its_own(direct: DirectTransport) -> None:
    assert {"shell_v2", "stat_v2", "ls_v2", "fixed_push_mkdir"} <= direct.features()


def test_a_key_that_it_does_not_know_is_unauthorized_until_it_does(
    adbd_path: Path, key_path: Path, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    with own_adbd(adbd_path, secure=True) as daemon:
        daemon.trust(load_or_create_key(key_path).GetPublicKey())
        transport = DirectTransport.tcp(daemon.address, key_path=stranger, authorize_timeout_s=0.3)
        with pytest.raises(DeviceUnauthorizedError, match="Allow USB debugging"):
            transport.shell("true")
        daemon.trust(load_or_create_key(stranger).GetPublicKey())
        with transport:
            assert transport.shell("echo in").stdout == "in\n"


def test_a_service_that_it_does_not_have_is_refused(direct: DirectTransport) -> None:
    with pytest.raises(ServiceRefusedError):
        direct._open_channel("nosuch:", Deadline.after(5))
    assert direct.shell("echo on").stdout == "on\n"


def test_a_flood_is_ended(direct: DirectTransport) -> None:
    with pytest.raises(DeviceError, match="more than 16 MiB"):
        direct.shell("yes")
    assert direct.shell("pgrep -u $(id -u) -x yes").exit_code == 1


def test_two_connections_do_not_wait_for_one_another(
    direct: DirectTransport, daemon: AdbDaemon, key_path: Path
) -> None:
    with DirectTransport.tcp(daemon.address, key_path=key_path) as other, direct.stream("sleep 5", timeout_s=9):
        started = time.monotonic()
        assert other.shell("echo beside").stdout == "beside\n"
        assert time.monotonic() - started < 2


def test_its_end_in_a_command_is_seen_at_once_and_the_command_ended_when_it_is_back(
    direct: DirectTransport, daemon: AdbDaemon
) -> None:
    """A daemon that dies leaves its commands running."""
    with _restarted(daemon, after_s=0.4):
        started = time.monotonic()
        with pytest.raises(DeviceOfflineError):
            direct.shell(f"echo $$ > {daemon.folder}/pid; sleep 60", timeout_s=20)
        assert time.monotonic() - started < 5
    group = int((daemon.folder / "pid").read_text())
    assert direct.shell(f"kill -0 -{group}").exit_code != 0


def test_a_push_that_its_end_cuts_is_an_error_and_can_be_done_again(direct: DirectTransport, daemon: AdbDaemon) -> None:
    path, content = f"{daemon.folder}/big", bytes(400 << 20)
    direct.features()
    with _restarted(daemon, after_s=0.1), pytest.raises(DeviceOfflineError):
        direct.push(content, path)
    direct.push(content[:1000], path)
    assert direct.read_file(path) == content[:1000]


@contextmanager
def _restarted(daemon: AdbDaemon, *, after_s: float) -> Iterator[None]:
    def restart() -> None:
        daemon.kill()
        time.sleep(0.3)
        daemon.start()

    timer = threading.Timer(after_s, restart)
    timer.start()
    try:
        yield
    finally:
        timer.join()
