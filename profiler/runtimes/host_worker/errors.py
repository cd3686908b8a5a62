"""What goes wrong inside the worker or on the wire to it; the parent turns it into failures and errors of ours."""

from __future__ import annotations


class FrameError(Exception):
    """Bytes are not a frame of ours."""


class EngineError(Exception):
    """A runtime refused something.

    Args:
        reason: One of the parent's failure reasons, such as "INVALID_MODEL".
        detail: What the runtime said.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")
