"""The link to a phone on USB, by adb-shell and libusb.

It was never run with a phone on a cable.  Its test gives adb-shell a stand-in for libusb's devices, behind which an
emulated phone answers: so it is known what reaches libusb, in which pieces, and what becomes of libusb's errors.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adb_shell import exceptions

from profiler.adb._links import Link
from profiler.errors import DeviceNotFoundError, DeviceOfflineError

_THROUGH_SERVER = "run 'adb devices' to go through adb's server"
_NO_LIBUSB = (
    "no such device: no adb server lists it, and to look on USB ourselves needs libusb; run 'adb devices' to have a "
    "server, or pip install 'adb-shell[usb]'"
)
_BUSY = f"another program has it on USB, mostly an adb server: {_THROUGH_SERVER}, or end that program"
_DENIED = (
    "this user may not use it on USB; let a udev rule allow it (on Debian: apt-get install "
    "android-sdk-platform-tools-common, and plug the phone in again)"
)
_LEAST_TIMEOUT_S = 0.001
"""libusb counts milliseconds, and takes 0 for no limit at all."""


class UsbLink(Link):
    """A phone on USB.

    Args:
        serial: Its serial number.

    Raises:
        DeviceNotFoundError: There is no libusb here to look with.
    """

    def __init__(self, serial: str) -> None:
        self._serial = serial
        try:
            import usb1
            from adb_shell.transport.usb_transport import UsbTransport
        except (ImportError, OSError) as err:
            raise DeviceNotFoundError(serial, _NO_LIBUSB) from err
        self._usb1, self._ports = usb1, UsbTransport
        self._port: Any = None

    def find(self) -> None:
        """Look for the phone.

        Raises:
            adb_shell.exceptions.UsbDeviceNotFoundError: It is not there.
            DeviceOfflineError: It may be there, but the user may not look.
        """
        denied = False
        for port in self._ports.find_all_adb_devices():
            try:
                if port.serial_number == self._serial:
                    self._port = port
                    return
            except self._usb1.USBErrorAccess:
                denied = True
            except self._usb1.USBError:
                continue  # unplugged just now, or broken: not the one that is looked for
        if denied:
            raise DeviceOfflineError(self._serial, _DENIED)
        raise exceptions.UsbDeviceNotFoundError(self._serial)

    def connect(self, transport_timeout_s: float | None) -> None:
        """Find the phone and claim its interface; one that was plugged in again is a new device to libusb."""
        try:
            self.find()
        except exceptions.UsbDeviceNotFoundError as err:
            raise ConnectionResetError(errno.ENODEV, "USB: not there any more") from err
        with self._errors():
            self._port.connect(self._remaining_s())

    def close(self) -> None:
        """Free the interface."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        """Return up to `numbytes` bytes; none for the empty packet after a full one."""
        with self._errors():
            return bytes(self._ready().bulk_read(numbytes, self._remaining_s()))

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        """Send all of the bytes, and after a full last packet an empty one, by which the phone sees the end."""
        port = self._ready()
        with self._errors():
            port.bulk_write(data, self._remaining_s())
            if len(data) % self._packet_bytes() == 0:
                port.bulk_write(b"", self._remaining_s())
        return len(data)

    def _packet_bytes(self) -> int:
        # 512 on USB 2, 1024 on USB 3; adb-shell keeps both to itself.
        return int(self._port._device.getMaxPacketSize(self._port._write_endpoint))

    def _ready(self) -> Any:
        if self._port is None:
            raise ConnectionResetError("not connected")
        return self._port

    def _remaining_s(self) -> float:
        return max(self.deadline.remaining_s(), _LEAST_TIMEOUT_S)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn libusb's errors, and adb-shell's that hold one, into Python's for connections."""
        try:
            yield
        except (exceptions.UsbReadFailedError, exceptions.UsbWriteFailedError) as err:
            raise self._error_for(err.args[1]) from err
        except self._usb1.USBError as err:
            raise self._error_for(err) from err

    def _error_for(self, cause: Exception | None) -> Exception:
        if isinstance(cause, self._usb1.USBErrorTimeout):
            return TimeoutError(errno.ETIMEDOUT, str(cause))
        if isinstance(cause, self._usb1.USBErrorAccess):
            return DeviceOfflineError(self._serial, _DENIED)
        if isinstance(cause, self._usb1.USBErrorBusy):
            return DeviceOfflineError(self._serial, _BUSY)
        return ConnectionResetError(errno.ECONNRESET, f"USB: {cause}")
