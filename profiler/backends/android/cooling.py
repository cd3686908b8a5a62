"""Waits until a phone throttles no more."""

from __future__ import annotations

from profiler.backends.android.health import BRIEF_PROBES
from profiler.backends.android.session import PhoneSession
from profiler.errors import WorkloadFailedError


def cool_down(session: PhoneSession) -> float:
    """Wait until a phone throttles no more, and return the seconds slept.

    Raises:
        WorkloadFailedError: It does not cool down.
        DeviceError: It cannot be reached.
    """
    patience = session.patience
    for slept_s in patience.moments(patience.cooldown_s, patience.cooldown_look_every_s):
        if not session.health(BRIEF_PROBES).throttles:
            return slept_s
    raise WorkloadFailedError("THROTTLED", f"the phone did not cool down within {patience.cooldown_s:g} s")
