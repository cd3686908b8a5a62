"""Turns everything that goes wrong below a transport into the project's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adb_shell import exceptions

from profiler.adb._channel import ServiceRefusedError, says_away, says_unauthorized
from profiler.errors import (
    DeviceNotFoundError,
    DeviceOfflineError,
    DeviceProtocolError,
    DeviceTimeoutError,
    DeviceUnauthorizedError,
)

AUTHORIZE_ADVICE = (
    "does not trust this computer's key; unlock the phone and accept 'Allow USB debugging', then try again"
)
_NO_ADB = (
    exceptions.InvalidCommandError,
    exceptions.InvalidResponseError,
    exceptions.InvalidChecksumError,
    KeyError,
    ValueError,
)


@contextmanager
def device_errors(serial: str, action: str, timeout_s: float) -> Iterator[None]:
    """Map what the block raises.

    Args:
        serial: The device.
        action: What is being done.
        timeout_s: How long it may take.

    Raises:
        DeviceTimeoutError: The deadline came.
        DeviceOfflineError: The connection could not be made, or broke.
        DeviceNotFoundError: It is not on USB, where it was looked for.
        DeviceUnauthorizedError: The device does not trust our key.
        DeviceProtocolError: What answers does not speak our protocol, or refuses the service.
    """
    try:
        yield
    except (TimeoutError, exceptions.AdbTimeoutError, exceptions.TcpTimeoutException) as err:
        raise DeviceTimeoutError(serial, timeout_s, action) from err
    except exceptions.DeviceAuthError as err:
        raise DeviceUnauthorizedError(serial, AUTHORIZE_ADVICE) from err
    except ServiceRefusedError as err:
        raise _refusal(serial, action, str(err)) from err
    except ConnectionRefusedError as err:
        problem = "nothing listens at its address; check cable, network and that the phone is on"
        raise DeviceOfflineError(serial, problem) from err
    except OSError as err:
        problem = f"connection lost at {action} ({err}); check cable, network and that the phone is on"
        raise DeviceOfflineError(serial, problem) from err
    except exceptions.UsbDeviceNotFoundError as err:
        problem = "no such device: no adb server lists it and it is not on USB; check cable and USB debugging"
        raise DeviceNotFoundError(serial, problem) from err
    except _NO_ADB as err:
        problem = (
            f"what answers speaks no plain ADB ({str(err)[:100]}); for a phone on Wi-Fi with Android 11 or later run "
            "'adb pair' and 'adb connect', and pocketnas goes through that server"
        )
        raise DeviceProtocolError(serial, problem) from err


def _refusal(serial: str, action: str, reason: str) -> Exception:
    """Return the error for a service that was refused, by the words of adb's server."""
    if says_unauthorized(reason):
        return DeviceUnauthorizedError(serial, AUTHORIZE_ADVICE)
    if says_away(reason):
        return DeviceOfflineError(serial, f"the adb server says: {reason.strip()[:200]!r}; reconnect the phone")
    return DeviceProtocolError(serial, f"{action} was refused" + (f": {reason.strip()[:200]!r}" if reason else ""))
