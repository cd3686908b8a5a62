"""USB without a cable: adb-shell finds a stand-in for libusb's devices, behind which an emulated phone answers."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from profiler.adb import AdbServer, DirectTransport, open_transport
from profiler.errors import DeviceError, DeviceNotFoundError, DeviceOfflineError, DeviceTimeoutError
from profiler.phone import Fault, Phone, PhoneServer
from tests.adb_programs import free_port

pytestmark = pytest.mark.libusb

PACKET_BYTES = 512
READ, WRITE = 0x81, 0x02
CONTENT = bytes(range(256)) * 4096


@dataclass
class Cable:
    """What libusb's device, its interface, and an open handle of it are to adb-shell."""

    served: PhoneServer
    serial: str = "R5CT"
    refuses_open: Exception | None = None
    refuses_claim: Exception | None = None
    sent: list[int] = field(default_factory=list)
    plugged: bool = True

    # The device.

    def iterSettings(self) -> Iterator[Cable]:  # noqa: N802
        yield self

    def getSerialNumber(self) -> str:  # noqa: N802
        if self.refuses_open:
            raise self.refuses_open
        return self.serial

    def getMaxPacketSize(self, endpoint: int) -> int:  # noqa: N802
        assert endpoint == WRITE
        return PACKET_BYTES

    def open(self) -> Cable:
        import usb1

        if not self.plugged:
            raise usb1.USBErrorNoDevice
        host, port = self.served.address.split(":")
        self.wire = socket.create_connection((host, int(port)))
        self.owes_empty_packet = False
        return self

    # Its interface: Android's, with one endpoint each way.

    def getClass(self) -> int:  # noqa: N802
        return 0xFF

    def getSubClass(self) -> int:  # noqa: N802
        return 0x42

    def getProtocol(self) -> int:  # noqa: N802
        return 0x01

    def getNumber(self) -> int:  # noqa: N802
        return 0

    def iterEndpoints(self) -> Iterator[SimpleNamespace]:  # noqa: N802
        for address in (READ, WRITE):
            yield SimpleNamespace(getAddress=lambda address=address: address)

    # A handle.

    def kernelDriverActive(self, number: int) -> bool:  # noqa: N802
        return False

    def claimInterface(self, number: int) -> None:  # noqa: N802
        if self.refuses_claim:
            raise self.refuses_claim

    def releaseInterface(self, number: int) -> None:  # noqa: N802
        pass

    def close(self) -> None:
        self.wire.close()

    def bulkWrite(self, endpoint: int, data: bytes, timeout: int) -> int:  # noqa: N802
        assert endpoint == WRITE
        assert timeout > 0, "0 is no limit"
        # A phone waits for the end of a transfer, which a full packet is not.
        assert self.owes_empty_packet == (len(data) == 0)
        self.owes_empty_packet = len(data) > 0 and len(data) % PACKET_BYTES == 0
        self.sent.append(len(data))
        self.wire.sendall(data)
        return len(data)

    def bulkRead(self, endpoint: int, count: int, timeout: int) -> bytearray:  # noqa: N802
        import usb1

        assert endpoint == READ
        assert timeout > 0, "0 is no limit"
        self.wire.settimeout(timeout / 1000)
        try:
            data = self.wire.recv(count)
        except TimeoutError as err:
            raise usb1.USBErrorTimeout from err
        if not data:
            self.plugged = False
            raise usb1.USBErrorNoDevice
        return bytearray(data)


@pytest.fixture
def cable(served: PhoneServer) -> Cable:
    return Cable(served)


@pytest.fixture
def plugged(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> list[Cable]:
    """What libusb lists."""
    from adb_shell.transport.usb_transport import UsbTransport

    listed = [cable]
    context = SimpleNamespace(getDeviceIterator=lambda **_: iter(listed))
    monkeypatch.setattr(UsbTransport, "USB1_CTX", context)
    return listed


@pytest.fixture
def usb(plugged: list[Cable], key_path: Path) -> Iterator[DirectTransport]:
    with DirectTransport.usb("R5CT", key_path=key_path) as transport:
        yield transport


def test_commands_and_files_go_over_it(usb: DirectTransport, cable: Cable) -> None:
    result = usb.shell("echo out; echo err >&2; exit 7")
    assert (result.exit_code, result.stdout, result.stderr) == (7, "out\n", "err\n")
    usb.push(CONTENT, "/data/local/tmp/f")
    assert usb.read_file("/data/local/tmp/f") == CONTENT
    assert max(cable.sent) > PACKET_BYTES


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1024])
def test_headers_travel_alone_and_full_packets_are_followed_by_an_empty_one(
    usb: DirectTransport, cable: Cable, size: int
) -> None:
    usb.features()
    cable.sent.clear()
    with usb._open_channel("sync:", usb._link.deadline) as channel:
        channel.write(bytes(size))
    header, name = 24, len("sync:\0")
    written = [header, size, 0] if size % PACKET_BYTES == 0 else [header, size]
    assert cable.sent[: 2 + len(written)] == [header, name, *written]


def test_the_serial_chooses(plugged: list[Cable], served: PhoneServer, key_path: Path) -> None:
    import usb1

    others = [Cable(served, "OTHER"), Cable(served, refuses_open=usb1.USBErrorAccess())]
    plugged[:0] = others
    server = AdbServer(port=free_port())
    with open_transport("R5CT", server=server, key_path=key_path) as transport:
        assert transport.shell("echo on").stdout == "on\n"
    assert not any(other.sent for other in others)


def test_a_phone_that_is_not_there(plugged: list[Cable], key_path: Path) -> None:
    with pytest.raises(DeviceNotFoundError, match=r"no such device.*not on USB; check"):
        DirectTransport.usb("NONE", key_path=key_path)


def test_a_phone_that_the_user_may_not_use(cable: Cable, plugged: list[Cable], key_path: Path) -> None:
    import usb1

    cable.refuses_open = usb1.USBErrorAccess()
    with pytest.raises(DeviceOfflineError, match="udev rule"):
        DirectTransport.usb("R5CT", key_path=key_path)


def test_a_phone_that_a_server_has(usb: DirectTransport, cable: Cable) -> None:
    import usb1

    cable.refuses_claim = usb1.USBErrorBusy()
    with pytest.raises(DeviceOfflineError, match="mostly an adb server: run 'adb devices'"):
        usb.shell("true")
    cable.refuses_claim = None
    assert usb.shell("echo free").stdout == "free\n"


def test_a_silent_phone_meets_the_deadline(usb: DirectTransport, phone: Phone) -> None:
    usb.features()
    phone.faults.add(Fault("hang", match="getprop", times=1))
    with pytest.raises(DeviceTimeoutError):
        usb.shell("getprop", timeout_s=0.3)
    assert usb.shell("echo on").stdout == "on\n"


def test_a_pulled_cable_is_offline_until_it_is_plugged_in_again(
    usb: DirectTransport,
    cable: Cable,
    plugged: list[Cable],
    served: PhoneServer,
    phone: Phone,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("profiler.adb._backoff.PAUSES_S", (0.01,) * 4)
    phone.faults.add(Fault("cut_output", match="getprop", at_bytes=100, times=1))
    with pytest.raises(DeviceOfflineError, match="USB: "):
        usb.shell("getprop")
    assert not cable.plugged
    plugged.clear()
    with pytest.raises(DeviceOfflineError, match="not there any more"):
        usb.shell("true")
    plugged.append(Cable(served))
    assert usb.shell("echo back").stdout == "back\n"


def test_without_libusb_the_server_is_named(monkeypatch: pytest.MonkeyPatch, key_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "usb1", None)
    with pytest.raises(DeviceError, match="needs libusb; run 'adb devices'"):
        DirectTransport.usb("R5CT", key_path=key_path)
